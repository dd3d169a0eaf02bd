// SPDX-License-Identifier: Apache-2.0
// JSON of inventories, and the rule for bases.
#include "ota/device_inventory.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ota/transfer/messages.h"

namespace wayside::ota {
namespace {

using base::Code;
using base::fail;
using Json = nlohmann::json;

constexpr std::size_t kMaxText = 200;
constexpr std::size_t kMaxVersions = 16;

using Sized = std::pair<std::uint64_t, Digest>;

/// Largest first; equal ones by digest.
std::vector<Sized> by_size(const std::map<Digest, std::uint64_t>& blobs) {
  std::vector<Sized> sorted;
  for (const auto& [digest, bytes] : blobs) sorted.emplace_back(bytes, digest);
  std::ranges::sort(sorted, [](const Sized& a, const Sized& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  return sorted;
}

bool is_text(const Json& json) { return json.is_string() && json.get_ref<const std::string&>().size() <= kMaxText; }

/// A map of bounded size whose values the predicate accepts.
const Json* object_in(const Json& json, const char* key, std::size_t max_count, bool (*good)(const Json&)) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_object() || found->size() > max_count) return nullptr;
  for (const auto& [name, value] : found->items()) {
    if (name.size() > kMaxText || !good(value)) return nullptr;
  }
  return &*found;
}

bool is_count(const Json& json) { return json.is_number_unsigned(); }

bool read_runtimes(const Json& json, std::vector<Runtime>& runtimes) {
  const auto found = json.find("runtimes");
  if (found == json.end() || !found->is_array() || found->size() > DeviceInventory::kMaxRuntimes) return false;
  for (const auto& item : *found) {
    if (!item.is_object() || !item.contains("accelerator") || !is_text(item["accelerator"])) return false;
    const Json* versions = object_in(item, "versions", kMaxVersions, is_text);
    if (versions == nullptr) return false;
    runtimes.push_back({item["accelerator"], versions->get<std::map<std::string, std::string>>()});
  }
  return true;
}

}  // namespace

DeviceFacts DeviceInventory::facts(const std::string& role) const {
  const auto counter = counters.find(role);
  return {.board = board, .runtimes = runtimes, .counter_floor = counter == counters.end() ? 0 : counter->second};
}

bool DeviceInventory::operator==(const DeviceInventory& other) const { return to_json(*this) == to_json(other); }

base::Result<std::map<Digest, std::uint64_t>> blobs_in(const BlobStore& store) {
  std::map<Digest, std::uint64_t> blobs;
  WAYSIDE_TRY(const auto digests, store.list());
  for (const Digest& digest : digests) {
    WAYSIDE_TRY(blobs[digest], store.size_bytes(digest));
  }
  return blobs;
}

std::string to_json(const DeviceInventory& inventory) {
  Json runtimes = Json::array();
  for (const auto& runtime : inventory.runtimes)
    runtimes.push_back({{"accelerator", runtime.accelerator}, {"versions", runtime.versions}});
  Json blobs = Json::object();
  for (const auto& [bytes, digest] : by_size(inventory.blobs)) {
    if (blobs.size() == DeviceInventory::kMaxBlobs) break;
    blobs[digest.hex()] = bytes;
  }
  const Json json = {{"board", inventory.board},
                     {"runtimes", std::move(runtimes)},
                     {"counters", inventory.counters},
                     {"blobs", std::move(blobs)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

base::Result<DeviceInventory> parse_device_inventory(std::string_view text) {
  if (text.size() > DeviceInventory::kMaxJsonBytes) return fail(Code::exhausted, "inventory is too large");
  const Json json = Json::parse(text, nullptr, false);
  const auto wrong = [](const char* what) { return fail(Code::corrupt, std::string("inventory: ") + what); };
  if (!json.is_object()) return wrong("no JSON object");
  DeviceInventory inventory;
  const auto board = json.find("board");
  if (board == json.end() || !is_text(*board)) return wrong("board is missing or no text");
  inventory.board = board->get<std::string>();
  if (!read_runtimes(json, inventory.runtimes)) return wrong("runtimes are missing or wrong");
  const Json* counters = object_in(json, "counters", kMaxVersions, is_count);
  if (counters == nullptr) return wrong("counters are missing or no numbers");
  inventory.counters = counters->get<std::map<std::string, std::uint64_t>>();
  const Json* blobs = object_in(json, "blobs", DeviceInventory::kMaxBlobs, is_count);
  if (blobs == nullptr) return wrong("blobs are missing or no sizes");
  for (const auto& [hex, bytes] : blobs->items()) {
    const auto digest = Digest::parse(hex);
    if (!digest) return wrong("the name of a blob is no SHA-256");
    inventory.blobs[*digest] = bytes.get<std::uint64_t>();
  }
  return inventory;
}

std::vector<Digest> choose_bases(const std::map<Digest, std::uint64_t>& blobs, const Digest& target) {
  std::vector<Digest> bases;
  for (const auto& [bytes, digest] : by_size(blobs)) {
    if (bases.size() == kMaxBases) break;
    if (digest != target) bases.push_back(digest);
  }
  return bases;
}

}  // namespace wayside::ota
