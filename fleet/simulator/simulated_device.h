// SPDX-License-Identifier: Apache-2.0
// SimulatedDevice: one device of a simulated fleet: the real updater, signatures, admission rules, transfer and MQTT
// client; disk, accelerator and camera are simulated.
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
#include "fleet/simulator/simulated_gates.h"
#include "ota/updater/updater.h"

namespace wayside::fleet {

/// What survives a power cut of the device.
struct SimulatedDisk {
  struct Update {
    DeviceReport report;     ///< the last state, written before it is published
    bool confirmed = false;  ///< the operator's side has cleared the result
  };
  base::FaultyStorage storage{1};         ///< of the updater: store, journal, slots
  std::map<std::string, Update> updates;  ///< by command id
  std::uint64_t executions = 0;           ///< updates begun; one for each command id, however often it is delivered
};

struct SimulatedDeviceOptions {
  base::mqtt::ClientOptions mqtt;  ///< client_id is the device id
  std::string root = "te";
  ota::Root trusted;  ///< whose signatures count
  std::string board = "host";
  SimulatedGatesOptions gates;
};

/// Single-threaded, driven by poll(). The disk outlives it: destroy and make again for a power cut.
class SimulatedDevice {
 public:
  static base::Result<std::unique_ptr<SimulatedDevice>> create(SimulatedDeviceOptions options, SimulatedDisk& disk,
                                                               base::Clock& clock);
  /// Never blocks: handles what has arrived, goes on with the update, publishes what is due. Errors: the disk's.
  base::Result<void> poll();
  [[nodiscard]] bool connected() const { return client_->connected(); }
  [[nodiscard]] std::uint64_t connections() const { return connections_; }
  [[nodiscard]] const SimulatedDisk& disk() const { return disk_; }
  /// Hash of the manifest of the role's model; empty: none was installed.
  [[nodiscard]] std::string active_manifest(const std::string& role) const;
  /// Documents under te/fleet/ that were refused: not signed by whom the root allows.
  [[nodiscard]] std::uint64_t refused_documents() const { return refused_documents_; }
  void close(std::chrono::milliseconds limit) { client_->close(limit); }

 private:
  SimulatedDevice(SimulatedDeviceOptions options, SimulatedDisk& disk, base::Clock& clock)
      : options_(std::move(options)), disk_(disk), clock_(clock) {}
  base::Result<void> open();
  void on_connected();
  void on_message(const base::mqtt::Message& message);
  void on_command(const std::string& id, const std::string& payload);
  void try_commands();
  bool begin(const ota::UpdateCommand& command);
  base::Result<void> advance();
  void note_state();
  void tell(const std::string& id, DeviceReport report);
  void forget_oldest();
  void publish_due();

  SimulatedDeviceOptions options_;
  SimulatedDisk& disk_;
  base::Clock& clock_;
  std::unique_ptr<ota::BlobStore> store_;
  std::unique_ptr<ota::Fetcher> fetcher_;
  std::unique_ptr<SimulatedGates> gates_;
  std::unique_ptr<ota::Updater> updater_;
  std::unique_ptr<base::mqtt::Client> client_;
  std::map<std::string, ota::UpdateCommand> waiting_;  ///< commanded, not yet begun
  std::map<std::string, bool> due_;                    ///< command ids whose state is to be published
  bool inventory_due_ = false;
  std::map<base::mqtt::Ticket, std::string> under_way_;  ///< empty id: the inventory
  base::MonotonicTime next_try_{0};
  std::uint64_t connections_ = 0, refused_documents_ = 0;
};

}  // namespace wayside::fleet
