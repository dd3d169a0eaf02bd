// SPDX-License-Identifier: Apache-2.0
// JSON of commands and reports.
#include "fleet/rollout/wire.h"

#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "ota/package/manifest.h"

namespace wayside::fleet {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Json = nlohmann::json;

constexpr std::string_view kModels = "///cmd/model_update/", kFirmware = "///cmd/firmware_update/";
constexpr std::size_t kMaxText = 500;

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  return found->get<std::string>().substr(0, kMaxText);
}

/// 0 when absent, of another type, negative or beyond 2^53.
std::uint64_t count(const Json& object, const char* key) {
  constexpr std::uint64_t kMax = 1ULL << 53U;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return 0;
  return std::min(found->get<std::uint64_t>(), kMax);
}

const Json& child(const Json& object, const char* key) {
  static const Json none = Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : none;
}

std::string rfc3339(std::int64_t unix_s) {
  return base::rfc3339(std::chrono::system_clock::time_point(std::chrono::seconds(unix_s)));
}

Json parse_object(std::string_view payload) {
  if (payload.empty() || payload.size() > kMaxReportBytes) return {};
  auto json = Json::parse(payload, nullptr, false);
  return json.is_object() ? json : Json();
}

}  // namespace

std::string command_topic(std::string_view root, std::string_view device, const ota::RolloutPolicy& policy) {
  return std::format("{}/device/{}{}{}", root, device, policy.role == ota::kFirmwareRole ? kFirmware : kModels,
                     policy.id);
}

std::string reports_filter(std::string_view root, const ota::RolloutPolicy& policy) {
  return command_topic(root, "+", policy);
}

std::string commands_filter(std::string_view root, std::string_view device) {
  return std::format("{}/device/{}{}+", root, device, kModels);
}

std::optional<CommandTopic> parse_command_topic(std::string_view root, std::string_view topic) {
  const std::string start = std::format("{}/device/", root);
  if (!topic.starts_with(start)) return std::nullopt;
  topic.remove_prefix(start.size());
  const auto channel = topic.contains(kFirmware) ? kFirmware : kModels;
  const auto middle = topic.find(channel);
  if (middle == std::string_view::npos) return std::nullopt;
  CommandTopic parts{std::string(topic.substr(0, middle)), std::string(topic.substr(middle + channel.size()))};
  if (!base::mqtt::check_topic_level("device", parts.device) ||
      !base::mqtt::check_topic_level("command", parts.command))
    return std::nullopt;
  return parts;
}

std::string inventory_topic(std::string_view root, std::string_view device) {
  return std::format("{}/device/{}///twin/inventory", root, device);
}

std::string manifest_topic(std::string_view root, std::string_view manifest_sha256) {
  return std::format("{}/fleet/manifest/{}", root, manifest_sha256);
}

std::string policy_topic(std::string_view root, std::string_view rollout) {
  return std::format("{}/fleet/rollout/{}", root, rollout);
}

base::mqtt::Message command_message(std::string_view root, std::string_view device, const ota::RolloutPolicy& policy,
                                    std::int64_t now_unix_s) {
  Json json = {
      {"status", "init"},
      {"exec", 1},
      {"not_after", rfc3339(policy.expires_unix_s)},
      {"not_after_unix_s", policy.expires_unix_s},
      {"requester", "rollout/" + policy.id},
      {"rollout", policy.id},
      {"role", policy.role},
      {"target",
       {{"name", policy.target_name}, {"version", policy.target_version}, {"manifest_sha256", policy.manifest_sha256}}},
      {"time", rfc3339(now_unix_s)}};
  if (policy.max_bytes > 0) json["hints"] = {{"max_bytes", policy.max_bytes}};
  auto message = base::mqtt::json_message(command_topic(root, device, policy), json.dump(), 1, true);
  const auto left_s = std::clamp<std::int64_t>(policy.expires_unix_s - now_unix_s, 1, UINT32_MAX);
  message.expiry_s = static_cast<std::uint32_t>(left_s);
  return message;
}

base::mqtt::Message clear_message(std::string_view root, std::string_view device, const ota::RolloutPolicy& policy) {
  base::mqtt::Message message;
  message.topic = command_topic(root, device, policy);
  message.retain = true;
  return message;
}

std::optional<Command> parse_command(std::string_view payload) {
  const Json json = parse_object(payload);
  if (json.is_null() || text(json, "status") != "init") return std::nullopt;
  Command command{text(child(json, "target"), "manifest_sha256"), text(json, "role"),
                  static_cast<std::int64_t>(count(json, "not_after_unix_s"))};
  if (command.manifest_sha256.empty() || command.role.empty()) return std::nullopt;
  return command;
}

base::mqtt::Message report_message(std::string_view root, std::string_view device, std::string_view command,
                                   const DeviceReport& report) {
  Json json = {{"status", report.status},
               {"exec", 1},
               {"seq", report.seq},
               {"step", report.step},
               {"progress", report.progress_percent},
               {"target", {{"manifest_sha256", report.manifest_sha256}}},
               {"bytes", {{"done", report.bytes}}},
               {"gate", {{"shadow", {{"compared", report.compared}, {"disagreed", report.disagreed}}}}}};
  if (!report.code.empty()) json["code"] = report.code;
  if (!report.reason.empty()) json["reason"] = report.reason;
  return base::mqtt::json_message(std::format("{}/device/{}{}{}", root, device, kModels, command),
                                  json.dump(-1, ' ', false, Json::error_handler_t::replace), 1, true);
}

Result<DeviceReport> parse_report(std::string_view payload) {
  if (payload.empty()) return fail(Code::unsupported, "no report: the command was cleared");
  const Json json = parse_object(payload);
  if (json.is_null()) return fail(Code::corrupt, "report is not a JSON object of at most 64 KiB");
  DeviceReport report{.status = text(json, "status"),
                      .seq = static_cast<std::int64_t>(count(json, "seq")),
                      .manifest_sha256 = text(child(json, "target"), "manifest_sha256"),
                      .step = text(json, "step"),
                      .code = text(json, "code"),
                      .reason = text(json, "reason")};
  if (report.status == "init") return fail(Code::unsupported, "no report: a command");
  if (report.status.empty()) return fail(Code::corrupt, "report without a status");
  report.progress_percent = static_cast<std::int64_t>(std::min<std::uint64_t>(count(json, "progress"), 100));
  const Json& shadow = child(child(json, "gate"), "shadow");
  report.compared = count(shadow, "compared");
  report.disagreed = count(shadow, "disagreed");
  report.bytes = count(child(json, "bytes"), "done");
  return report;
}

}  // namespace wayside::fleet
