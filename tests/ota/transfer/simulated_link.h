// SPDX-License-Identifier: Apache-2.0
// A link of given speed and delay between fetchers and servers, in simulated time; loses what is under way when it is
// cut.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ota/transfer/blob_server.h"
#include "ota/transfer/fetcher.h"
#include "ota/transfer/topics.h"
#include "tests/ota/delta/synthetic_model.h"

namespace wayside::test {

using namespace std::chrono_literals;
using base::MonotonicTime;

/// Exact size of a PUBLISH packet (MQTT 5, section 3.3) as these messages make it; packet_bytes() is an upper bound.
inline std::size_t publish_bytes(const base::mqtt::Message& message) {
  std::size_t properties = 0;
  if (message.expiry_s) properties += 5;
  if (!message.response_topic.empty()) properties += 3 + message.response_topic.size();
  if (!message.correlation_data.empty()) properties += 3 + message.correlation_data.size();
  const std::size_t packet_id = message.qos > 0 ? 2 : 0;
  const std::size_t remaining =
      2 + message.topic.size() + packet_id + ota::varint_bytes(properties) + properties + message.payload.size();
  const std::size_t acknowledgement = message.qos > 0 ? 4 : 0;  // the PUBACK that comes back, charged here
  return 1 + ota::varint_bytes(remaining) + remaining + acknowledgement;
}

/// One direction: bytes go through at a steady rate, then take the delay.
struct Pipe {
  struct Packet {
    base::mqtt::Message message;
    MonotonicTime first_byte{}, last_byte{};  ///< at the sender
    std::size_t bytes = 0;
  };
  double bytes_per_s = 250'000;  // 2 Mbit/s
  MonotonicTime delay = 30ms;
  std::deque<Packet> under_way{};
  MonotonicTime free_at{0};
  std::uint64_t sent_bytes = 0;  ///< that left the sender, whether they arrived or not

  void send(const base::mqtt::Message& message, MonotonicTime now) {
    const std::size_t bytes = publish_bytes(message);
    const auto start = std::max(now, free_at);
    free_at =
        start + std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(bytes) / bytes_per_s * 1e9));
    under_way.push_back({message, start, free_at, bytes});
    sent_bytes += bytes;
  }
  [[nodiscard]] MonotonicTime next_at() const {
    return under_way.empty() ? MonotonicTime::max() : under_way.front().last_byte + delay;
  }
  /// What had not left the sender yet was never sent: it is taken off the account.
  void cut(MonotonicTime now) {
    for (const Packet& packet : under_way) {
      if (packet.last_byte <= now) continue;
      const auto length = std::max<std::int64_t>(1, (packet.last_byte - packet.first_byte).count());
      const auto gone = std::clamp<std::int64_t>((now - packet.first_byte).count(), 0, length);
      sent_bytes -= packet.bytes - static_cast<std::uint64_t>(static_cast<double>(packet.bytes) *
                                                              static_cast<double>(gone) / static_cast<double>(length));
    }
    under_way.clear();
    free_at = now;
  }
};

/// One device: its storage, its link, its fetcher (which can be killed and made again).
struct SimulatedDevice {
  ota::FetcherOptions options;
  base::Storage* storage = nullptr;
  std::unique_ptr<ota::BlobStore> store{};
  std::unique_ptr<ota::Fetcher> fetcher{};
  Pipe up{}, down{};
  std::set<std::string> filters{};
  bool connected = false;

  void boot() {
    store = std::make_unique<ota::BlobStore>(ota::BlobStore::open(*storage).value());
    fetcher = std::make_unique<ota::Fetcher>(*storage, *store, options);
    filters.clear();
  }
  void connect(MonotonicTime now) {
    connected = true;
    fetcher->on_connected(16, now);
  }
  void cut(MonotonicTime now) {
    up.cut(now);
    down.cut(now);
    connected = false;
    if (fetcher) fetcher->on_lost();
  }
  [[nodiscard]] std::uint64_t wire_bytes() const { return up.sent_bytes + down.sent_bytes; }
};

/// Devices and servers around a broker that costs no time. Requests go to the servers in turn.
class SimulatedSite {
 public:
  std::vector<std::unique_ptr<SimulatedDevice>> devices;
  std::vector<ota::BlobServer*> servers;
  MonotonicTime now{1s};
  std::function<bool(base::mqtt::Message&)> tamper = [](auto&) { return true; };  ///< false: lost

  SimulatedDevice& add_device(base::Storage& storage, std::string id = "gate-1") {
    auto device = std::make_unique<SimulatedDevice>();
    device->options.device = std::move(id);
    device->options.jitter_seed = devices.size() + 7;
    device->storage = &storage;
    device->boot();
    devices.push_back(std::move(device));
    return *devices.back();
  }

  /// Until all fetchers stand still, `stop` says so, or simulated time runs out. True when all stood still.
  bool run(MonotonicTime limit, const std::function<bool()>& stop = [] { return false; }) {
    const auto end = now + limit;
    while (now < end && !stop()) {
      drain_effects();
      drain_servers();
      const auto next = next_event();
      if (next == MonotonicTime::max()) return true;
      if (next > end) break;
      now = std::max(now, next);
      deliver();
      if (stop()) return false;
      for (const auto& device : devices) {
        if (const auto wake = device->fetcher->wake_at(); wake && *wake <= now) device->fetcher->work(now);
      }
    }
    now = std::max(now, std::min(now, end));
    return false;
  }

 private:
  void drain_effects() {
    for (const auto& device : devices) {
      while (const auto effect = device->fetcher->next_effect()) {
        using Kind = ota::FetchEffect::Kind;
        if (effect->kind == Kind::subscribe) device->filters.insert(effect->filter);
        if (effect->kind == Kind::unsubscribe) device->filters.erase(effect->filter);
        if (effect->kind == Kind::publish && device->connected) device->up.send(effect->message, now);
      }
    }
  }
  void drain_servers() {
    for (auto* server : servers) {
      while (const auto message = server->next(now)) {
        for (const auto& device : devices) {
          if (device->connected && device->filters.contains(message->topic)) device->down.send(*message, now);
        }
      }
    }
  }
  [[nodiscard]] MonotonicTime next_event() const {
    auto next = MonotonicTime::max();
    for (const auto& device : devices) {
      next = std::min({next, device->up.next_at(), device->down.next_at()});
      if (const auto wake = device->fetcher->wake_at()) next = std::min(next, *wake);
    }
    return next;
  }
  void deliver() {
    for (const auto& device : devices) {
      while (device->up.next_at() <= now) {
        auto message = std::move(device->up.under_way.front().message);
        device->up.under_way.pop_front();
        if (!servers.empty() && tamper(message)) servers[turn_++ % servers.size()]->on_message(message, now);
      }
      while (device->down.next_at() <= now) {
        auto message = std::move(device->down.under_way.front().message);
        device->down.under_way.pop_front();
        if (tamper(message)) device->fetcher->on_message(message, now);
      }
    }
  }
  std::size_t turn_ = 0;
};

inline ota::Digest digest(ota::BytesView bytes) { return ota::sha256_of(bytes).value(); }

}  // namespace wayside::test
