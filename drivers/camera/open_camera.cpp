// SPDX-License-Identifier: Apache-2.0
// open_camera: from a URI's scheme to the kind of camera.
#include <format>

#include "drivers/camera/camera.h"
#include "drivers/camera/replay/replay_camera.h"
#include "drivers/camera/synthetic/synthetic.h"
#include "drivers/camera/uri.h"
#include "drivers/camera/v4l2/v4l2_camera.h"

namespace wayside::drivers {
namespace {

base::Result<std::unique_ptr<Camera>> open_replay(const CameraUri& uri, base::Clock& clock) {
  if (uri.path.empty()) {
    return base::fail(base::Code::invalid_argument, "no path; write replay:PATH[?rate=HZ|fast][&loop=0|1]");
  }
  WAYSIDE_TRY(const ReplayOptions options, parse_replay_options(uri.options));
  return ReplayCamera::open(uri.path, options, clock);
}

base::Result<std::unique_ptr<Camera>> open_v4l2(const CameraUri& uri, base::Clock& clock) {
  if (!uri.options.empty()) {
    return base::fail(base::Code::invalid_argument,
                      "a v4l2 camera takes no options in its URI; set size, rate and formats in the request");
  }
  return V4l2Camera::open(uri.path, clock);
}

}  // namespace

base::Result<std::unique_ptr<Camera>> open_camera(std::string_view uri, base::Clock& clock) {
  constexpr std::string_view kSynthetic = "synthetic:";
  if (uri.starts_with(kSynthetic)) return open_synthetic(uri.substr(kSynthetic.size()), clock);
  WAYSIDE_TRY(const CameraUri parsed, parse_camera_uri(uri));
  const auto opened = [&]() -> base::Result<std::unique_ptr<Camera>> {
    if (parsed.scheme == "replay") return open_replay(parsed, clock);
    if (parsed.scheme == "v4l2") return open_v4l2(parsed, clock);
    return base::fail(base::Code::invalid_argument, "unknown kind of camera; there are v4l2:, replay: and synthetic:");
  };
  auto camera = opened();
  if (!camera) camera.error().context(std::format("camera '{}'", uri));
  return camera;
}

}  // namespace wayside::drivers
