// SPDX-License-Identifier: Apache-2.0
// Reading commands.
#include "ota/updater/command.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <format>

#include "ota/package/canonical_json.h"

namespace wayside::ota {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kMaxIdBytes = 64;

std::optional<std::string> text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<int> number(std::string_view text, std::size_t at, std::size_t digits) {
  int value = 0;
  const auto part = text.substr(at, digits);
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  if (error != std::errc{} || end != part.data() + part.size() || part.front() == '-') return std::nullopt;
  return value;
}

std::unexpected<Refused> malformed(std::string what) { return refuse(Refusal::command_malformed, std::move(what)); }

}  // namespace

bool is_command_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxIdBytes && text.front() != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  if (text.size() < 20 || text.size() > 30 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':' || text.back() != 'Z') {
    return std::nullopt;
  }
  const auto fraction = text.substr(19, text.size() - 20);
  if (!fraction.empty() && (fraction.size() == 1 || fraction[0] != '.' ||
                            fraction.find_first_not_of("0123456789", 1) != std::string_view::npos)) {
    return std::nullopt;
  }
  const auto year = number(text, 0, 4), month = number(text, 5, 2), day = number(text, 8, 2);
  const auto hour = number(text, 11, 2), minute = number(text, 14, 2), second = number(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + *hour) * 60 + *minute) * 60 + *second;
}

Checked<std::optional<UpdateCommand>> parse_update_command(std::string_view id, std::string_view payload) {
  if (!is_command_name(id)) return malformed("a command id has 1 to 64 of A-Z a-z 0-9 . _ -");
  if (payload.size() > kMaxCommandBytes) return malformed(std::format("a command exceeds {} bytes", kMaxCommandBytes));
  const auto json = parse_bounded(payload);
  if (!json || !json->is_object()) return malformed("a command is no JSON object");
  const auto status = text_in(*json, "status");
  if (!status) return malformed("a command has no status");
  if (*status != "init") return std::optional<UpdateCommand>();
  UpdateCommand command{.id = std::string(id)};
  const auto role = text_in(*json, "role");
  if (!role || !is_command_name(*role)) return malformed("role is missing or no name");
  command.role = *role;
  const auto target = json->find("target");
  const auto hex = target != json->end() && target->is_object() ? text_in(*target, "manifest_sha256") : std::nullopt;
  const auto digest = Digest::parse(hex.value_or(""));
  if (!digest) return malformed("target.manifest_sha256 is no SHA-256");
  command.manifest = *digest;
  const auto not_after = parse_rfc3339(text_in(*json, "not_after").value_or(""));
  if (!not_after) return malformed("not_after is no time like 2026-09-02T06:00:00Z");
  command.not_after_unix_s = *not_after;
  if (const auto hints = json->find("hints"); hints != json->end() && hints->is_object()) {
    const auto bytes = hints->find("max_bytes");
    if (bytes != hints->end()) {
      if (!bytes->is_number_unsigned()) return malformed("hints.max_bytes is no number of bytes");
      command.max_bytes = std::min<std::uint64_t>(bytes->get<std::uint64_t>(), INT64_MAX);
    }
  }
  command.rollout = text_in(*json, "rollout").value_or("");
  if (!command.rollout.empty() && !is_command_name(command.rollout)) return malformed("rollout is no name");
  return command;
}

}  // namespace wayside::ota
