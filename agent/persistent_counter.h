// SPDX-License-Identifier: Apache-2.0
// PersistentCounter: numbers that never repeat, over restarts and power cuts, with few writes to flash.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "base/storage.h"

namespace wayside::agent {

/// Reserves numbers in blocks: the file holds the end of the reserved block, written durably before any number of it is
/// given out; a restart goes on at that end, so numbers are left out but never repeated. One owner thread.
class PersistentCounter {
 public:
  /// Reads `file` in `storage`; starts at 1 where there is none. A file that cannot be understood is an error
  /// (corrupt): guessing could repeat numbers.
  static base::Result<PersistentCounter> open(base::Storage& storage, std::filesystem::path file, std::uint64_t block);

  /// The next number. Errors: those of the storage; the number was then not used up.
  base::Result<std::uint64_t> next();

 private:
  PersistentCounter(base::Storage& storage, std::filesystem::path file, std::uint64_t block)
      : storage_(&storage), file_(std::move(file)), block_(block) {}
  base::Storage* storage_;
  std::filesystem::path file_;
  std::uint64_t block_;
  std::uint64_t next_ = 1;
  std::uint64_t reserved_end_ = 1;  ///< numbers below this are durably reserved
};

}  // namespace wayside::agent
