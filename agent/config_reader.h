// SPDX-License-Identifier: Apache-2.0
// Fills a Config from a YAML file and overrides; knows no field by name.
#pragma once

#include <filesystem>
#include <vector>

#include "agent/config.h"
#include "base/result.h"

namespace wayside::agent {

/// Types, ranges and unknown keys only; load_config() completes and checks the whole.
base::Result<Config> read_config(const std::filesystem::path& file, const std::vector<Override>& overrides);

}  // namespace wayside::agent
