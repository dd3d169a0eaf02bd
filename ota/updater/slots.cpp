// SPDX-License-Identifier: Apache-2.0
// The slot record's file form and its three changes.
#include "ota/updater/slots.h"

#include <algorithm>

#include "ota/package/canonical_json.h"
#include "ota/updater/record.h"

namespace wayside::ota {
namespace {

using Json = nlohmann::json;
const std::filesystem::path kSlotsFile = "slots";

Json to_json(const Installed& installed) {
  return {{"manifest", installed.manifest.hex()}, {"variant", installed.variant}};
}

Json to_json(const Slot& slot) {
  Json json = {{"counter_floor", slot.counter_floor}, {"previous", Json::array()}};
  if (slot.active) json["active"] = to_json(*slot.active);
  if (slot.committed) json["committed"] = to_json(*slot.committed);
  for (const auto& installed : slot.previous) json["previous"].push_back(to_json(installed));
  return json;
}

Checked<Installed> read_installed(const Json& json) {
  ObjectReader reader(json, "slot");
  Installed installed{.manifest = reader.digest("manifest"), .variant = reader.name("variant")};
  if (const auto done = reader.finish(); !done) return std::unexpected(done.error());
  return installed;
}

Checked<Slot> read_slot(const Json& json) {
  ObjectReader reader(json, "slot");
  Slot slot;
  slot.counter_floor = static_cast<std::uint64_t>(reader.integer("counter_floor", 0, INT64_MAX));
  for (const char* key : {"active", "committed"}) {
    if (!reader.has(key)) continue;
    const Json* one = reader.object(key, 2);
    auto installed = read_installed(one != nullptr ? *one : Json());
    if (!installed) return std::unexpected(installed.error());
    (key[0] == 'a' ? slot.active : slot.committed) = std::move(*installed);
  }
  if (const Json* list = reader.list("previous", kPinnedPrevious)) {
    for (const Json& one : *list) {
      auto installed = read_installed(one);
      if (!installed) return std::unexpected(installed.error());
      slot.previous.push_back(std::move(*installed));
    }
  }
  if (const auto done = reader.finish(); !done) return std::unexpected(done.error());
  return slot;
}

}  // namespace

base::Result<Slots> Slots::load(base::Storage& storage) {
  Slots slots(storage);
  auto json = read_record(storage, kSlotsFile);
  if (!json && json.error().code == base::Code::not_found) return slots;
  if (!json && json.error().code != base::Code::corrupt && json.error().code != base::Code::exhausted) {
    return std::unexpected(json.error());
  }
  slots.damaged_ = !json || !json->is_object() || json->size() > kMaxRoles;
  if (slots.damaged_) return slots;
  for (const auto& [role, one] : json->items()) {
    auto slot = read_slot(one);
    slots.damaged_ = slots.damaged_ || !slot;
    if (slot) slots.roles_[role] = std::move(*slot);
  }
  return slots;
}

Slot Slots::slot(const std::string& role) const {
  const auto found = roles_.find(role);
  return found == roles_.end() ? Slot{} : found->second;
}

base::Result<void> Slots::replace(const std::string& role, Slot slot) {
  const auto now = roles_.find(role);
  if (now != roles_.end() && now->second == slot) return {};
  if (now == roles_.end() && roles_.size() >= kMaxRoles) {
    return base::fail(base::Code::exhausted, "slots: too many roles; remove one from the configuration");
  }
  auto changed = roles_;
  changed[role] = std::move(slot);
  Json json = Json::object();
  for (const auto& [name, one] : changed) json[name] = to_json(one);
  WAYSIDE_CHECK(write_record(*storage_, kSlotsFile, json));
  roles_ = std::move(changed);
  damaged_ = false;
  return {};
}

base::Result<void> Slots::activate(const std::string& role, const Installed& installed) {
  Slot slot = this->slot(role);
  slot.active = installed;
  return replace(role, std::move(slot));
}

base::Result<void> Slots::commit(const std::string& role, const Installed& installed, std::uint64_t security_counter) {
  Slot slot = this->slot(role);
  if (slot.committed && *slot.committed != installed) {
    std::erase(slot.previous, *slot.committed);
    slot.previous.insert(slot.previous.begin(), *slot.committed);
  }
  std::erase(slot.previous, installed);
  if (slot.previous.size() > kPinnedPrevious) slot.previous.resize(kPinnedPrevious);
  slot.active = slot.committed = installed;
  slot.counter_floor = std::max(slot.counter_floor, security_counter);
  return replace(role, std::move(slot));
}

base::Result<void> Slots::restore(const std::string& role) {
  Slot slot = this->slot(role);
  if (!roles_.contains(role)) return {};
  slot.active = slot.committed;
  return replace(role, std::move(slot));
}

base::Result<void> Slots::reselect(const std::string& role, const std::string& variant) {
  Slot slot = this->slot(role);
  if (!slot.committed) return {};
  const bool on_trial = slot.active != slot.committed;
  slot.committed->variant = variant;
  if (!on_trial) slot.active = slot.committed;
  return replace(role, std::move(slot));
}

std::vector<Digest> Slots::pinned() const {
  std::vector<Digest> found;
  for (const auto& [role, slot] : roles_) {
    if (slot.active) found.push_back(slot.active->manifest);
    if (slot.committed) found.push_back(slot.committed->manifest);
    for (const auto& installed : slot.previous) found.push_back(installed.manifest);
  }
  return found;
}

}  // namespace wayside::ota
