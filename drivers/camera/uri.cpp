// SPDX-License-Identifier: Apache-2.0
// Parsing of camera URIs.
#include "drivers/camera/uri.h"

#include <format>

namespace wayside::drivers {

base::Result<CameraUri> parse_camera_uri(std::string_view uri) {
  const auto colon = uri.find(':');
  if (colon == std::string_view::npos) {
    return base::fail(
        base::Code::invalid_argument,
        std::format("camera '{}': no scheme; write e.g. v4l2:/dev/video0, replay:FILE or synthetic:", uri));
  }
  CameraUri result{std::string(uri.substr(0, colon)), {}, {}};
  std::string_view rest = uri.substr(colon + 1);
  const auto question = rest.find('?');
  result.path = rest.substr(0, question);
  if (question == std::string_view::npos) return result;
  rest.remove_prefix(question + 1);
  while (!rest.empty()) {
    const auto end = rest.find('&');
    const std::string_view option = rest.substr(0, end);
    const auto equals = option.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return base::fail(base::Code::invalid_argument, std::format("camera '{}': '{}' is not KEY=VALUE", uri, option));
    }
    if (result.options.size() == kMaxUriOptions) {
      return base::fail(base::Code::invalid_argument,
                        std::format("camera '{}': more than {} options", uri, kMaxUriOptions));
    }
    result.options.emplace_back(option.substr(0, equals), option.substr(equals + 1));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return result;
}

}  // namespace wayside::drivers
