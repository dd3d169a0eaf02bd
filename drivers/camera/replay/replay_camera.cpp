// SPDX-License-Identifier: Apache-2.0
// Pacing, leases and looping of recorded pictures.
#include "drivers/camera/replay/replay_camera.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <format>

namespace wayside::drivers {
namespace {

using base::Code;
using base::fail;
using base::MonotonicTime;

// How long interrupt() and the return of a lease may take to be noticed by a waiting next().
constexpr MonotonicTime kWaitSlice = std::chrono::milliseconds(10);

std::string size_text(std::uint32_t width_px, std::uint32_t height_px) {
  return std::format("{}x{}", width_px, height_px);
}

}  // namespace

base::Result<ReplayOptions> parse_replay_options(const std::vector<std::pair<std::string, std::string>>& options) {
  ReplayOptions result;
  for (const auto& [key, value] : options) {
    if (key == "rate" && value == "fast") {
      result.fast = true;
    } else if (key == "rate") {
      double rate_hz = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), rate_hz);
      if (error != std::errc{} || end != value.data() + value.size() || !(rate_hz > 0 && rate_hz <= kMaxReplayRateHz)) {
        return fail(
            Code::invalid_argument,
            std::format("rate={}: not a number of pictures per second up to {}, nor 'fast'", value, kMaxReplayRateHz));
      }
      result.rate_hz = rate_hz;
    } else if (key == "loop" && (value == "0" || value == "1")) {
      result.loop = value == "1";
    } else {
      return fail(Code::invalid_argument,
                  std::format("{}={}: a replay knows rate=HZ, rate=fast, loop=0 and loop=1", key, value));
    }
  }
  return result;
}

ReplayCamera::ReplayCamera(std::filesystem::path path, const ReplayOptions& options,
                           std::unique_ptr<PictureSource> source, base::Clock& clock)
    : path_(std::move(path)), options_(options), source_(std::move(source)), clock_(clock) {}

base::Result<std::unique_ptr<Camera>> ReplayCamera::open(const std::filesystem::path& path,
                                                         const ReplayOptions& options, base::Clock& clock) {
  WAYSIDE_TRY(auto source, open_picture_source(path));
  return std::unique_ptr<Camera>(new ReplayCamera(path, options, std::move(source), clock));
}

base::Result<CameraFormat> ReplayCamera::configure(const CameraRequest& request) {
  if (state_ == CameraState::streaming) return bad_state("configure", state_, "call stop() first");
  const PictureSource::Info& info = source_->info();
  if (!request.formats.empty() && std::ranges::find(request.formats, info.format) == request.formats.end()) {
    return fail(Code::unsupported, std::format("{}: its pictures are {}, which was not among the formats asked for",
                                               describe(), base::to_string(info.format)));
  }
  CameraFormat result{Verdict::valid, {}, info.format, info.width_px, info.height_px, 0};
  if (!options_.fast) {
    result.rate_hz = options_.rate_hz > 0  ? options_.rate_hz
                     : info.rate_hz > 0    ? info.rate_hz
                     : request.rate_hz > 0 ? std::min(request.rate_hz, kMaxReplayRateHz)
                                           : kDefaultReplayRateHz;
  }
  const auto adjust = [&result](const std::string& why) {
    result.verdict = Verdict::adjusted;
    result.why += (result.why.empty() ? "" : "; ") + why;
  };
  const std::uint32_t wanted_width = request.width_px != 0 ? request.width_px : info.width_px;
  const std::uint32_t wanted_height = request.height_px != 0 ? request.height_px : info.height_px;
  if (wanted_width != info.width_px || wanted_height != info.height_px) {
    adjust(std::format("asked {}, the recording is {}", size_text(wanted_width, wanted_height),
                       size_text(info.width_px, info.height_px)));
  }
  if (request.rate_hz > 0 && options_.fast) {
    adjust(std::format("asked {:.4g} Hz, replaying as fast as possible", request.rate_hz));
  } else if (request.rate_hz > 0 && std::abs(request.rate_hz - result.rate_hz) > 0.01) {
    adjust(std::format("asked {:.4g} Hz, the recording runs at {:.4g} Hz", request.rate_hz, result.rate_hz));
  }
  rate_hz_ = result.rate_hz;
  state_ = CameraState::configured;
  return result;
}

