// SPDX-License-Identifier: Apache-2.0
// V4l2Camera: a kernel camera that survives stalls, stream errors and being unplugged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/camera/camera.h"
#include "drivers/camera/state.h"
#include "drivers/camera/v4l2/buffer_pool.h"

namespace wayside::drivers {

/// What happened since open(); for logs and tests.
struct V4l2Counters {
  std::uint64_t stale_frames = 0;    ///< taken from the driver but older than another one: given back unread
  std::uint64_t damaged_frames = 0;  ///< marked as such by the driver, or too short
  std::uint64_t restarts = 0;        ///< of the stream, after a stall or a stream error
  std::uint64_t losses = 0;          ///< the device was gone or hopeless, and was closed
  std::uint64_t reopens = 0;         ///< ... and came back
};

/// next() gives the newest picture; older ones go back to the driver, and the gap in the sequence shows them.
/// A stall (no picture for kStallFrames intervals, at least kMinStall) restarts the stream; a second one without a
/// picture between, or a vanished device, closes it and looks every kReopenInterval for a capture node with the same
/// bus_info and index, which is then configured with the first request again. Its format may differ (another camera
/// at the same port): each picture carries its own. The sequence goes on rising across all this.
class V4l2Camera final : public Camera {
 public:
  static base::Result<std::unique_ptr<Camera>> open(const std::filesystem::path& path, base::Clock& clock);
  ~V4l2Camera() override;

  std::string describe() const override;
  base::Result<CameraFormat> configure(const CameraRequest& request) override;
  base::Result<void> start() override;
  base::Result<Frame> next(std::chrono::milliseconds limit) override;
  void interrupt() override;
  void stop() override;
  [[nodiscard]] const V4l2Counters& counters() const { return counters_; }

 private:
  V4l2Camera(std::filesystem::path path, V4l2Device device, base::UniqueFd wake, base::Clock& clock);
  base::Result<std::optional<Frame>> take_newest();
  Frame make_frame(const V4l2Filled& filled);
  /// Waits for the driver, interrupt() or `until`; false when interrupted.
  bool wait(base::MonotonicTime until, bool for_driver);
  [[nodiscard]] base::MonotonicTime stall_time() const;
  /// Restarts the stream; closes the device when that fails or did not help the last time.
  void recover(const std::string& why);
  void lose(const std::string& why);
  base::Result<void> begin_stream();
  base::Result<void> reopen();
  base::Result<V4l2Device> find_device() const;
  void retire_pool();

  std::filesystem::path path_;
  V4l2NodeInfo socket_;  ///< as first seen; where the camera is looked for
  base::UniqueFd wake_;  ///< eventfd, readable when interrupted
  base::Clock& clock_;
  std::optional<V4l2Device> device_;
  CameraState state_ = CameraState::opened;
  CameraRequest request_;
  V4l2StreamFormat format_;
  std::unique_ptr<BufferPool> pool_;
  std::vector<std::unique_ptr<BufferPool>> retired_;  ///< of lost devices, kept while leases point into them
  V4l2Counters counters_;
  std::string lost_why_;
  std::string last_try_;                  ///< why the last reopen() failed
  base::MonotonicTime last_progress_{0};  ///< last picture or (re)start
  base::MonotonicTime next_reopen_{0};
  bool restarted_since_frame_ = false;
  std::uint64_t sequence_base_ = 0;  ///< added to the driver's 32-bit number
  std::uint64_t next_sequence_ = 0;  ///< one above the last that was given out
};

}  // namespace wayside::drivers
