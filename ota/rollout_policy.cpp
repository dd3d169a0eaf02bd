// SPDX-License-Identifier: Apache-2.0
// Checks, JSON form and admission of a roll-out policy.
#include "ota/rollout_policy.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <format>
#include <nlohmann/json.hpp>

#include "ota/rollout_wave.h"

namespace wayside::ota {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Json = nlohmann::json;

constexpr std::int64_t kMinutesPerDay = 24 * 60;
constexpr std::int64_t kMaxSoak_s = 90LL * 86'400;

bool is_level(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

bool is_hash(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

/// Eight standard deviations of where a part of independent uniform positions is cut, and eight devices: beyond what
/// any fleet meets (below 10^-7 for one device in the wave, less for more).
bool plausible(const Wave& wave, std::uint64_t devices) {
  const double part = wave.permille / 1000.0, count = static_cast<double>(devices);
  const double cut = static_cast<double>(wave.below) / static_cast<double>(kPositionCount);
  return std::abs(cut - part) <= 8 * std::sqrt(part * (1 - part) / count) + 8 / count;
}

Result<void> check_bounds(const RolloutPolicy& policy) {
  std::uint64_t last = 1;
  for (const auto& wave : policy.waves) {
    if (policy.devices == 0) {
      if (wave.below != 0) return fail(Code::invalid_argument, "waves: below needs the number of devices");
    } else if (wave.below < last || wave.below > kPositionCount || !plausible(wave, policy.devices)) {
      return fail(Code::invalid_argument,
                  std::format("waves: below {} does not cut {:.1f} % of {} devices; sign a policy that wayside made",
                              wave.below, wave.permille / 10.0, policy.devices));
    }
    last = wave.below;
  }
  return {};
}

Result<void> check_waves(const RolloutPolicy& policy) {
  if (policy.waves.empty() || policy.waves.size() > RolloutPolicy::kMaxWaves)
    return fail(Code::invalid_argument, std::format("waves: give 1 to {} waves", RolloutPolicy::kMaxWaves));
  std::uint32_t last = 0;
  for (const auto& wave : policy.waves) {
    if (wave.permille <= last || wave.permille > 1000)
      return fail(Code::invalid_argument, "waves: bounds must rise and end at or below 100 %");
    if (wave.soak_s < 0 || wave.soak_s > kMaxSoak_s)
      return fail(Code::invalid_argument, "waves: soak_s must be 0 to 90 days");
    last = wave.permille;
  }
  return check_bounds(policy);
}

/// Reads fields of one object and remembers the first that is missing or of a wrong type.
class Reader {
 public:
  explicit Reader(const Json& object) : object_(object) {
    if (!object.is_object()) wrong_ = "(the document is not an object)";
  }
  void text(const char* key, std::string& into, std::size_t max_bytes) {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_string() || value->get_ref<const std::string&>().size() > max_bytes) return note(key);
    into = value->get<std::string>();
  }
  template <class Integer>
  void integer(const char* key, Integer& into) {
    const Json* value = find(key);
    if (value == nullptr) return;
    // JSON integers above int64 are refused rather than wrapped.
    if (!value->is_number_integer() || (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX))
      return note(key);
    const auto number = value->get<std::int64_t>();
    if (!std::in_range<Integer>(number)) return note(key);
    into = static_cast<Integer>(number);
  }
  template <class Integer>
  void optional_integer(const char* key, Integer& into) {
    if (wrong_.empty() && object_.contains(key)) integer(key, into);
  }
  template <class Read>
  void list(const char* key, std::size_t max_count, Read read) {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_array() || value->size() > max_count) return note(key);
    for (const auto& item : *value) {
      if (!read(item)) return note(key);
    }
  }
  const Json* find(const char* key) {
    if (!wrong_.empty()) return nullptr;
    const auto found = object_.find(key);
    if (found == object_.end()) note(key);
    return found == object_.end() ? nullptr : &*found;
  }
  void note(std::string_view key) {
    if (wrong_.empty()) wrong_ = key;
  }
  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  const Json& object_;
  std::string wrong_;
};

bool read_wave(const Json& json, std::vector<Wave>& waves) {
  Reader reader(json);
  Wave wave;
  reader.integer("permille", wave.permille);
  reader.optional_integer("below", wave.below);
  reader.integer("soak_s", wave.soak_s);
  waves.push_back(wave);
  return reader.wrong().empty();
}

bool read_window(const Json& json, std::vector<DayWindow>& windows) {
  if (!json.is_string()) return false;
  const auto window = parse_day_window(json.get_ref<const std::string&>());
  if (window) windows.push_back(*window);
  return window.has_value();
}

void read_halt(Reader& outer, HaltLimits& halt) {
  const Json* json = outer.find("halt");
  if (json == nullptr) return;
  Reader reader(*json);
  reader.integer("fail_permille", halt.fail_permille);
  reader.integer("min_executed", halt.min_executed);
  reader.integer("disagree_permille", halt.disagree_permille);
  reader.integer("min_compared", halt.min_compared);
  reader.integer("unreachable_permille", halt.unreachable_permille);
  if (!reader.wrong().empty()) outer.note("halt." + reader.wrong());
}

Result<std::uint16_t> parse_time_of_day(std::string_view text) {
  std::uint16_t hours = 0, minutes = 0;
  const bool shape = text.size() == 5 && text[2] == ':';
  const auto number = [](std::string_view digits, std::uint16_t& into) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), into);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (!shape || !number(text.substr(0, 2), hours) || !number(text.substr(3), minutes) || hours > 23 || minutes > 59)
    return fail(Code::invalid_argument, std::format("\"{}\" is no time of day; write HH:MM", text));
  return static_cast<std::uint16_t>(hours * 60 + minutes);
}

}  // namespace

