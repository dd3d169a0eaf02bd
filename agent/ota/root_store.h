// SPDX-License-Identifier: Apache-2.0
// RootStore: the chain of root documents from the one that came with the device to the newest one it has followed.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/storage.h"
#include "ota/package/root.h"

namespace wayside::agent {

/// Layout below the storage's root: roots/<version>, an envelope each. The first one is the configuration's file, on a
/// medium that updates do not write to. The storage must outlive it.
class RootStore {
 public:
  /// Follows what is stored as far as it verifies; a damaged document ends the chain there, and can be sent again.
  /// Refusals: those of open_first_root; io with the remedy when the first root cannot be read.
  static ota::Checked<RootStore> open(base::Storage& storage, const std::filesystem::path& first_root);

  [[nodiscard]] const ota::Root& current() const { return root_; }
  /// Takes the successor of current(): verified, then durable, then in force. One that is in force already or older is
  /// no refusal and changes nothing; true when the root changed. `version` is what its topic says: only what would be
  /// the next one is looked at. Refusals: those of follow_root, io.
  ota::Checked<bool> offer(std::uint32_t version, const ota::Envelope& envelope);

 private:
  RootStore(base::Storage& storage, ota::Root root) : storage_(&storage), root_(std::move(root)) {}
  base::Storage* storage_;
  ota::Root root_;
};

}  // namespace wayside::agent
