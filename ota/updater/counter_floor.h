// SPDX-License-Identifier: Apache-2.0
// CounterFloor: the highest security counter ever committed per role, in two files of its own: it outlives the slot
// record.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/storage.h"

namespace wayside::ota {

/// A lost or damaged slot record must not let an older model return, so the floor is not only kept there. Two copies,
/// written one after the other: a cut leaves at least one whole, and the higher number counts.
class CounterFloor {
 public:
  /// Missing files are floors of 0; a damaged one is made up for by the other. Errors: io.
  static base::Result<CounterFloor> load(base::Storage& storage);
  [[nodiscard]] std::uint64_t of(const std::string& role) const;
  /// True when neither copy could be read although one is there.
  [[nodiscard]] bool damaged() const { return damaged_; }
  /// Never lowers; writes nothing when nothing changes and both copies are whole. Errors: exhausted (too many roles),
  /// io; call again then.
  base::Result<void> raise(const std::string& role, std::uint64_t counter);

 private:
  explicit CounterFloor(base::Storage& storage) : storage_(&storage) {}
  base::Storage* storage_;
  std::map<std::string, std::uint64_t> floors_;
  bool damaged_ = false;
  bool rewrite_ = false;  ///< a copy is damaged, missing or behind
};

}  // namespace wayside::ota
