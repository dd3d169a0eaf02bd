// SPDX-License-Identifier: Apache-2.0
// Reads what devices say they have from the broker's retained messages into the fleet's database.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/mqtt/client.h"
#include "fleet/cost/cost_preview.h"
#include "fleet/inventory.h"

namespace wayside::fleet {

/// Returns how many of `ids` were heard, once all were or `quiet` passed without another one. Errors: unreachable (the
/// broker), with the reason; those of the database.
base::Result<std::size_t> read_inventories(base::mqtt::ClientOptions broker, const std::string& root,
                                           Inventory& inventory, const std::vector<std::string>& ids,
                                           std::chrono::milliseconds quiet);

/// What the database knows of these devices.
base::Result<std::vector<KnownDevice>> known_devices(Inventory& inventory, const std::vector<std::string>& ids);

}  // namespace wayside::fleet
