// SPDX-License-Identifier: Apache-2.0
// BufferPool: the mapped buffers of one stream, who holds each of them, and the leases on them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/unique_fd.h"
#include "drivers/camera/camera.h"
#include "drivers/camera/v4l2/negotiate.h"

namespace wayside::drivers {

/// How many buffers we ask for: one being filled, one waiting behind it, one being read, one spare for the pipeline.
inline constexpr std::uint32_t kV4l2Buffers = 4;

/// A buffer that the driver has filled.
struct V4l2Filled {
  std::uint32_t index = 0;
  std::uint32_t sequence = 0;
  base::MonotonicTime timestamp{0};  ///< 0 where the driver's clock is not the monotonic one
  bool damaged = false;              ///< the driver said so, or the picture is shorter than its format
};

/// Thread-safe: leases come back from any thread while the owner dequeues. The mapped pictures stay readable until
/// the pool is destroyed, also after detach() and after the device is gone (the mapping keeps the memory).
class BufferPool final : public Frame::Releaser {
 public:
  /// Allocates, maps and exports buffers; none is queued yet. The device must stay open until detach().
  static base::Result<std::unique_ptr<BufferPool>> create(const V4l2Device& device, const V4l2StreamFormat& format);
  ~BufferPool();

  /// Queues every idle buffer and starts the stream; on failure the stream is off.
  base::Result<void> stream_on();
  /// Stops the stream; the driver's buffers become idle. Errors are of no use to anybody: the driver is gone or off.
  void stream_off();
  /// Gives idle buffers to the driver; true when it holds at least one then. Buffers that it refuses stay idle.
  bool queue_idle();
  /// The oldest filled buffer, nothing when there is none yet; the caller leases or puts it back.
  /// Errors: disconnected (ENODEV), io (EIO: the stream has failed).
  base::Result<std::optional<V4l2Filled>> dequeue();
  /// Gives a dequeued buffer back unread.
  void put_back(std::uint32_t index);
  /// Hands a dequeued buffer out: its picture. release() is called when the lease ends.
  base::ImageView lease(std::uint32_t index);
  void release(std::uint32_t buffer_index) noexcept override;
  /// No ioctl from here on: the device is closed or gone.
  void detach();
  [[nodiscard]] bool any_leased() const;

 private:
  enum class Holder { idle, driver, reader, lease };
  struct Mapping {
    std::uint8_t* data = nullptr;
    std::size_t size_bytes = 0;
    base::UniqueFd dmabuf;
  };
  struct Buffer {
    Holder holder = Holder::idle;
    std::array<Mapping, 3> planes;
    std::array<std::uint32_t, 3> used_bytes{};   ///< of the picture in it
    std::array<std::uint32_t, 3> start_bytes{};  ///< data_offset of multi-planar buffers
  };

  BufferPool(const V4l2Device& device, const V4l2StreamFormat& format);
  base::Result<void> map(std::uint32_t index);
  bool queue(std::uint32_t index);  // with the mutex held
  [[nodiscard]] bool complete(const Buffer& buffer) const;

  V4l2StreamFormat format_;
  bool multi_planar_;
  unsigned buffer_type_;
  std::string path_;
  mutable std::mutex mutex_;
  int fd_;  ///< borrowed from the device; -1 after detach()
  bool streaming_ = false;
  std::vector<Buffer> buffers_;
};

}  // namespace wayside::drivers
