// SPDX-License-Identifier: Apache-2.0
// Streaming, newest-wins, the stall watchdog, and the way back after an unplug.
#include "drivers/camera/v4l2/v4l2_camera.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <format>
#include <limits>

#include "base/log.h"

namespace wayside::drivers {
namespace {

using base::Code;
using base::fail;
using base::MonotonicTime;

// A camera may halve its rate in the dark and hiccup while it sets exposure: ten missing frames are a stall, but
// not within the first seconds, which USB cameras take to start.
constexpr int kStallFrames = 10;
constexpr MonotonicTime kMinStall = std::chrono::seconds(3);
constexpr double kAssumedRateHz = 5;  // where the driver does not tell
// A USB device needs about a second to enumerate; udev then sets its permissions.
constexpr MonotonicTime kReopenInterval = std::chrono::seconds(1);
// How often we look whether a lease came back while the driver has no buffer at all.
constexpr MonotonicTime kLeaseSlice = std::chrono::milliseconds(10);
// Pools of lost devices whose pictures are still on lease. Leases are short: more than a few mean a leak.
constexpr std::size_t kMaxRetired = 4;

int poll_ms(MonotonicTime span) {
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(span).count();
  return static_cast<int>(std::clamp<std::int64_t>(whole, 0, std::numeric_limits<int>::max()));
}

}  // namespace

V4l2Camera::V4l2Camera(std::filesystem::path path, V4l2Device device, base::UniqueFd wake, base::Clock& clock)
    : path_(std::move(path)),
      socket_(device.info()),
      wake_(std::move(wake)),
      clock_(clock),
      device_(std::move(device)) {
  retired_.reserve(kMaxRetired);
}

V4l2Camera::~V4l2Camera() { stop(); }

base::Result<std::unique_ptr<Camera>> V4l2Camera::open(const std::filesystem::path& path, base::Clock& clock) {
  if (path.empty()) {
    return fail(Code::invalid_argument, "no device; write v4l2:/dev/videoN; " + capture_nodes_text());
  }
  WAYSIDE_TRY(V4l2Device device, V4l2Device::open(path));
  base::UniqueFd wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.valid()) return base::fail_errno("eventfd");
  return std::unique_ptr<Camera>(new V4l2Camera(path, std::move(device), std::move(wake), clock));
}

std::string V4l2Camera::describe() const { return std::format("v4l2:{} ({})", path_.string(), socket_.card); }

base::Result<CameraFormat> V4l2Camera::configure(const CameraRequest& request) {
  if (state_ == CameraState::streaming) return bad_state("configure", state_, "call stop() first");
  if (!device_) {
    WAYSIDE_TRY(V4l2Device found, find_device());
    device_ = std::move(found);
  }
  auto format = negotiate(*device_, request);
  if (!format) {
    if (format.error().code == Code::disconnected) device_.reset();
    return std::unexpected(std::move(format).error());
  }
  format_ = *format;
  request_ = request;
  state_ = CameraState::configured;
  return judge(request, format_.code.format, format_.size, format_.rate_hz);
}

base::Result<void> V4l2Camera::start() {
  if (state_ == CameraState::opened) return bad_state("start", state_, "call configure() first");
  if (state_ == CameraState::streaming) return bad_state("start", state_, "call next()");
  if (!device_) return fail(Code::disconnected, std::format("{}: unplugged; call configure() again", describe()));
  std::erase_if(retired_, [](const auto& pool) { return !pool->any_leased(); });
  if (!retired_.empty()) {
    return fail(Code::exhausted, std::format("{}: pictures of the stream before are still on lease", describe()));
  }
  next_sequence_ = 0;
  if (auto begun = begin_stream(); !begun) {
    pool_.reset();
    if (begun.error().code == Code::disconnected) device_.reset();
    return begun;
  }
  state_ = CameraState::streaming;
  return {};
}

