// SPDX-License-Identifier: Apache-2.0
// Prices by class of device.
#include "fleet/cost/cost_preview.h"

#include <algorithm>
#include <format>
#include <map>
#include <nlohmann/json.hpp>

namespace wayside::fleet {
namespace {

using base::Result;
using Json = nlohmann::json;

/// What one variant costs a device that has these blobs; the route is that of the variant's own file.
Result<CostClass> price(const ota::Manifest& manifest, const ota::Variant& variant,
                        const std::map<ota::Digest, std::uint64_t>& blobs, ota::Repository& repository) {
  CostClass one{.variant = variant.id, .route = "nothing"};
  for (const auto& blob : manifest.blobs_of(variant)) {
    if (blobs.contains(blob.digest)) continue;
    WAYSIDE_TRY(const auto offer, repository.offer(blob.digest, ota::choose_bases(blobs, blob.digest)));
    const auto* route = ota::cheapest(offer);
    if (route == nullptr) return base::fail(base::Code::corrupt, "the repository offers no route");
    one.bytes_each += route->price_bytes();
    if (blob.digest == variant.file) one.route = to_string(route->kind);
  }
  return one;
}

Result<CostClass> price(const ota::Manifest& manifest, const ota::DeviceInventory& inventory,
                        ota::Repository& repository) {
  const auto variant = ota::choose_variant(manifest, inventory.facts(manifest.role));
  if (!variant) return CostClass{.board = inventory.board, .refused = ota::describe(variant.error())};
  WAYSIDE_TRY(auto one, price(manifest, **variant, inventory.blobs, repository));
  one.board = inventory.board;
  return one;
}

Result<std::uint64_t> dearest(const ota::Manifest& manifest, ota::Repository& repository) {
  std::uint64_t bytes = 0;
  for (const auto& variant : manifest.variants) {
    WAYSIDE_TRY(const auto one, price(manifest, variant, {}, repository));
    bytes = std::max(bytes, one.bytes_each);
  }
  return bytes;
}

}  // namespace

Result<CostPreview> preview_cost(const ota::Manifest& manifest, std::span<const KnownDevice> devices,
                                 ota::Repository& repository, std::uint64_t max_bytes) {
  CostPreview preview{.devices = devices.size()};
  // Devices with equal inventories pay alike: each inventory is priced once.
  std::map<std::string, std::uint64_t> equal;
  std::map<std::string, const ota::DeviceInventory*> inventories;
  for (const auto& device : devices) {
    if (!device.inventory) {
      ++preview.unknown_devices;
      continue;
    }
    const auto key = to_json(*device.inventory);
    ++equal[key];
    inventories.try_emplace(key, &*device.inventory);
  }
  std::map<std::tuple<std::string, std::string, std::string, std::uint64_t, std::string>, std::uint64_t> classes;
  for (const auto& [key, count] : equal) {
    WAYSIDE_TRY(const auto one, price(manifest, *inventories.at(key), repository));
    classes[{one.board, one.variant, one.route, one.bytes_each, one.refused}] += count;
    if (!one.refused.empty()) continue;
    if (max_bytes > 0 && one.bytes_each > max_bytes)
      preview.over_budget_devices += count;
    else
      preview.bytes += count * one.bytes_each;
  }
  for (const auto& [key, count] : classes) {
    const auto& [board, variant, route, bytes_each, refused] = key;
    preview.classes.push_back({board, variant, route, count, bytes_each, refused});
  }
  std::ranges::stable_sort(preview.classes, std::greater(), &CostClass::devices);
  if (preview.unknown_devices > 0) {
    WAYSIDE_TRY(const auto most, dearest(manifest, repository));
    preview.unknown_bytes = preview.unknown_devices * most;
  }
  return preview;
}

std::string cost_text(const CostPreview& preview) {
  std::string text = std::format("bytes to fetch: {} by {} devices", preview.bytes,
                                 preview.devices - preview.unknown_devices - preview.over_budget_devices);
  for (const auto& one : preview.classes) {
    text += std::format("\n  {:>6} x {:<16} ", one.devices, one.board.empty() ? "-" : one.board);
    text += one.refused.empty() ? std::format("{}: {} bytes each, {}", one.variant, one.bytes_each, one.route)
                                : std::format("will refuse: {}", one.refused);
  }
  if (preview.over_budget_devices > 0)
    text += std::format("\n  {} devices would need more than --max-bytes and will refuse", preview.over_budget_devices);
  if (preview.unknown_devices > 0)
    text += std::format("\n  {} devices never said what they have: at most {} bytes more", preview.unknown_devices,
                        preview.unknown_bytes);
  return text;
}

std::string cost_json(const CostPreview& preview) {
  Json classes = Json::array();
  for (const auto& one : preview.classes) {
    classes.push_back({{"board", one.board},
                       {"variant", one.variant},
                       {"route", one.route},
                       {"devices", one.devices},
                       {"bytes_each", one.bytes_each},
                       {"refused", one.refused}});
  }
  const Json json = {{"classes", std::move(classes)},
                     {"devices", preview.devices},
                     {"bytes", preview.bytes},
                     {"unknown_devices", preview.unknown_devices},
                     {"unknown_bytes", preview.unknown_bytes},
                     {"over_budget_devices", preview.over_budget_devices}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace wayside::fleet