base::Result<void> ReplayCamera::start() {
  if (state_ == CameraState::opened) return bad_state("start", state_, "call configure() first");
  if (state_ == CameraState::streaming) return bad_state("start", state_, "call next()");
  source_->rewind();
  sequence_ = 0;
  first_of_pass_ = 0;
  interrupted_ = false;
  started_ = clock_.now();
  state_ = CameraState::streaming;
  return {};
}

void ReplayCamera::stop() {
  if (state_ == CameraState::streaming) state_ = CameraState::configured;
}

base::Result<Frame> ReplayCamera::next(std::chrono::milliseconds limit) {
  if (state_ != CameraState::streaming) return bad_state("next", state_, "call start() first");
  const MonotonicTime deadline = clock_.now() + limit;
  WAYSIDE_TRY(const std::uint32_t slot, free_slot(deadline));
  if (!options_.fast) {
    WAYSIDE_CHECK(wait_until(due_time(sequence_), deadline));
    catch_up(clock_.now());
  }
  if (source_->at_end()) {
    if (!options_.loop) return fail(Code::end_of_stream, std::format("{}: end of the recording", describe()));
    begin_pass();
  }
  auto image = source_->read(slot);
  const std::uint64_t sequence = sequence_++;
  if (!image) {
    if (image.error().code != Code::corrupt) image.error().code = Code::corrupt;  // one file that cannot be read
    image.error().context(std::format("{}: picture {}", describe(), sequence));
    return std::unexpected(std::move(image).error());
  }
  leased_[slot] = true;
  return Frame({.image = *image,
                .sequence = sequence,
                .timestamp = options_.fast ? clock_.now() : due_time(sequence),
                .truth = {},
                .releaser = this,
                .buffer_index = slot});
}

base::Result<std::uint32_t> ReplayCamera::free_slot(MonotonicTime deadline) {
  while (true) {
    for (std::uint32_t slot = 0; slot < kReplaySlots; ++slot) {
      if (!leased_[slot]) return slot;
    }
    if (!wait_until(clock_.now() + kWaitSlice, deadline)) {
      return fail(Code::exhausted,
                  std::format("{}: all {} pictures are on lease; release one before next()", describe(), kReplaySlots));
    }
  }
}

base::Result<void> ReplayCamera::wait_until(MonotonicTime due, MonotonicTime deadline) {
  while (true) {
    if (interrupted_.exchange(false)) return fail(Code::timeout, std::format("{}: interrupted", describe()));
    const MonotonicTime now = clock_.now();
    if (now >= due) return {};
    if (now >= deadline) return fail(Code::timeout, std::format("{}: no picture is due yet", describe()));
    clock_.sleep_until(std::min({due, deadline, now + kWaitSlice}));
  }
}

void ReplayCamera::catch_up(MonotonicTime now) {
  if (now < due_time(sequence_ + 1)) return;
  const double due_s = std::chrono::duration<double>(now - started_).count();
  const auto newest = std::max(sequence_, static_cast<std::uint64_t>(due_s * rate_hz_));
  std::uint64_t missed = newest - sequence_;
  if (options_.loop && pictures_per_pass_ > 0) {  // whole passes change nothing but the number
    const std::uint64_t whole = missed / pictures_per_pass_ * pictures_per_pass_;
    sequence_ += whole;
    first_of_pass_ += whole;
    missed -= whole;
  }
  while (missed > 0 && pass_over_one()) --missed;
}

bool ReplayCamera::pass_over_one() {
  if (source_->at_end()) {
    if (!options_.loop) return false;
    begin_pass();
  }
  if (!source_->skip()) {
    if (!options_.loop) return false;
    ++sequence_;
    begin_pass();
    return true;
  }
  ++sequence_;
  return true;
}

void ReplayCamera::begin_pass() {
  pictures_per_pass_ = sequence_ - first_of_pass_;
  first_of_pass_ = sequence_;
  source_->rewind();
}

MonotonicTime ReplayCamera::due_time(std::uint64_t sequence) const {
  return started_ + std::chrono::duration_cast<MonotonicTime>(
                        std::chrono::duration<double>(static_cast<double>(sequence) / rate_hz_));
}

}  // namespace wayside::drivers