base::Result<void> V4l2Camera::begin_stream() {
  WAYSIDE_TRY(pool_, BufferPool::create(*device_, format_));
  WAYSIDE_CHECK(pool_->stream_on());
  sequence_base_ = next_sequence_;
  last_progress_ = clock_.now();
  restarted_since_frame_ = false;
  return {};
}

void V4l2Camera::stop() {
  if (state_ != CameraState::streaming) return;
  if (pool_ && pool_->any_leased()) {  // against the rules, but the readers' memory stays
    retire_pool();
  }
  pool_.reset();
  state_ = CameraState::configured;
}

void V4l2Camera::interrupt() { (void)::eventfd_write(wake_.get(), 1); }

base::Result<Frame> V4l2Camera::next(std::chrono::milliseconds limit) {
  if (state_ != CameraState::streaming) return bad_state("next", state_, "call start() first");
  const MonotonicTime deadline = clock_.now() + limit;
  while (true) {
    if (!pool_) {
      if (clock_.now() >= next_reopen_) {
        if (const auto back = reopen(); !back) last_try_ = "; last try: " + back.error().message;
      }
      if (!pool_ && clock_.now() >= deadline) return fail(Code::disconnected, lost_why_ + last_try_);
      if (!pool_) {
        if (!wait(std::min(deadline, next_reopen_), false)) break;
        continue;
      }
    }
    auto taken = take_newest();
    if (!taken) {
      const bool unplugged = taken.error().code == Code::disconnected;
      if (unplugged) {
        lose(taken.error().message);
        return fail(Code::disconnected, lost_why_);
      }
      recover(taken.error().message);
      continue;
    }
    if (*taken) return std::move(**taken);
    const bool driver_has_buffers = pool_->queue_idle();
    const MonotonicTime now = clock_.now();
    if (!driver_has_buffers) last_progress_ = now;  // nothing can come while every picture is on lease
    const MonotonicTime stalled_at = last_progress_ + stall_time();
    if (now >= stalled_at) {
      recover(std::format("no picture for {:.1f} s", std::chrono::duration<double>(now - last_progress_).count()));
      continue;
    }
    if (now >= deadline) {
      if (driver_has_buffers) break;
      return fail(Code::exhausted, std::format("{}: all pictures are on lease; release one before next()", describe()));
    }
    const MonotonicTime until = std::min(deadline, driver_has_buffers ? stalled_at : now + kLeaseSlice);
    if (!wait(until, driver_has_buffers)) break;
  }
  return fail(Code::timeout, std::format("{}: no picture yet", describe()));
}

base::Result<std::optional<Frame>> V4l2Camera::take_newest() {
  std::optional<V4l2Filled> newest;
  // Each round takes one of the pool's buffers, and those put back cannot fill up again without time passing.
  for (std::uint32_t round = 0; round < 2 * kV4l2Buffers; ++round) {
    auto filled = pool_->dequeue();
    if (!filled) {
      if (newest) pool_->put_back(newest->index);
      return std::unexpected(std::move(filled).error());
    }
    if (!*filled) break;
    if ((*filled)->damaged) {
      ++counters_.damaged_frames;
      last_progress_ = clock_.now();  // damaged, but the camera is alive
      pool_->put_back((*filled)->index);
      continue;
    }
    if (newest) {
      ++counters_.stale_frames;
      pool_->put_back(newest->index);
    }
    newest = **filled;
  }
  if (!newest) return std::nullopt;
  return make_frame(*newest);
}

Frame V4l2Camera::make_frame(const V4l2Filled& filled) {
  last_progress_ = clock_.now();
  restarted_since_frame_ = false;
  std::uint64_t sequence = sequence_base_ + filled.sequence;
  if (sequence < next_sequence_) {  // the driver's 32-bit number has wrapped, or it does not count
    constexpr std::uint64_t kWrap = std::uint64_t{1} << 32;
    sequence_base_ += next_sequence_ - sequence > kWrap / 2 ? kWrap : next_sequence_ - sequence;
    sequence = sequence_base_ + filled.sequence;
  }
  next_sequence_ = sequence + 1;
  // Drivers that compute the time from the frame rate may run ahead of the clock by some ms.
  return Frame(
      {.image = pool_->lease(filled.index),
       .sequence = sequence,
       .timestamp = filled.timestamp.count() != 0 ? std::min(filled.timestamp, last_progress_) : last_progress_,
       .truth = {},
       .releaser = pool_.get(),
       .buffer_index = filled.index});
}

