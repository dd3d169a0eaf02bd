// SPDX-License-Identifier: Apache-2.0
// Slots: which model each role runs, which one is committed, and which older ones stay on disk; one file, replaced
// whole.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/storage.h"
#include "ota/store/digest.h"

namespace wayside::ota {

/// Older versions that stay installed besides the committed one.
inline constexpr std::size_t kPinnedPrevious = 2;
inline constexpr std::size_t kMaxRoles = 16;

/// One installed model: the manifest says everything else.
struct Installed {
  Digest manifest;
  std::string variant;
  bool operator==(const Installed&) const = default;
};

struct Slot {
  std::optional<Installed> active;     ///< what the pipeline loads; nothing: the model of the configuration
  std::optional<Installed> committed;  ///< what a rollback returns to
  std::vector<Installed> previous;     ///< newest first, at most kPinnedPrevious
  std::uint64_t counter_floor = 0;     ///< highest security counter ever committed
  bool operator==(const Slot&) const = default;
};

class Slots {
 public:
  /// A missing file is an empty record. A damaged one too, with `damaged()` true: the device starts with its configured
  /// model and takes new updates. Errors: io.
  static base::Result<Slots> load(base::Storage& storage);
  [[nodiscard]] const std::map<std::string, Slot>& roles() const { return roles_; }
  [[nodiscard]] Slot slot(const std::string& role) const;
  [[nodiscard]] bool damaged() const { return damaged_; }

  /// Each is one atomic replacement of the file; nothing is written when nothing changes. On an error the record in
  /// memory stays as it was.
  base::Result<void> activate(const std::string& role, const Installed& installed);
  /// active and committed become `installed`; the old committed one becomes the newest previous; the floor rises.
  base::Result<void> commit(const std::string& role, const Installed& installed, std::uint64_t security_counter);
  /// active becomes what is committed.
  base::Result<void> restore(const std::string& role);
  /// Another variant of what is committed (and active, unless that is on trial), because the runtimes have changed.
  base::Result<void> reselect(const std::string& role, const std::string& variant);
  /// Manifests of everything in the record.
  [[nodiscard]] std::vector<Digest> pinned() const;

 private:
  explicit Slots(base::Storage& storage) : storage_(&storage) {}
  base::Result<void> replace(const std::string& role, Slot slot);
  base::Storage* storage_;
  std::map<std::string, Slot> roles_;
  bool damaged_ = false;
};

}  // namespace wayside::ota
