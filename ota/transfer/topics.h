// SPDX-License-Identifier: Apache-2.0
// Topics of the transfer (docs/topics.md, "Files over MQTT").
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ota/delta/digest_io.h"

namespace wayside::ota {

/// `<root>/device/<id>///blob/get`: requests of a device.
[[nodiscard]] std::string blob_request_topic(std::string_view root, std::string_view device);
/// `<root>/device/<id>///blob/data`: replies to one device.
[[nodiscard]] std::string blob_reply_topic(std::string_view root, std::string_view device);
/// `<root>/site/<site>/blob/<sha256>`: chunks of one blob for all devices of a site.
[[nodiscard]] std::string site_blob_topic(std::string_view root, std::string_view site, const Digest& blob);
/// What the servers subscribe to together: each request reaches one of them. Without a group: one server, on its own.
[[nodiscard]] std::string server_filter(std::string_view root, std::string_view group);

/// The reply topic that belongs to a request topic; nothing where it is not one.
[[nodiscard]] std::optional<std::string> reply_topic_of(std::string_view root, std::string_view request_topic);

}  // namespace wayside::ota
