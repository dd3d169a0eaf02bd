// SPDX-License-Identifier: Apache-2.0
// Names of the transfer's topics.
#include "ota/transfer/topics.h"

#include <format>

#include "base/mqtt/message.h"

namespace wayside::ota {

std::string blob_request_topic(std::string_view root, std::string_view device) {
  return std::format("{}/device/{}///blob/get", root, device);
}

std::string blob_reply_topic(std::string_view root, std::string_view device) {
  return std::format("{}/device/{}///blob/data", root, device);
}

std::string site_blob_topic(std::string_view root, std::string_view site, const Digest& blob) {
  return std::format("{}/site/{}/blob/{}", root, site, blob.hex());
}

std::string server_filter(std::string_view root, std::string_view group) {
  const std::string all = std::format("{}/device/+///blob/get", root);
  return group.empty() ? all : std::format("$share/{}/{}", group, all);
}

std::optional<std::string> reply_topic_of(std::string_view root, std::string_view request_topic) {
  const std::string before = std::format("{}/device/", root);
  constexpr std::string_view kAfter = "///blob/get";
  if (!request_topic.starts_with(before) || !request_topic.ends_with(kAfter)) return std::nullopt;
  if (request_topic.size() <= before.size() + kAfter.size()) return std::nullopt;
  const auto device = request_topic.substr(before.size(), request_topic.size() - before.size() - kAfter.size());
  if (!base::mqtt::check_topic_level("device", device)) return std::nullopt;
  return blob_reply_topic(root, device);
}

}  // namespace wayside::ota
