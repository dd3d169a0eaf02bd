// SPDX-License-Identifier: Apache-2.0
// Inventory: the devices that the operator knows, their groups, labels and certificates.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/sql/database.h"

namespace wayside::fleet {

/// allowed: may be provisioned, has no certificate yet. enrolled: has one. revoked: must get nothing any more.
enum class DeviceState { allowed, enrolled, revoked };
[[nodiscard]] std::string_view to_string(DeviceState state);

using Labels = std::map<std::string, std::string>;

struct Device {
  std::string id;  ///< certificate CN = MQTT client id; one topic level
  DeviceState state = DeviceState::allowed;
  Labels labels;  ///< "board", "site", ...
  std::vector<std::string> groups;
  std::string certificate_sha256;  ///< of the DER form, hex; empty: none
  std::int64_t enrolled_unix_s = 0;
  std::optional<std::int64_t> seen_unix_s;
};

/// Which devices: a group (empty or "all": every one) and conditions "board=pi5,site!=lab", all of which must hold.
struct Selection {
  std::string group;
  std::string condition;
};

/// Every call is one transaction. Errors: io and corrupt from the database, and those named.
class Inventory {
 public:
  explicit Inventory(sql::Database& database) : database_(database) {}

  /// Adds or replaces; groups are added to those it has. invalid_argument: bad id, label or group; bad_state: revoked.
  base::Result<void> put(const Device& device);
  /// not_found with the remedy.
  base::Result<Device> find(std::string_view id);
  /// Sorted by id, revoked ones included. invalid_argument: bad condition; not_found: no such group.
  base::Result<std::vector<Device>> select(const Selection& selection);
  base::Result<void> revoke(std::string_view id);
  /// What devices said they have (ota::DeviceInventory as JSON); opaque here. One transaction.
  base::Result<void> put_documents(const std::vector<std::pair<std::string, std::string>>& by_device,
                                   std::int64_t unix_s);
  base::Result<std::map<std::string, std::string>> documents();
  base::Result<void> note_seen(std::string_view id, std::int64_t unix_s);

 private:
  base::Result<void> read_groups(Device& device);
  sql::Database& database_;
};

}  // namespace wayside::fleet
