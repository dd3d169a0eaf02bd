// SPDX-License-Identifier: Apache-2.0
// Options, pacing and buffers of the synthetic camera; the pictures come from Scene.
#include "drivers/camera/synthetic/synthetic.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <format>
#include <memory>
#include <numeric>
#include <optional>

#include "drivers/camera/state.h"
#include "drivers/camera/synthetic/scene.h"

namespace wayside::drivers {
namespace {

constexpr std::uint32_t kBufferCount = 4;  // as a V4L2 camera usually has
constexpr std::uint32_t kLeastWidth_px = 160, kLeastHeight_px = 120, kMostWidth_px = 1920, kMostHeight_px = 1080;
constexpr double kLeastRate_hz = 1, kMostRate_hz = 120;
constexpr std::chrono::milliseconds kWaitSlice{10};  // how late a waiting next() notices interrupt() or a freed buffer

struct Options {
  std::uint64_t seed = 1;
  double rate_hz = 15;
  std::uint32_t width_px = 1280, height_px = 720;
  bool fast = false;
  std::uint64_t frames = 0;
};
constexpr std::string_view kKeys[] = {"seed", "rate", "size", "pace", "frames"};

/// Levenshtein's distance of two short words.
std::size_t distance(std::string_view a, std::string_view b) {
  constexpr std::size_t kMost = 31;
  a = a.substr(0, kMost);
  std::array<std::size_t, kMost + 1> row;
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t j = 0; j < b.size(); ++j) {
    std::size_t diagonal = std::exchange(row[0], j + 1);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[i + 1];
      row[i + 1] = std::min({row[i] + 1, row[i + 1] + 1, change});
    }
  }
  return row[a.size()];
}

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::unexpected<base::Error> bad_value(std::string_view key, std::string_view value, std::string_view wanted) {
  return base::fail(base::Code::invalid_argument, std::format("synthetic camera: {}={}: want {}", key, value, wanted));
}

base::Result<void> apply(std::string_view key, std::string_view value, Options& options) {
  if (key == "seed" || key == "frames") {
    const auto parsed = number<std::uint64_t>(value);
    if (!parsed) return bad_value(key, value, "a whole number of at most 64 bits");
    (key == "seed" ? options.seed : options.frames) = *parsed;
  } else if (key == "rate") {
    const auto parsed = number<double>(value);
    if (!parsed || !(*parsed >= kLeastRate_hz && *parsed <= kMostRate_hz))
      return bad_value(key, value, "1..120 frames per second");
    options.rate_hz = *parsed;
  } else if (key == "size") {
    const auto cut = value.find('x');
    const std::uint32_t width = number<std::uint32_t>(value.substr(0, cut)).value_or(0);
    const std::uint32_t height = cut == value.npos ? 0 : number<std::uint32_t>(value.substr(cut + 1)).value_or(0);
    if (width % 2 != 0 || height % 2 != 0 || width < kLeastWidth_px || width > kMostWidth_px ||
        height < kLeastHeight_px || height > kMostHeight_px)
      return bad_value(key, value, "WxH with even numbers, 160x120 to 1920x1080, e.g. size=1280x720");
    options.width_px = width;
    options.height_px = height;
  } else if (key == "pace") {
    if (value != "real" && value != "fast") return bad_value(key, value, "real or fast");
    options.fast = value == "fast";
  } else {
    const auto nearest = std::ranges::min(kKeys, {}, [&](std::string_view known) { return distance(key, known); });
    return base::fail(
        base::Code::invalid_argument,
        std::format("synthetic camera: unknown option '{}'; did you mean '{}'? (known: seed, rate, size, pace, frames)",
                    key, nearest));
  }
  return {};
}

base::Result<Options> parse(std::string_view text) {
  Options options;
  if (text.starts_with('?')) text.remove_prefix(1);
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const auto equals = item.find('=');
    if (equals == item.npos)
      return base::fail(base::Code::invalid_argument,
                        std::format("synthetic camera: option '{}' has no value; write key=value, e.g. seed=7", item));
    WAYSIDE_CHECK(apply(item.substr(0, equals), item.substr(equals + 1), options));
  }
  return options;
}

