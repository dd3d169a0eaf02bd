// SPDX-License-Identifier: Apache-2.0
// Who gets a certificate, and the answers.
#include "fleet/identity/provisioning.h"

#include <format>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/mqtt/message.h"

namespace wayside::fleet {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Json = nlohmann::json;

constexpr std::size_t kMaxRequestBytes = 20 * 1024;

std::string text(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

Result<std::string> ProvisioningDesk::grant(const std::string& claim, const std::string& id, const std::string& request,
                                            std::int64_t now_unix_s) {
  auto found = inventory_.find(id);
  // The same words for unknown, revoked and served: a claim must not be a way to list devices.
  const auto refused = fail(Code::bad_state, "not allowed: the operator must run: wayside fleet enroll " + id);
  if (!found || found->state != DeviceState::allowed) return refused;
  const auto tied = found->labels.find("claim");
  if (tied != found->labels.end() && tied->second != claim) return refused;
  WAYSIDE_TRY(auto certificate, authority_.sign_request(request, id));
  WAYSIDE_TRY(found->certificate_sha256, fingerprint(certificate));
  found->state = DeviceState::enrolled;
  found->enrolled_unix_s = now_unix_s;
  WAYSIDE_CHECK(inventory_.put(*found));  // before the certificate leaves: it is granted once
  return certificate;
}

ProvisioningDesk::Reply ProvisioningDesk::answer(const std::string& claim, const std::string& payload,
                                                 std::int64_t now_unix_s) {
  Reply reply;
  if (payload.size() > kMaxRequestBytes) return reply;
  const Json json = Json::parse(payload, nullptr, false);
  const std::string device = text(json, "device");
  if (!base::mqtt::check_topic_level("device id", device)) return reply;
  reply.device = device;
  const auto certificate = grant(claim, device, text(json, "csr"), now_unix_s);
  reply.granted = certificate.has_value();
  Json answer = {{"device", device}};
  if (certificate)
    answer["certificate"] = *certificate;
  else
    answer["refused"] = certificate.error().message;
  reply.payload = answer.dump(-1, ' ', false, Json::error_handler_t::replace);
  base::log_info("provision claim={} device={} granted={} reason=\"{}\"", claim, device, reply.granted,
                 certificate ? "" : certificate.error().message);
  return reply;
}

}  // namespace wayside::fleet