bool V4l2Camera::wait(MonotonicTime until, bool for_driver) {
  pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {for_driver ? device_->fd() : -1, POLLIN, 0}};
  // An error or hang-up of the device needs no look here: dequeue() then tells what it is. EINTR is a short wait.
  if (::poll(fds, 2, poll_ms(until - clock_.now())) <= 0) return true;
  if ((fds[0].revents & POLLIN) == 0) return true;
  eventfd_t count = 0;
  (void)::eventfd_read(wake_.get(), &count);
  return false;
}

MonotonicTime V4l2Camera::stall_time() const {
  const double rate_hz = format_.rate_hz > 0 ? format_.rate_hz : kAssumedRateHz;
  return std::max(kMinStall,
                  std::chrono::duration_cast<MonotonicTime>(std::chrono::duration<double>(kStallFrames / rate_hz)));
}

void V4l2Camera::recover(const std::string& why) {
  if (restarted_since_frame_) return lose(why + ", and a restart of the stream did not help");
  base::log_warn("event=camera_restart camera={} why=\"{}\"", path_.string(), why);
  ++counters_.restarts;
  pool_->stream_off();
  if (auto on = pool_->stream_on(); !on) return lose(on.error().message);
  sequence_base_ = next_sequence_;
  last_progress_ = clock_.now();
  restarted_since_frame_ = true;
}

void V4l2Camera::lose(const std::string& why) {
  ++counters_.losses;
  lost_why_ = std::format("{}: lost ({}); looking for it on {}", describe(), why, socket_.bus_info);
  last_try_.clear();
  base::log_warn("event=camera_lost camera={} why=\"{}\"", path_.string(), why);
  retire_pool();
  device_.reset();
  next_reopen_ = clock_.now() + kReopenInterval;
}

void V4l2Camera::retire_pool() {
  pool_->stream_off();
  pool_->detach();
  std::erase_if(retired_, [](const auto& pool) { return !pool->any_leased(); });
  if (pool_->any_leased()) retired_.push_back(std::move(pool_));
  pool_.reset();
}

base::Result<void> V4l2Camera::reopen() {
  next_reopen_ = clock_.now() + kReopenInterval;
  std::erase_if(retired_, [](const auto& pool) { return !pool->any_leased(); });
  if (retired_.size() >= kMaxRetired) {
    return fail(Code::exhausted,
                std::format("{}: pictures of {} earlier streams are still on lease", describe(), retired_.size()));
  }
  WAYSIDE_TRY(V4l2Device found, find_device());
  WAYSIDE_TRY(const V4l2StreamFormat format, negotiate(found, request_));
  const bool same = format.code.format == format_.code.format && format.size == format_.size;
  device_ = std::move(found);
  format_ = format;
  if (auto begun = begin_stream(); !begun) {
    pool_.reset();
    device_.reset();
    return begun;
  }
  ++counters_.reopens;
  base::log_info("event=camera_back camera={} node={} format={} width_px={} height_px={} same_format={}",
                 path_.string(), device_->info().path.string(), base::to_string(format.code.format),
                 format.size.width_px, format.size.height_px, same);
  return {};
}

base::Result<V4l2Device> V4l2Camera::find_device() const {
  auto first = V4l2Device::open(path_);
  if (first && first->info().same_socket(socket_)) return first;
  for (const auto& node : video_nodes()) {
    auto other = V4l2Device::open(node);
    if (other && other->info().same_socket(socket_)) return other;
  }
  if (!first) return first;
  return fail(Code::disconnected, std::format("{}: another device has this name now", path_.string()));
}

}  // namespace wayside::drivers