class SyntheticCamera final : public Camera, private Frame::Releaser {
 public:
  SyntheticCamera(const Options& options, base::Clock& clock) : options_(options), clock_(clock) {}

  [[nodiscard]] std::string describe() const override {
    return std::format("synthetic:seed={} (procedural street)", options_.seed);
  }
  base::Result<CameraFormat> configure(const CameraRequest& request) override;
  base::Result<void> start() override;
  base::Result<Frame> next(std::chrono::milliseconds limit) override;
  void interrupt() override { interrupted_.store(true); }
  void stop() override {
    if (state_ == CameraState::streaming) state_ = CameraState::configured;
  }

 private:
  struct Buffer {
    std::unique_ptr<std::uint8_t[]> bytes;  ///< not written before its first frame: an unused buffer takes no memory
    std::vector<TruthBox> truth;
    std::atomic<bool> leased{false};
  };
  void release(std::uint32_t buffer_index) noexcept override {
    buffers_[buffer_index].leased.store(false, std::memory_order_release);
  }
  [[nodiscard]] base::MonotonicTime due(std::uint64_t frame) const {
    return started_ +
           base::MonotonicTime(static_cast<std::int64_t>(static_cast<double>(frame) * 1e9 / format_.rate_hz));
  }
  [[nodiscard]] Buffer* free_buffer();
  /// False when `deadline` has come or interrupt() was called.
  bool wait(base::MonotonicTime until, base::MonotonicTime deadline);
  Frame take(Buffer& buffer, std::uint64_t frame);

  const Options options_;
  base::Clock& clock_;
  CameraState state_ = CameraState::opened;
  CameraFormat format_;
  std::unique_ptr<synthetic::Scene> scene_;
  std::array<Buffer, kBufferCount> buffers_;
  std::atomic<bool> interrupted_{false};
  base::MonotonicTime started_{0};
  std::uint64_t next_frame_ = 0;
};

base::Result<CameraFormat> SyntheticCamera::configure(const CameraRequest& request) {
  if (state_ == CameraState::streaming) return bad_state("configure", state_, "call stop() first");
  CameraFormat format;
  const auto adjust = [&](std::string why) {
    format.verdict = Verdict::adjusted;
    format.why += (format.why.empty() ? "" : "; ") + why;
  };
  const std::uint32_t width = request.width_px != 0 ? request.width_px : options_.width_px;
  const std::uint32_t height = request.height_px != 0 ? request.height_px : options_.height_px;
  format.width_px = std::clamp(width, kLeastWidth_px, kMostWidth_px) & ~1U;
  format.height_px = std::clamp(height, kLeastHeight_px, kMostHeight_px) & ~1U;
  if (format.width_px != width || format.height_px != height)
    adjust(std::format("asked {}x{}, the street has even sizes from 160x120 to 1920x1080", width, height));
  const double rate = request.rate_hz > 0 ? request.rate_hz : options_.rate_hz;
  format.rate_hz = std::clamp(rate, kLeastRate_hz, kMostRate_hz);
  if (format.rate_hz != rate) adjust(std::format("asked {} Hz, the street has 1 to 120 Hz", rate));
  format.format = base::PixelFormat::nv12;
  if (!request.formats.empty() && std::ranges::find(request.formats, base::PixelFormat::nv12) == request.formats.end())
    adjust(std::format("asked {}, the street delivers nv12 only", base::to_string(request.formats.front())));

  scene_ = std::make_unique<synthetic::Scene>(synthetic::SceneOptions{.seed = options_.seed,
                                                                      .width_px = static_cast<int>(format.width_px),
                                                                      .height_px = static_cast<int>(format.height_px),
                                                                      .rate_hz = format.rate_hz});
  for (Buffer& buffer : buffers_) {
    buffer.bytes =
        std::make_unique_for_overwrite<std::uint8_t[]>(std::size_t{format.width_px} * format.height_px * 3 / 2);
    buffer.truth.reserve(synthetic::Scene::kMaxTruth);
  }
  format_ = format;
  state_ = CameraState::configured;
  return format;
}

