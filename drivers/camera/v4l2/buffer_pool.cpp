// SPDX-License-Identifier: Apache-2.0
// Buffer exchange. Source: kernel Documentation/userspace-api/media/v4l/, mmap.rst, vidioc-qbuf.rst, vidioc-expbuf.rst.
#include "drivers/camera/v4l2/buffer_pool.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/mman.h>

#include <algorithm>
#include <format>

namespace wayside::drivers {
namespace {

using base::Code;
using base::fail;

/// A v4l2_buffer with room for its planes, set up for one kind of node.
struct KernelBuffer {
  v4l2_buffer buffer{};
  std::array<v4l2_plane, 3> planes{};

  KernelBuffer(unsigned type, bool multi_planar, unsigned memory_planes, std::uint32_t index) {
    buffer.type = type;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.index = index;
    if (multi_planar) {
      buffer.m.planes = planes.data();
      buffer.length = memory_planes;
    }
  }
};

base::MonotonicTime time_of(const v4l2_buffer& buffer) {
  if ((buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC) return {};
  return std::chrono::seconds(buffer.timestamp.tv_sec) + std::chrono::microseconds(buffer.timestamp.tv_usec);
}

}  // namespace

BufferPool::BufferPool(const V4l2Device& device, const V4l2StreamFormat& format)
    : format_(format),
      multi_planar_(device.info().multi_planar),
      buffer_type_(device.buffer_type()),
      path_(device.info().path.string()),
      fd_(device.fd()) {}

base::Result<std::unique_ptr<BufferPool>> BufferPool::create(const V4l2Device& device, const V4l2StreamFormat& format) {
  v4l2_requestbuffers request{};
  request.count = kV4l2Buffers;
  request.type = device.buffer_type();
  request.memory = V4L2_MEMORY_MMAP;
  WAYSIDE_CHECK(device.call(VIDIOC_REQBUFS, &request, "VIDIOC_REQBUFS"));
  std::unique_ptr<BufferPool> pool(new BufferPool(device, format));
  // With fewer than two the driver has nowhere to write while we read. Drivers may give more than asked.
  if (request.count < 2) {
    return fail(Code::exhausted, std::format("{}: the driver has memory for {} buffers only; choose a smaller size",
                                             pool->path_, request.count));
  }
  pool->buffers_.resize(std::min(request.count, kV4l2Buffers));
  for (std::uint32_t index = 0; index < pool->buffers_.size(); ++index) WAYSIDE_CHECK(pool->map(index));
  return pool;
}

BufferPool::~BufferPool() {
  stream_off();
  for (Buffer& buffer : buffers_) {
    for (Mapping& plane : buffer.planes) {
      if (plane.data != nullptr) ::munmap(plane.data, plane.size_bytes);
      plane.dmabuf.reset();
    }
  }
  // The driver frees the buffers only when nothing maps them any more.
  v4l2_requestbuffers request{};
  request.type = buffer_type_;
  request.memory = V4L2_MEMORY_MMAP;
  if (fd_ >= 0) (void)ioctl_retry(fd_, VIDIOC_REQBUFS, &request);
}

base::Result<void> BufferPool::map(std::uint32_t index) {
  KernelBuffer kernel(buffer_type_, multi_planar_, format_.code.memory_planes, index);
  if (const int error = ioctl_retry(fd_, VIDIOC_QUERYBUF, &kernel.buffer); error != 0) {
    return base::fail_errno(std::format("{}: VIDIOC_QUERYBUF", path_), error);
  }
  for (unsigned plane = 0; plane < format_.code.memory_planes; ++plane) {
    const std::size_t size_bytes = multi_planar_ ? kernel.planes[plane].length : kernel.buffer.length;
    const std::uint32_t offset = multi_planar_ ? kernel.planes[plane].m.mem_offset : kernel.buffer.m.offset;
    // Writable, because some drivers refuse a read-only mapping of a capture buffer.
    void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, offset);
    if (data == MAP_FAILED) return base::fail_errno(std::format("{}: mmap of a {} byte buffer", path_, size_bytes));
    Mapping& mapping = buffers_[index].planes[plane];
    mapping.data = static_cast<std::uint8_t*>(data);
    mapping.size_bytes = size_bytes;
    v4l2_exportbuffer exported{};
    exported.type = buffer_type_;
    exported.index = index;
    exported.plane = plane;
    exported.flags = O_RDONLY | O_CLOEXEC;
    // Drivers without dma-buf export (ENOTTY, EINVAL) are fine: readers use the mapping.
    if (ioctl_retry(fd_, VIDIOC_EXPBUF, &exported) == 0) mapping.dmabuf.reset(exported.fd);
  }
  for (unsigned plane = 0; plane < base::plane_count(format_.code.format); ++plane) {
    const V4l2PlaneLayout& layout = format_.planes[plane];
    if (layout.offset_bytes + layout.size_bytes > buffers_[index].planes[layout.memory_plane].size_bytes) {
      return fail(Code::unsupported, std::format("{}: the driver's buffers are smaller than its format", path_));
    }
  }
  return {};
}

base::Result<void> BufferPool::stream_on() {
  const std::lock_guard lock(mutex_);
  if (fd_ < 0) return fail(Code::disconnected, std::format("{}: gone", path_));
  streaming_ = true;
  for (std::uint32_t index = 0; index < buffers_.size(); ++index) queue(index);
  auto type = static_cast<int>(buffer_type_);
  const int error = ioctl_retry(fd_, VIDIOC_STREAMON, &type);
  if (error == 0) return {};
  (void)ioctl_retry(fd_, VIDIOC_STREAMOFF, &type);
  streaming_ = false;
  for (Buffer& buffer : buffers_) {
    if (buffer.holder == Holder::driver) buffer.holder = Holder::idle;
  }
  auto failure = base::fail_errno(std::format("{}: VIDIOC_STREAMON", path_), error);
  if (error == ENOSPC) failure.error().message += "; not enough USB bandwidth: choose a smaller size or rate, or mjpeg";
  return failure;
}

void BufferPool::stream_off() {
  const std::lock_guard lock(mutex_);
  streaming_ = false;
  auto type = static_cast<int>(buffer_type_);
  if (fd_ >= 0) (void)ioctl_retry(fd_, VIDIOC_STREAMOFF, &type);
  for (Buffer& buffer : buffers_) {
    if (buffer.holder == Holder::driver) buffer.holder = Holder::idle;
  }
}

bool BufferPool::queue(std::uint32_t index) {
  Buffer& buffer = buffers_[index];
  if (buffer.holder != Holder::idle || fd_ < 0 || !streaming_) return false;
  KernelBuffer kernel(buffer_type_, multi_planar_, format_.code.memory_planes, index);
  if (ioctl_retry(fd_, VIDIOC_QBUF, &kernel.buffer) != 0) return false;
  buffer.holder = Holder::driver;
  return true;
}

bool BufferPool::queue_idle() {
  const std::lock_guard lock(mutex_);
  bool any = false;
  for (std::uint32_t index = 0; index < buffers_.size(); ++index) {
    queue(index);
    any = any || buffers_[index].holder == Holder::driver;
  }
  return any;
}

base::Result<std::optional<V4l2Filled>> BufferPool::dequeue() {
  const std::lock_guard lock(mutex_);
  KernelBuffer kernel(buffer_type_, multi_planar_, format_.code.memory_planes, 0);
  const int error = ioctl_retry(fd_, VIDIOC_DQBUF, &kernel.buffer);
  if (error == EAGAIN) return std::nullopt;
  if (error != 0) return base::fail_errno(std::format("{}: VIDIOC_DQBUF", path_), error);
  if (kernel.buffer.index >= buffers_.size()) {
    return fail(Code::io,
                std::format("{}: the driver gave buffer {} of {}", path_, kernel.buffer.index, buffers_.size()));
  }
  Buffer& buffer = buffers_[kernel.buffer.index];
  buffer.holder = Holder::reader;
  for (unsigned plane = 0; plane < format_.code.memory_planes; ++plane) {
    const std::size_t size_bytes = buffer.planes[plane].size_bytes;
    const std::uint32_t used = multi_planar_ ? kernel.planes[plane].bytesused : kernel.buffer.bytesused;
    const std::uint32_t start = multi_planar_ ? kernel.planes[plane].data_offset : 0;
    buffer.used_bytes[plane] = static_cast<std::uint32_t>(std::min<std::size_t>(used, size_bytes));
    buffer.start_bytes[plane] = std::min(start, buffer.used_bytes[plane]);
  }
  const bool damaged = (kernel.buffer.flags & V4L2_BUF_FLAG_ERROR) != 0 || !complete(buffer);
  return V4l2Filled{kernel.buffer.index, kernel.buffer.sequence, time_of(kernel.buffer), damaged};
}

bool BufferPool::complete(const Buffer& buffer) const {
  if (format_.code.format == base::PixelFormat::mjpeg) return buffer.used_bytes[0] > buffer.start_bytes[0];
  for (unsigned plane = 0; plane < base::plane_count(format_.code.format); ++plane) {
    const V4l2PlaneLayout& layout = format_.planes[plane];
    const unsigned memory = layout.memory_plane;
    const std::size_t end_bytes = buffer.start_bytes[memory] + layout.offset_bytes + layout.size_bytes;
    if (end_bytes > buffer.used_bytes[memory]) return false;
  }
  return true;
}

void BufferPool::put_back(std::uint32_t index) {
  const std::lock_guard lock(mutex_);
  buffers_[index].holder = Holder::idle;
  queue(index);
}

base::ImageView BufferPool::lease(std::uint32_t index) {
  const std::lock_guard lock(mutex_);
  Buffer& buffer = buffers_[index];
  buffer.holder = Holder::lease;
  base::ImageView view{format_.code.format, format_.range, format_.size.width_px, format_.size.height_px, {}};
  for (unsigned plane = 0; plane < base::plane_count(format_.code.format); ++plane) {
    const V4l2PlaneLayout& layout = format_.planes[plane];
    const unsigned memory = layout.memory_plane;
    const std::size_t start = buffer.start_bytes[memory] + layout.offset_bytes;
    const std::size_t size_bytes = layout.size_bytes != 0 ? layout.size_bytes : buffer.used_bytes[memory] - start;
    view.planes[plane] = {buffer.planes[memory].data + start, layout.stride_bytes, size_bytes,
                          buffer.planes[memory].dmabuf.get()};
  }
  return view;
}

void BufferPool::release(std::uint32_t buffer_index) noexcept {
  const std::lock_guard lock(mutex_);
  buffers_[buffer_index].holder = Holder::idle;
  queue(buffer_index);  // where the driver refuses it, next() tries again
}

void BufferPool::detach() {
  const std::lock_guard lock(mutex_);
  fd_ = -1;
  streaming_ = false;
  for (Buffer& buffer : buffers_) {
    if (buffer.holder == Holder::driver) buffer.holder = Holder::idle;
  }
}

bool BufferPool::any_leased() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(buffers_, [](const Buffer& buffer) { return buffer.holder == Holder::lease; });
}

}  // namespace wayside::drivers
