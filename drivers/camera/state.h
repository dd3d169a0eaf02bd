// SPDX-License-Identifier: Apache-2.0
// CameraState: the states of camera.h and the refusal of calls that are not legal in them.
#pragma once

#include <format>
#include <string_view>

#include "base/result.h"

namespace wayside::drivers {

enum class CameraState { opened, configured, streaming };

[[nodiscard]] constexpr std::string_view to_string(CameraState state) {
  switch (state) {
    case CameraState::opened: return "opened";
    case CameraState::configured: return "configured";
    case CameraState::streaming: return "streaming";
  }
  return "unknown";
}

/// The answer to a call that the state forbids: names the call, the state and the call that helps.
[[nodiscard]] inline std::unexpected<base::Error> bad_state(std::string_view call, CameraState state,
                                                            std::string_view remedy) {
  return base::fail(base::Code::bad_state,
                    std::format("camera: {}() is not legal when {}; {}", call, to_string(state), remedy));
}

}  // namespace wayside::drivers