base::Result<void> SyntheticCamera::start() {
  if (state_ != CameraState::configured)
    return bad_state("start", state_, state_ == CameraState::opened ? "call configure() first" : "call stop() first");
  started_ = clock_.now();
  next_frame_ = 0;
  interrupted_.store(false);
  state_ = CameraState::streaming;
  return {};
}

SyntheticCamera::Buffer* SyntheticCamera::free_buffer() {
  for (Buffer& buffer : buffers_)
    if (!buffer.leased.load(std::memory_order_acquire)) return &buffer;
  return nullptr;
}

bool SyntheticCamera::wait(base::MonotonicTime until, base::MonotonicTime deadline) {
  if (interrupted_.exchange(false)) return false;
  const base::MonotonicTime now = clock_.now();
  if (now >= deadline) return false;
  clock_.sleep_until(std::min({until, deadline, now + kWaitSlice}));
  return true;
}

base::Result<Frame> SyntheticCamera::next(std::chrono::milliseconds limit) {
  if (state_ != CameraState::streaming) return bad_state("next", state_, "call start() first");
  if (options_.frames != 0 && next_frame_ >= options_.frames)
    return base::fail(base::Code::end_of_stream,
                      std::format("synthetic camera: all {} frames were delivered", options_.frames));
  const base::MonotonicTime deadline = clock_.now() + limit;
  while (!options_.fast && clock_.now() < due(next_frame_))
    if (!wait(due(next_frame_), deadline))
      return base::fail(base::Code::timeout, std::format("synthetic camera: no frame within {}", limit));
  Buffer* buffer = free_buffer();
  for (; buffer == nullptr; buffer = free_buffer())
    if (!wait(clock_.now() + kWaitSlice, deadline))
      return base::fail(
          base::Code::timeout,
          std::format("synthetic camera: all {} buffers are leased; release a frame first", kBufferCount));
  std::uint64_t frame = next_frame_;
  if (!options_.fast) {  // the newest frame that is due
    const auto behind = static_cast<double>((clock_.now() - due(frame)).count()) * format_.rate_hz / 1e9;
    frame += static_cast<std::uint64_t>(std::max(behind, 0.0));
    if (options_.frames != 0) frame = std::min(frame, options_.frames - 1);
  }
  next_frame_ = frame + 1;
  return take(*buffer, frame);
}

Frame SyntheticCamera::take(Buffer& buffer, std::uint64_t frame) {
  buffer.leased.store(true, std::memory_order_relaxed);
  const std::size_t luma_bytes = std::size_t{format_.width_px} * format_.height_px;
  scene_->render(frame, {buffer.bytes.get(), buffer.bytes.get() + luma_bytes}, buffer.truth);
  Frame::Init init;
  init.image.format = base::PixelFormat::nv12;
  init.image.width_px = format_.width_px;
  init.image.height_px = format_.height_px;
  init.image.planes[0] = {buffer.bytes.get(), format_.width_px, luma_bytes, -1};
  init.image.planes[1] = {buffer.bytes.get() + luma_bytes, format_.width_px, luma_bytes / 2, -1};
  init.sequence = frame;
  init.timestamp = options_.fast ? clock_.now() : due(frame);
  init.truth = buffer.truth;
  init.releaser = this;
  init.buffer_index = static_cast<std::uint32_t>(&buffer - buffers_.data());
  return Frame(init);
}

}  // namespace

base::Result<std::unique_ptr<Camera>> open_synthetic(std::string_view options, base::Clock& clock) {
  WAYSIDE_TRY(const Options parsed, parse(options));
  return std::make_unique<SyntheticCamera>(parsed, clock);
}

}  // namespace wayside::drivers
