// SPDX-License-Identifier: Apache-2.0
// Builds topic names.
#include "agent/topics.h"

#include <format>

namespace wayside::agent {

Topics::Topics(std::string_view root, std::string_view device_id)
    : device_(std::format("{}/device/{}//", root, device_id)),
      service_(std::format("{}/device/{}/service/agent", root, device_id)) {}

std::string Topics::join(std::string_view channel, std::string_view name) const {
  return std::format("{}/{}/{}", device_, channel, name);
}

}  // namespace wayside::agent
