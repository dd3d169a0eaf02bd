// SPDX-License-Identifier: Apache-2.0
// Camera and Frame: what every frame source (V4L2, libcamera, replay, synthetic) looks like to the agent.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/image.h"
#include "base/result.h"

namespace wayside::drivers {

/// A box that the source itself knows to be there (synthetic scenes only); pixels of the frame, x1/y1 exclusive.
struct TruthBox {
  float x0_px, y0_px, x1_px, y1_px;
  std::uint8_t class_id;    ///< index into kTruthClasses
  std::uint32_t object_id;  ///< stable over frames
  float visible_fraction;   ///< 0..1, share of the object neither occluded nor outside the frame
};
inline constexpr std::string_view kTruthClasses[] = {"person", "car", "truck", "two_wheeler", "plate"};

/// A lease of one picture. The pixels belong to the camera; destroying the lease gives the buffer back.
/// A camera has only a few buffers (kBufferCount): hold leases briefly. Must not outlive its camera.
class Frame {
 public:
  struct Releaser {  ///< implemented by cameras; called once per lease, from any thread
    virtual void release(std::uint32_t buffer_index) noexcept = 0;

   protected:
    ~Releaser() = default;
  };
  struct Init {
    base::ImageView image;
    std::uint64_t sequence = 0;        ///< counts frames at the source: gaps are frames lost before us
    base::MonotonicTime timestamp{0};  ///< when the picture was taken (start of exposure where known)
    std::span<const TruthBox> truth{};
    Releaser* releaser = nullptr;
    std::uint32_t buffer_index = 0;
  };

  Frame() = default;
  explicit Frame(const Init& init) : init_(init) {}
  Frame(Frame&& other) noexcept : init_(std::exchange(other.init_, Init{})) {}
  Frame& operator=(Frame&& other) noexcept {
    if (this != &other) {
      reset();
      init_ = std::exchange(other.init_, Init{});
    }
    return *this;
  }
  ~Frame() { reset(); }

  [[nodiscard]] const base::ImageView& image() const { return init_.image; }
  [[nodiscard]] std::uint64_t sequence() const { return init_.sequence; }
  [[nodiscard]] base::MonotonicTime timestamp() const { return init_.timestamp; }
  [[nodiscard]] std::span<const TruthBox> truth() const { return init_.truth; }
  [[nodiscard]] bool valid() const { return init_.image.planes[0].data != nullptr; }
  void reset() noexcept {
    if (init_.releaser != nullptr) init_.releaser->release(init_.buffer_index);
    init_ = Init{};
  }

 private:
  Init init_{};
};

/// Wishes of the user; 0 means "whatever the source prefers".
struct CameraRequest {
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  double rate_hz = 0;
  std::vector<base::PixelFormat> formats{};  ///< in order of preference; empty: any that the agent can read
};

enum class Verdict { valid, adjusted };  ///< adjusted: the source runs, but not exactly as asked; see `why`

struct CameraFormat {
  Verdict verdict = Verdict::valid;
  std::string why;  ///< e.g. "asked 1920x1080, camera offers at most 1280x720"; empty when valid
  base::PixelFormat format = base::PixelFormat::nv12;
  std::uint32_t width_px = 0;
  std::uint32_t height_px = 0;
  double rate_hz = 0;
};

/// A frame source. States: opened -> configure -> configured -> start -> streaming -> stop -> configured.
/// A call that is not legal in the present state answers Code::bad_state and changes nothing.
class Camera {
 public:
  virtual ~Camera() = default;
  /// For messages: "v4l2:/dev/video0 (UVC Camera)", "replay:street.mjpeg".
  [[nodiscard]] virtual std::string describe() const = 0;
  /// Legal when opened or configured. invalid_argument/unsupported when nothing near the request is possible.
  virtual base::Result<CameraFormat> configure(const CameraRequest& request) = 0;
  /// Legal when configured.
  virtual base::Result<void> start() = 0;
  /// Legal when streaming; one caller at a time. Waits for the newest picture, at most `limit`.
  /// Errors: timeout (a stall; the camera stays streaming, its own watchdog may have restarted the stream),
  /// disconnected (unplugged: keep calling, the camera reopens itself when the device is back and then delivers again),
  /// end_of_stream (a finite replay is over), corrupt (a damaged picture was skipped; call again).
  virtual base::Result<Frame> next(std::chrono::milliseconds limit) = 0;
  /// Makes a waiting next() return timeout soon; from any thread.
  virtual void interrupt() = 0;
  /// Legal in every state; all leases must have been released.
  virtual void stop() = 0;
};

/// Opens a source by its URI: "v4l2:/dev/video0", "replay:PATH[?rate=HZ|fast][&loop=0|1]", "synthetic:[seed=N]".
/// Errors name the source and the remedy (e.g. the capture nodes that do exist).
base::Result<std::unique_ptr<Camera>> open_camera(std::string_view uri, base::Clock& clock = base::Clock::real());

}  // namespace wayside::drivers
