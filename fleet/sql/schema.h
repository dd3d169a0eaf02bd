// SPDX-License-Identifier: Apache-2.0
// The tables of the operator's database and their version.
#pragma once

#include "base/result.h"
#include "fleet/sql/database.h"

namespace wayside::fleet {

/// Opens and, where needed, creates or upgrades. unsupported: a newer wayside made it.
base::Result<sql::Database> open_fleet_database(const std::filesystem::path& file);

/// $WAYSIDE_FLEET_DB, else $XDG_STATE_HOME/wayside/fleet.db, else ~/.local/state/wayside/fleet.db; the folder is made.
base::Result<std::filesystem::path> default_fleet_database();

}  // namespace wayside::fleet
