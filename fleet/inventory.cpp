// SPDX-License-Identifier: Apache-2.0
// Devices in SQLite; labels are a JSON object in one column.
#include "fleet/inventory.h"

#include <algorithm>
#include <array>
#include <format>
#include <nlohmann/json.hpp>

#include "base/mqtt/message.h"

namespace wayside::fleet {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::array<std::string_view, 3> kStates{"allowed", "enrolled", "revoked"};
constexpr std::size_t kMaxLabels = 32;

DeviceState parse_state(std::string_view text) {
  const auto* const found = std::ranges::find(kStates, text);
  return found == kStates.end() ? DeviceState::revoked : static_cast<DeviceState>(found - kStates.begin());
}

Labels parse_labels(const std::string& text) {
  Labels labels;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return labels;
  for (const auto& [key, value] : json.items()) {
    if (value.is_string()) labels[key] = value.get<std::string>();
  }
  return labels;
}

struct Condition {
  std::string key, value;
  bool equal = true;
};

Result<std::vector<Condition>> parse_conditions(std::string_view text) {
  std::vector<Condition> conditions;
  while (!text.empty()) {
    const auto end = std::min(text.find(','), text.size());
    const auto one = text.substr(0, end);
    const auto sign = one.find('=');
    const bool unequal = sign != std::string_view::npos && sign > 0 && one[sign - 1] == '!';
    const auto key = one.substr(0, unequal ? sign - 1 : sign);
    if (sign == std::string_view::npos || key.empty())
      return fail(Code::invalid_argument,
                  std::format("\"{}\" is no condition; write label=value or label!=value", one));
    conditions.push_back({std::string(key), std::string(one.substr(sign + 1)), !unequal});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return conditions;
}

bool holds(const Condition& condition, const Device& device) {
  const auto found = device.labels.find(condition.key);
  return (found != device.labels.end() && found->second == condition.value) == condition.equal;
}

Device read_device(const sql::Statement& row) {
  Device device{.id = row.text(0),
                .state = parse_state(row.text(1)),
                .labels = parse_labels(row.text(2)),
                .groups = {},
                .certificate_sha256 = row.text(3),
                .enrolled_unix_s = row.integer(4),
                .seen_unix_s = {}};
  if (!row.is_null(5)) device.seen_unix_s = row.integer(5);
  return device;
}

}  // namespace

std::string_view to_string(DeviceState state) { return kStates[static_cast<std::size_t>(state)]; }

Result<void> Inventory::put(const Device& device) {
  WAYSIDE_CHECK(base::mqtt::check_topic_level("device id", device.id));
  if (device.id.starts_with("wayside-"))
    return fail(Code::invalid_argument, "device ids that start with wayside- are the operator's; choose another");
  for (const auto& group : device.groups) WAYSIDE_CHECK(base::mqtt::check_topic_level("group", group));
  if (device.labels.size() > kMaxLabels)
    return fail(Code::invalid_argument, std::format("device {}: at most {} labels", device.id, kMaxLabels));
  for (const auto& [key, value] : device.labels) {
    WAYSIDE_CHECK(base::mqtt::check_topic_level("label", key));
    WAYSIDE_CHECK(base::mqtt::check_topic_level("value of label " + key, value));
  }
  return database_.transaction([&]() -> Result<void> {
    WAYSIDE_TRY(
        auto* insert,
        database_.prepare(
            "INSERT INTO device(id, state, labels, certificate_sha256, enrolled_unix_s) VALUES(?1, ?2, ?3, ?4, ?5) "
            "ON CONFLICT(id) DO UPDATE SET state = ?2, labels = ?3, certificate_sha256 = ?4, enrolled_unix_s = ?5 "
            "WHERE state <> 'revoked'"));
    WAYSIDE_CHECK(insert
                      ->bind({device.id, std::string(to_string(device.state)), nlohmann::json(device.labels).dump(),
                              device.certificate_sha256, device.enrolled_unix_s})
                      .run());
    if (database_.changes() == 0)
      return fail(Code::bad_state, std::format("device {} is revoked; enroll it under a new id", device.id));
    WAYSIDE_TRY(auto* join, database_.prepare("INSERT OR IGNORE INTO device_group(name, device) VALUES(?1, ?2)"));
    for (const auto& group : device.groups) WAYSIDE_CHECK(join->bind({group, device.id}).run());
    return {};
  });
}

Result<void> Inventory::read_groups(Device& device) {
  WAYSIDE_TRY(auto* query, database_.prepare("SELECT name FROM device_group WHERE device = ?1 ORDER BY name"));
  query->bind({device.id});
  while (true) {
    WAYSIDE_TRY(const bool row, query->step());
    if (!row) return {};
    device.groups.push_back(query->text(0));
  }
}

Result<Device> Inventory::find(std::string_view id) {
  WAYSIDE_TRY(auto* query,
              database_.prepare("SELECT id, state, labels, certificate_sha256, enrolled_unix_s, seen_unix_s "
                                "FROM device WHERE id = ?1"));
  WAYSIDE_TRY(const bool row, query->bind({std::string(id)}).step());
  if (!row)
    return fail(Code::not_found, std::format("device {} is not enrolled; see: wayside fleet enroll --help", id));
  Device device = read_device(*query);
  query->bind({std::string()});
  WAYSIDE_CHECK(read_groups(device));
  return device;
}

Result<std::vector<Device>> Inventory::select(const Selection& selection) {
  WAYSIDE_TRY(const auto conditions, parse_conditions(selection.condition));
  const bool every = selection.group.empty() || selection.group == "all";
  WAYSIDE_TRY(auto* query, database_.prepare(
                               "SELECT id, state, labels, certificate_sha256, enrolled_unix_s, seen_unix_s FROM device "
                               "WHERE ?1 = 1 OR id IN (SELECT device FROM device_group WHERE name = ?2) ORDER BY id"));
  query->bind({std::int64_t{every ? 1 : 0}, selection.group});
  std::vector<Device> devices;
  bool any = false;
  while (true) {
    WAYSIDE_TRY(const bool row, query->step());
    if (!row) break;
    any = true;
    Device device = read_device(*query);
    if (std::ranges::all_of(conditions, [&](const Condition& condition) { return holds(condition, device); }))
      devices.push_back(std::move(device));
  }
  if (!any && !every)
    return fail(Code::not_found, std::format("no device is in group {}; see: wayside fleet list", selection.group));
  for (auto& device : devices) WAYSIDE_CHECK(read_groups(device));
  return devices;
}

Result<void> Inventory::revoke(std::string_view id) {
  WAYSIDE_TRY(auto* update, database_.prepare("UPDATE device SET state = 'revoked' WHERE id = ?1"));
  WAYSIDE_CHECK(update->bind({std::string(id)}).run());
  if (database_.changes() == 0) return fail(Code::not_found, std::format("device {} is not enrolled", id));
  return {};
}

Result<void> Inventory::put_documents(const std::vector<std::pair<std::string, std::string>>& by_device,
                                      std::int64_t unix_s) {
  return database_.transaction([&]() -> Result<void> {
    WAYSIDE_TRY(auto* insert, database_.prepare("INSERT OR REPLACE INTO inventory(device, document, unix_s) "
                                                "VALUES(?1, ?2, ?3)"));
    for (const auto& [device, document] : by_device) WAYSIDE_CHECK(insert->bind({device, document, unix_s}).run());
    return {};
  });
}

Result<std::map<std::string, std::string>> Inventory::documents() {
  WAYSIDE_TRY(auto* query, database_.prepare("SELECT device, document FROM inventory"));
  query->bind({});
  std::map<std::string, std::string> all;
  while (true) {
    WAYSIDE_TRY(const bool row, query->step());
    if (!row) return all;
    all.emplace(query->text(0), query->text(1));
  }
}

Result<void> Inventory::note_seen(std::string_view id, std::int64_t unix_s) {
  WAYSIDE_TRY(auto* update, database_.prepare("UPDATE device SET seen_unix_s = ?2 WHERE id = ?1"));
  return update->bind({std::string(id), unix_s}).run();
}

}  // namespace wayside::fleet
