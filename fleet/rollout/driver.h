// SPDX-License-Identifier: Apache-2.0
// Driver: carries one roll-out out over MQTT: publishes what the store decided, records what devices report.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mqtt/client.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "fleet/rollout/store.h"

namespace wayside::fleet {

struct DriverOptions {
  base::mqtt::ClientOptions mqtt;
  std::string root = "te";
  /// The control interval: how long a limit may be exceeded unnoticed.
  std::chrono::milliseconds interval{1000};
  /// After a halt or abort, how long devices that had begun are waited for; their results are taken later too.
  std::chrono::seconds linger{30};
};

struct DriverView {
  Snapshot snapshot;
  std::string why;         ///< what is being waited for
  std::string connection;  ///< "" while connected
};

/// Single-threaded. Keeps no state that matters: everything is in the store before it is on the wire, and after each
/// connect what may have been lost is published again. Exactly one driver per roll-out (see RolloutLock).
class Driver {
 public:
  static base::Result<std::unique_ptr<Driver>> create(RolloutStore& store, const std::string& rollout,
                                                      DriverOptions options, base::Clock& clock);
  /// Handles what has arrived and, when the interval is over, takes one control step; blocks at most `limit`. True: the
  /// roll-out is completed, halted or aborted and nothing is left to be sent. Errors: the database's.
  base::Result<bool> poll(std::chrono::nanoseconds limit);
  [[nodiscard]] const DriverView& view() const { return view_; }
  /// Orderly end; waits for publications under way, at most `limit`.
  void close(std::chrono::milliseconds limit) { client_->close(limit); }

 private:
  enum class Sending { command, clear };
  /// Reports of one durable write; also how many events are handled before the next control step.
  static constexpr std::size_t kMaxBatch = 512;

  Driver(RolloutStore& store, Rollout rollout, DriverOptions options, base::Clock& clock);
  base::Result<void> control();
  base::Result<void> handle(const std::vector<base::mqtt::Event>& events);
  base::Result<void> on_message(const base::mqtt::Message& message);
  base::Result<void> on_connected();
  void send();
  [[nodiscard]] std::int64_t unix_now() const;
  [[nodiscard]] bool done(base::MonotonicTime now) const;

  RolloutStore& store_;
  Rollout rollout_;
  DriverOptions options_;
  base::Clock& clock_;
  std::unique_ptr<base::mqtt::Client> client_;
  std::map<std::string, Sending> outgoing_;  ///< by device; the newest wish wins
  std::map<base::mqtt::Ticket, std::pair<std::string, Sending>> under_way_;
  base::mqtt::Ticket policy_ticket_ = 0, manifest_ticket_ = 0;  ///< 0: to be published
  std::uint64_t overflows_ = 0;
  base::MonotonicTime next_control_{0};
  base::MonotonicTime stopped_since_{-1};
  DriverView view_;
};

/// Held for as long as somebody drives a roll-out with this database: flock on "<database>.drive".
class RolloutLock {
 public:
  /// bad_state when another process drives.
  static base::Result<RolloutLock> take(const std::filesystem::path& database);

 private:
  explicit RolloutLock(base::UniqueFd fd) : fd_(std::move(fd)) {}
  base::UniqueFd fd_;
};

}  // namespace wayside::fleet
