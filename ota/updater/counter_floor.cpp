// SPDX-License-Identifier: Apache-2.0
// Two records with the same contents.
#include "ota/updater/counter_floor.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ota/package/canonical_json.h"
#include "ota/updater/record.h"
#include "ota/updater/slots.h"

namespace wayside::ota {
namespace {

using Json = nlohmann::json;
using Floors = std::map<std::string, std::uint64_t>;
constexpr std::array<const char*, 2> kFiles = {"floor.a", "floor.b"};

std::optional<Floors> parse(const Json& json) {
  if (!json.is_object() || json.size() > kMaxRoles) return std::nullopt;
  Floors floors;
  for (const auto& [role, value] : json.items()) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX) return std::nullopt;
    floors[role] = value.get<std::uint64_t>();
  }
  return floors;
}

}  // namespace

base::Result<CounterFloor> CounterFloor::load(base::Storage& storage) {
  CounterFloor floor(storage);
  std::array<std::optional<Floors>, 2> copies;
  bool bad = false;
  for (std::size_t i = 0; i < kFiles.size(); ++i) {
    const auto json = read_record(storage, kFiles[i]);
    if (!json && json.error().code == base::Code::not_found) continue;
    if (!json && json.error().code != base::Code::corrupt && json.error().code != base::Code::exhausted) {
      return std::unexpected(json.error());
    }
    if (json) copies[i] = parse(*json);
    bad = bad || !copies[i];
  }
  for (const auto& copy : copies) {
    if (!copy) continue;
    for (const auto& [role, value] : *copy) floor.floors_[role] = std::max(floor.floors_[role], value);
  }
  floor.damaged_ = bad && !copies[0] && !copies[1];
  floor.rewrite_ = bad || copies[0] != copies[1];
  return floor;
}

std::uint64_t CounterFloor::of(const std::string& role) const {
  const auto found = floors_.find(role);
  return found == floors_.end() ? 0 : found->second;
}

base::Result<void> CounterFloor::raise(const std::string& role, std::uint64_t counter) {
  if (counter <= of(role) && !rewrite_) return {};
  Floors raised = floors_;
  raised[role] = std::max(of(role), counter);
  if (raised.size() > kMaxRoles) {
    return base::fail(base::Code::exhausted, "security counters: too many roles; remove one from the configuration");
  }
  Json json = Json::object();
  for (const auto& [name, value] : raised) json[name] = value;
  rewrite_ = true;
  for (const char* file : kFiles) WAYSIDE_CHECK(write_record(*storage_, file, json));
  floors_ = std::move(raised);
  rewrite_ = damaged_ = false;
  return {};
}

}  // namespace wayside::ota
