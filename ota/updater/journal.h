// SPDX-License-Identifier: Apache-2.0
// Journal: the update in progress and the outcomes of the last ones; written before every effect, read at every start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/storage.h"
#include "ota/updater/slots.h"
#include "ota/updater/transitions.h"

namespace wayside::ota {

/// Stores per update before it is given up; a straight update needs 11. Mender's limit (context.cpp
/// kMaxStateDataStoreCount) for the same purpose.
inline constexpr std::uint32_t kMaxStores = 28;
inline constexpr std::size_t kMaxHistory = 32;

/// One update.
struct Job {
  std::string command_id, role;
  Installed target;
  std::uint64_t security_counter = 0;
  std::uint64_t max_bytes = 0;  ///< byte budget of the command; 0: none
  bool operator==(const Job&) const = default;
};

/// How a command ended; kept so that it is not done twice.
struct Outcome {
  std::string command_id;
  Digest manifest;
  bool committed = false;
  bool model_failed = false;  ///< a gate or the probation refused the model itself: do not try it again
  std::string reason;
  bool operator==(const Outcome&) const = default;
};

struct JournalEntry {
  State state = State::idle;
  std::optional<Job> job;      ///< present unless idle
  std::uint32_t stores = 0;    ///< of this update
  std::uint32_t restarts = 0;  ///< since the new model was activated
  bool model_failed = false;
  std::string reason;            ///< why it was rolled back
  std::vector<Outcome> history;  ///< newest last, at most kMaxHistory
};

class Journal {
 public:
  /// Missing: idle. Damaged: idle, with `damaged` set; never an error that would keep the device from starting.
  static base::Result<JournalEntry> load(base::Storage& storage, bool& damaged);
  static base::Result<void> store(base::Storage& storage, const JournalEntry& entry);
};

}  // namespace wayside::ota
