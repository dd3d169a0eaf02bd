// SPDX-License-Identifier: Apache-2.0
// Topics: the names under which one device publishes (docs/topics.md).
#pragma once

#include <string>
#include <string_view>

namespace wayside::agent {

/// thin-edge.io's scheme: <root>/<4-segment identifier>/<channel>. The device itself is "device/<id>//", its agent
/// process "device/<id>/service/agent". Root and id must have passed mqtt::check_topic_level.
class Topics {
 public:
  Topics(std::string_view root, std::string_view device_id);

  [[nodiscard]] std::string device() const { return device_; }  ///< registration, retained
  [[nodiscard]] std::string service() const { return service_; }
  [[nodiscard]] std::string health() const { return service_ + "/status/health"; }
  [[nodiscard]] std::string twin(std::string_view what) const { return join("twin", what); }
  [[nodiscard]] std::string model(std::string_view role) const { return join("twin/model", role); }
  [[nodiscard]] std::string measurement(std::string_view type) const { return join("m", type); }
  [[nodiscard]] std::string measurement_meta(std::string_view type) const { return join("m", type) + "/meta"; }
  [[nodiscard]] std::string event(std::string_view type) const { return join("e", type); }

 private:
  [[nodiscard]] std::string join(std::string_view channel, std::string_view name) const;
  std::string device_;
  std::string service_;
};

}  // namespace wayside::agent
