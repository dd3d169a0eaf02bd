// SPDX-License-Identifier: Apache-2.0
// The device's half of enrolment; the operator's is fleet/identity/provisioning.
#include "ota/enrolment/enrolment.h"

#include <format>
#include <nlohmann/json.hpp>

namespace wayside::ota {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Json = nlohmann::json;

constexpr std::size_t kMaxAnswerBytes = 20 * 1024;
constexpr std::size_t kMaxReasonBytes = 300;

std::string text(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<std::string> certificate_of(const std::string& payload, const EnrolmentOptions& options, const DeviceKey& key) {
  const Json answer = payload.size() > kMaxAnswerBytes ? Json() : Json::parse(payload, nullptr, false);
  if (const auto refused = text(answer, "refused"); !refused.empty())
    return fail(Code::bad_state, refused.substr(0, kMaxReasonBytes));
  auto certificate = text(answer, "certificate");
  if (!key.has_certificate(certificate, options.device))
    return fail(Code::corrupt, std::format("the answer holds no certificate for {}'s key", options.device));
  return certificate;
}

}  // namespace

std::string enrolment_request_topic(std::string_view root, std::string_view claim) {
  return std::format("{}/provision/{}/csr", root, claim);
}

std::string enrolment_reply_topic(std::string_view root, std::string_view claim, std::string_view device) {
  return std::format("{}/provision/{}/crt/{}", root, claim, device);
}

Result<std::string> enroll(const EnrolmentOptions& options, const DeviceKey& key, base::Clock& clock) {
  using Kind = base::mqtt::Event::Kind;
  WAYSIDE_TRY(const auto request, key.request(options.device));
  WAYSIDE_TRY(auto client, base::mqtt::Client::create(options.claim_connection, clock));
  const auto reply_topic = enrolment_reply_topic(options.root, options.claim, options.device);
  client->subscribe(reply_topic, 1);
  const Json json = {{"device", options.device}, {"csr", request}};
  const auto message =
      base::mqtt::json_message(enrolment_request_topic(options.root, options.claim), json.dump(), 1, false);
  const auto deadline = clock.now() + options.limit;
  std::string last = "no answer; does the operator run: wayside fleet provision";
  while (clock.now() < deadline) {
    const auto event = client->wait(deadline);
    if (!event) continue;
    if (event->kind == Kind::connected) {
      WAYSIDE_CHECK(client->publish(message));
    } else if (event->kind == Kind::dropped || event->kind == Kind::connect_failed) {
      last = event->detail;
    } else if (event->kind == Kind::message && event->message.topic == reply_topic) {
      client->close(std::chrono::seconds(1));
      return certificate_of(event->message.payload, options, key);
    }
  }
  return fail(Code::timeout, last);
}

}  // namespace wayside::ota
