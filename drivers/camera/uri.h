// SPDX-License-Identifier: Apache-2.0
// CameraUri: "scheme:path?key=value&key=value" taken apart.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wayside::drivers {

struct CameraUri {
  std::string scheme;
  std::string path;
  std::vector<std::pair<std::string, std::string>> options;  ///< in the order given, at most kMaxUriOptions
};

inline constexpr std::size_t kMaxUriOptions = 16;

/// Errors: invalid_argument for a missing scheme, an option without '=' or too many options.
base::Result<CameraUri> parse_camera_uri(std::string_view uri);

}  // namespace wayside::drivers