Result<void> check(const RolloutPolicy& policy) {
  if (!is_level(policy.id)) return fail(Code::invalid_argument, "rollout id: use 1 to 64 of A-Z a-z 0-9 . _ -");
  if (!is_level(policy.role)) return fail(Code::invalid_argument, "role: use 1 to 64 of A-Z a-z 0-9 . _ -");
  if (policy.salt.size() > 64 || policy.salt.contains('\0'))
    return fail(Code::invalid_argument, "salt: at most 64 bytes, no NUL");
  if (!is_hash(policy.manifest_sha256))
    return fail(Code::invalid_argument, "manifest_sha256: 64 lower-case hex digits");
  WAYSIDE_CHECK(check_waves(policy));
  if (policy.halt.fail_permille > 1000 || policy.halt.disagree_permille > 1000 ||
      policy.halt.unreachable_permille > 1000 || policy.success_permille > 1000)
    return fail(Code::invalid_argument, "halt and success limits are permille: 0 to 1000");
  if (policy.max_in_flight == 0 || policy.starts_per_min == 0)
    return fail(Code::invalid_argument, "max_in_flight and starts_per_min must be at least 1");
  if (policy.device_timeout_s < 1) return fail(Code::invalid_argument, "device_timeout_s must be at least 1");
  if (policy.windows.size() > RolloutPolicy::kMaxWindows)
    return fail(Code::invalid_argument, std::format("windows: at most {}", RolloutPolicy::kMaxWindows));
  if (policy.expires_unix_s <= policy.not_before_unix_s)
    return fail(Code::invalid_argument, "expires must be later than not_before");
  return {};
}

