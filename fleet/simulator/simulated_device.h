// SPDX-License-Identifier: Apache-2.0
// SimulatedDevice: one device of a simulated fleet: the real MQTT client and admission rules, a simulated disk and
// model.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/mqtt/client.h"
#include "base/result.h"
#include "fleet/rollout/store.h"
#include "ota/rollout_policy.h"

namespace wayside::fleet {

/// What survives a power cut of the device.
struct SimulatedDisk {
  struct Update {
    DeviceReport report;     ///< the last state, written before it is published
    bool confirmed = false;  ///< the operator's side has cleared the result
    std::string manifest_sha256;
  };
  std::map<std::string, Update> updates;  ///< by command id
  std::string active_manifest;
  std::uint64_t executions = 0;  ///< updates begun; one for each command id, however often it is delivered
};

struct SimulatedDeviceOptions {
  base::mqtt::ClientOptions mqtt;  ///< client_id is the device id
  std::string root = "te";
  std::chrono::milliseconds step_time{500};  ///< download, verify, trial and commit take this each
  bool fails = false;                        ///< its golden set does not pass
  bool enforce_policy = true;                ///< false: starts on a bare command (a broken device, for tests)
  std::uint64_t compared = 100, disagreed = 0;
};

/// Single-threaded, driven by poll(). The disk outlives it: destroy and make again for a power cut.
class SimulatedDevice {
 public:
  static base::Result<std::unique_ptr<SimulatedDevice>> create(SimulatedDeviceOptions options, SimulatedDisk& disk,
                                                               base::Clock& clock);
  /// Never blocks: handles what has arrived, takes at most one step of an update, publishes what is due.
  void poll();
  [[nodiscard]] bool connected() const { return client_->connected(); }
  [[nodiscard]] std::uint64_t connections() const { return connections_; }
  [[nodiscard]] const SimulatedDisk& disk() const { return disk_; }
  void close(std::chrono::milliseconds limit) { client_->close(limit); }

 private:
  SimulatedDevice(SimulatedDeviceOptions options, SimulatedDisk& disk, base::Clock& clock)
      : options_(std::move(options)), disk_(disk), clock_(clock) {}
  void on_message(const base::mqtt::Message& message);
  void on_command(const std::string& id, const std::string& payload);
  void advance(base::MonotonicTime now);
  void forget_oldest();
  void begin_admitted(std::int64_t unix_s);
  void publish_due();

  struct Waiting {
    std::string manifest_sha256;
    std::int64_t not_after_unix_s = 0;
  };
  SimulatedDeviceOptions options_;
  SimulatedDisk& disk_;
  base::Clock& clock_;
  std::unique_ptr<base::mqtt::Client> client_;
  std::map<std::string, ota::RolloutPolicy> policies_;
  std::map<std::string, Waiting> waiting_;  ///< commanded, not yet admitted
  std::map<std::string, bool> due_;         ///< command ids whose state is to be published
  std::map<base::mqtt::Ticket, std::string> under_way_;
  base::MonotonicTime next_step_{0};
  std::uint64_t connections_ = 0;
};

}  // namespace wayside::fleet
