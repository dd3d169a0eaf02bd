// SPDX-License-Identifier: Apache-2.0
// DeviceInventory: what a device says about itself so that the operator knows in advance which variant it will take and
// what that costs (te/device/<id>///twin/inventory).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ota/package/trust.h"
#include "ota/store/blob_store.h"

namespace wayside::ota {

struct DeviceInventory {
  std::string board;
  std::vector<Runtime> runtimes;                  ///< in the device's order of preference
  std::map<std::string, std::uint64_t> counters;  ///< by role: the security counter below which it refuses
  std::map<Digest, std::uint64_t> blobs;          ///< in its store, with their sizes

  static constexpr std::size_t kMaxBlobs = 256;  ///< more are not told: the smallest are left out
  static constexpr std::size_t kMaxRuntimes = 16;
  static constexpr std::size_t kMaxJsonBytes = 64 * 1024;

  /// As choose_variant() wants it.
  [[nodiscard]] DeviceFacts facts(const std::string& role) const;
  bool operator==(const DeviceInventory& other) const;
};

/// What the store has; errors: the store's.
[[nodiscard]] base::Result<std::map<Digest, std::uint64_t>> blobs_in(const BlobStore& store);

/// Canonical (sorted keys): equal inventories are equal texts.
[[nodiscard]] std::string to_json(const DeviceInventory& inventory);
/// From untrusted text. Errors: corrupt, exhausted. Unknown fields are ignored.
[[nodiscard]] base::Result<DeviceInventory> parse_device_inventory(std::string_view text);

/// The blobs that a fetch of `target` builds upon: the largest ones, at most kMaxBases (equal sizes: by digest). Device
/// and preview must choose alike, or the price differs. Take the blobs as they are before the first file of
/// an update, its manifest not among them.
[[nodiscard]] std::vector<Digest> choose_bases(const std::map<Digest, std::uint64_t>& blobs, const Digest& target);

}  // namespace wayside::ota