std::string to_json(const RolloutPolicy& policy) {
  Json waves = Json::array();
  for (const auto& wave : policy.waves) {
    waves.push_back({{"permille", wave.permille}, {"soak_s", wave.soak_s}});
    if (policy.devices > 0) waves.back()["below"] = wave.below;
  }
  Json windows = Json::array();
  for (const auto& window : policy.windows) windows.push_back(to_string(window));
  const auto& halt = policy.halt;
  Json json = {{"type", kRolloutPolicyType},
               {"id", policy.id},
               {"salt", policy.salt},
               {"role", policy.role},
               {"target_name", policy.target_name},
               {"target_version", policy.target_version},
               {"manifest_sha256", policy.manifest_sha256},
               {"waves", std::move(waves)},
               {"halt",
                {{"fail_permille", halt.fail_permille},
                 {"min_executed", halt.min_executed},
                 {"disagree_permille", halt.disagree_permille},
                 {"min_compared", halt.min_compared},
                 {"unreachable_permille", halt.unreachable_permille}}},
               {"success_permille", policy.success_permille},
               {"max_in_flight", policy.max_in_flight},
               {"starts_per_min", policy.starts_per_min},
               {"device_timeout_s", policy.device_timeout_s},
               {"windows", std::move(windows)},
               {"not_before_unix_s", policy.not_before_unix_s},
               {"expires_unix_s", policy.expires_unix_s},
               {"max_bytes", policy.max_bytes}};
  if (policy.devices > 0) json["devices"] = policy.devices;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<RolloutPolicy> parse_rollout_policy(std::string_view text) {
  constexpr std::size_t kMaxName = 200;
  if (text.size() > RolloutPolicy::kMaxJsonBytes)
    return fail(Code::exhausted, std::format("roll-out policy is larger than {} bytes", RolloutPolicy::kMaxJsonBytes));
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(Code::corrupt, "roll-out policy is not JSON");
  Reader reader(json);
  std::string type;
  reader.text("type", type, kMaxName);
  if (reader.wrong().empty() && type != kRolloutPolicyType)
    return fail(Code::unsupported,
                std::format("roll-out policy is not of type {}: update this program", kRolloutPolicyType));
  RolloutPolicy policy;
  reader.text("id", policy.id, kMaxName);
  reader.text("salt", policy.salt, kMaxName);
  reader.text("role", policy.role, kMaxName);
  reader.text("target_name", policy.target_name, kMaxName);
  reader.text("target_version", policy.target_version, kMaxName);
  reader.text("manifest_sha256", policy.manifest_sha256, kMaxName);
  reader.list("waves", RolloutPolicy::kMaxWaves, [&](const Json& item) { return read_wave(item, policy.waves); });
  reader.optional_integer("devices", policy.devices);
  read_halt(reader, policy.halt);
  reader.integer("success_permille", policy.success_permille);
  reader.integer("max_in_flight", policy.max_in_flight);
  reader.integer("starts_per_min", policy.starts_per_min);
  reader.integer("device_timeout_s", policy.device_timeout_s);
  reader.list("windows", RolloutPolicy::kMaxWindows,
              [&](const Json& item) { return read_window(item, policy.windows); });
  reader.integer("not_before_unix_s", policy.not_before_unix_s);
  reader.integer("expires_unix_s", policy.expires_unix_s);
  reader.integer("max_bytes", policy.max_bytes);
  if (!reader.wrong().empty())
    return fail(Code::corrupt, std::format("roll-out policy: field {} is missing or wrong", reader.wrong()));
  WAYSIDE_CHECK(check(policy));
  return policy;
}

std::vector<std::uint64_t> wave_bounds(const RolloutPolicy& policy) {
  std::vector<std::uint64_t> bounds;
  for (const auto& wave : policy.waves)
    bounds.push_back(policy.devices > 0 ? wave.below : (kPositionCount * wave.permille + 999) / 1000);
  return bounds;
}

void cut_waves(RolloutPolicy& policy, std::span<const std::string> device_ids) {
  std::vector<std::uint64_t> positions;
  positions.reserve(device_ids.size());
  for (const auto& id : device_ids) positions.push_back(rollout_position(id, policy.id, policy.salt));
  std::ranges::sort(positions);
  policy.devices = positions.size();
  for (auto& wave : policy.waves) {
    const std::size_t count = (positions.size() * wave.permille + 999) / 1000;
    wave.below = wave.permille == 1000 ? kPositionCount : count == 0 ? 0 : positions[count - 1] + 1;
  }
}

Result<DayWindow> parse_day_window(std::string_view text) {
  if (text.size() != 11 || text[5] != '-')
    return fail(Code::invalid_argument, std::format("\"{}\" is no window; write HH:MM-HH:MM (UTC)", text));
  WAYSIDE_TRY(const auto from_min, parse_time_of_day(text.substr(0, 5)));
  WAYSIDE_TRY(const auto to_min, parse_time_of_day(text.substr(6)));
  if (from_min == to_min) return fail(Code::invalid_argument, std::format("\"{}\" is an empty window", text));
  return DayWindow{from_min, to_min};
}

std::string to_string(const DayWindow& window) {
  return std::format("{:02}:{:02}-{:02}:{:02}", window.from_min / 60, window.from_min % 60, window.to_min / 60,
                     window.to_min % 60);
}

bool inside_windows(const RolloutPolicy& policy, std::int64_t unix_s) {
  const std::int64_t minute = ((unix_s / 60) % kMinutesPerDay + kMinutesPerDay) % kMinutesPerDay;
  return policy.windows.empty() || std::ranges::any_of(policy.windows, [minute](const DayWindow& window) {
           const bool after = minute >= window.from_min, before = minute < window.to_min;
           return window.from_min < window.to_min ? after && before : after || before;
         });
}

Admission admit(const RolloutPolicy& policy, std::string_view device_id, std::int64_t now_unix_s) {
  using Verdict = Admission::Verdict;
  if (now_unix_s >= policy.expires_unix_s)
    return {Verdict::refused, 0, std::format("roll-out {} has expired", policy.id)};
  const auto wave = wave_of(rollout_position(device_id, policy.id, policy.salt), wave_bounds(policy));
  if (!wave) return {Verdict::refused, 0, std::format("roll-out {} leaves this device out", policy.id)};
  std::int64_t earliest = policy.not_before_unix_s;
  for (std::size_t i = 0; i < *wave; ++i) earliest += policy.waves[i].soak_s;
  if (now_unix_s < earliest)
    return {Verdict::not_yet, earliest, std::format("wave {} of roll-out {} is not open yet", *wave + 1, policy.id)};
  if (!inside_windows(policy, now_unix_s))
    return {Verdict::not_yet, now_unix_s + 60,
            std::format("outside the maintenance windows of roll-out {}", policy.id)};
  return {Verdict::open, earliest, {}};
}

}  // namespace wayside::ota
