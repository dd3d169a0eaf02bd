// SPDX-License-Identifier: Apache-2.0
// CostPreview: what a roll-out will send to each device, to the byte, before anything is sent.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ota/device_inventory.h"
#include "ota/transfer/repository.h"

namespace wayside::fleet {

/// A device and what it last said it has; nothing: it never said.
struct KnownDevice {
  std::string id;
  std::optional<ota::DeviceInventory> inventory;
};

/// Devices that take the same variant the same way at the same price.
struct CostClass {
  std::string board, variant;
  std::string route;  ///< of the model: "full", "chunks", "patch", "subtract"; "nothing" when it is there
  std::uint64_t devices = 0;
  std::uint64_t bytes_each =
      0;                ///< indexes and chunks of all files, as they travel; MQTT's own bytes (0.5 %) come on top
  std::string refused;  ///< not empty: these devices will refuse the model, with this reason; nothing is sent
};

struct CostPreview {
  std::vector<CostClass> classes;  ///< most devices first
  std::uint64_t devices = 0;
  std::uint64_t bytes = 0;                ///< of all devices whose inventory is known
  std::uint64_t unknown_devices = 0;      ///< without an inventory
  std::uint64_t unknown_bytes = 0;        ///< at most, when they have nothing and take the dearest variant
  std::uint64_t over_budget_devices = 0;  ///< would fetch more than the policy's max_bytes and will refuse
};

/// `max_bytes` of the policy; 0: no bound. Errors: not_found when a file of the manifest is not in the repository.
base::Result<CostPreview> preview_cost(const ota::Manifest& manifest, std::span<const KnownDevice> devices,
                                       ota::Repository& repository, std::uint64_t max_bytes);

/// One line per class and a total; as JSON with the same names.
[[nodiscard]] std::string cost_text(const CostPreview& preview);
[[nodiscard]] std::string cost_json(const CostPreview& preview);

}  // namespace wayside::fleet
