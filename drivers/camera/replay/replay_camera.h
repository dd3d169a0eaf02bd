// SPDX-License-Identifier: Apache-2.0
// ReplayCamera: recorded pictures that arrive like those of a camera, or as fast as they are taken.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/camera/camera.h"
#include "drivers/camera/replay/picture_source.h"
#include "drivers/camera/state.h"

namespace wayside::drivers {

struct ReplayOptions {
  double rate_hz = 0;  ///< 0: the file's own rate, else the request's, else kDefaultReplayRateHz
  bool fast = false;   ///< every picture, at once; timestamps are the time of next()
  bool loop = false;   ///< start again at the end; the sequence number goes on
};

inline constexpr double kDefaultReplayRateHz =
    10;  ///< where nobody names a rate: that of a modest USB camera in bad light
inline constexpr double kMaxReplayRateHz = 1000;

/// "rate=HZ|fast", "loop=0|1". Errors: invalid_argument naming the option.
base::Result<ReplayOptions> parse_replay_options(const std::vector<std::pair<std::string, std::string>>& options);

/// Paced: picture k is due at start + k / rate; next() gives the newest picture that is due, and a gap in the
/// sequence shows those that were missed. The last picture is always given. Fast: every picture; CameraFormat.rate_hz
/// is then 0. Pictures carry their own size, which may differ from the configured one (a folder of photographs).
/// stop() and start() begin at the first picture again.
class ReplayCamera final : public Camera, private Frame::Releaser {
 public:
  static base::Result<std::unique_ptr<Camera>> open(const std::filesystem::path& path, const ReplayOptions& options,
                                                    base::Clock& clock);

  std::string describe() const override { return "replay:" + path_.string(); }
  base::Result<CameraFormat> configure(const CameraRequest& request) override;
  base::Result<void> start() override;
  base::Result<Frame> next(std::chrono::milliseconds limit) override;
  void interrupt() override { interrupted_ = true; }
  void stop() override;

 private:
  ReplayCamera(std::filesystem::path path, const ReplayOptions& options, std::unique_ptr<PictureSource> source,
               base::Clock& clock);
  void release(std::uint32_t buffer_index) noexcept override { leased_[buffer_index] = false; }
  base::Result<std::uint32_t> free_slot(base::MonotonicTime deadline);
  /// Waits until `due` in slices, so that interrupt() works; timeout when `deadline` comes first.
  base::Result<void> wait_until(base::MonotonicTime due, base::MonotonicTime deadline);
  /// Passes over pictures until `sequence_` is that of the newest due one, or of the last.
  void catch_up(base::MonotonicTime now);
  bool pass_over_one();
  void begin_pass();
  [[nodiscard]] base::MonotonicTime due_time(std::uint64_t sequence) const;

  std::filesystem::path path_;
  ReplayOptions options_;
  std::unique_ptr<PictureSource> source_;
  base::Clock& clock_;
  CameraState state_ = CameraState::opened;
  double rate_hz_ = 0;
  base::MonotonicTime started_{0};
  std::uint64_t sequence_ = 0;           ///< of the picture that read() gives next
  std::uint64_t first_of_pass_ = 0;      ///< sequence of the first picture since the last rewind
  std::uint64_t pictures_per_pass_ = 0;  ///< 0 until the end was reached once
  std::array<std::atomic<bool>, kReplaySlots> leased_{};
  std::atomic<bool> interrupted_ = false;
};

}  // namespace wayside::drivers
