// SPDX-License-Identifier: Apache-2.0
// One subscription, until it is quiet.
#include "fleet/cost/inventory_reader.h"

#include <format>
#include <set>

#include "base/clock.h"
#include "base/log.h"
#include "fleet/rollout/wire.h"

namespace wayside::fleet {

using base::Result;
using Kind = base::mqtt::Event::Kind;

namespace {
constexpr std::chrono::seconds kConnectLimit{10};
constexpr std::size_t kMaxBatch = 512;  ///< inventories of one durable write

std::string device_of(const std::string& topic, const std::string& root) {
  const auto any = inventory_topic(root, "");
  const auto before = root.size() + std::string_view("/device/").size();
  const auto after = any.size() - before;
  return topic.size() > any.size() ? topic.substr(before, topic.size() - before - after) : std::string();
}
}  // namespace

Result<std::size_t> read_inventories(base::mqtt::ClientOptions broker, const std::string& root, Inventory& inventory,
                                     const std::vector<std::string>& ids, std::chrono::milliseconds quiet) {
  auto& clock = base::Clock::real();
  WAYSIDE_TRY(auto client, base::mqtt::Client::create(std::move(broker), clock));
  client->subscribe(inventory_topic(root, "+"), 1);
  const std::set<std::string> wanted(ids.begin(), ids.end());
  std::set<std::string> heard;
  auto deadline = clock.now() + kConnectLimit;
  std::vector<std::pair<std::string, std::string>> batch;
  const auto unix_s = std::chrono::duration_cast<std::chrono::seconds>(clock.wall_now().time_since_epoch()).count();
  const auto write = [&]() -> Result<void> {
    WAYSIDE_CHECK(inventory.put_documents(batch, unix_s));
    batch.clear();
    return {};
  };
  while (heard.size() < wanted.size()) {
    const auto event = client->wait(deadline);
    if (!event) break;
    if (event->kind == Kind::connect_failed)
      return base::fail(base::Code::io, std::format("{}: {}", client->address(), event->detail));
    if (event->kind == Kind::connected) deadline = clock.now() + quiet;
    if (event->kind != Kind::message) continue;
    deadline = clock.now() + quiet;
    const auto id = device_of(event->message.topic, root);
    if (!wanted.contains(id)) continue;
    if (!ota::parse_device_inventory(event->message.payload)) {
      base::log_warn("fleet device={} event=bad_inventory", id);
      continue;
    }
    heard.insert(id);
    batch.emplace_back(id, event->message.payload);
    if (batch.size() == kMaxBatch) WAYSIDE_CHECK(write());
  }
  WAYSIDE_CHECK(write());
  client->close(std::chrono::seconds(1));
  return heard.size();
}

Result<std::vector<KnownDevice>> known_devices(Inventory& inventory, const std::vector<std::string>& ids) {
  WAYSIDE_TRY(const auto documents, inventory.documents());
  std::vector<KnownDevice> devices;
  for (const auto& id : ids) {
    KnownDevice device{.id = id};
    if (const auto found = documents.find(id); found != documents.end()) {
      if (auto parsed = ota::parse_device_inventory(found->second)) device.inventory = std::move(*parsed);
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

}  // namespace wayside::fleet
