// SPDX-License-Identifier: Apache-2.0
// JailedDelta: decodes a fetched delta in a program that jails itself; this process only sees the bytes of the new
// file.
#pragma once

#include <filesystem>
#include <memory>

#include "agent/sandbox/child.h"
#include "ota/delta/delta.h"

namespace wayside::agent {

/// The program (wayside-fetch) gets the two files mapped and nothing else; its answer is checked by the store against
/// the hash from signed metadata. Thread: one.
class JailedDelta final : public ota::DeltaMaker {
 public:
  /// Errors: io (a file or the program is not there).
  static base::Result<std::unique_ptr<ota::DeltaMaker>> open(const std::filesystem::path& program,
                                                             const std::filesystem::path& delta,
                                                             const std::filesystem::path& old_file,
                                                             const ota::DeltaExpectation& expected);
  /// Waits for the program at most some milliseconds. Errors: corrupt (it refused the delta, or makes too much),
  /// bad_state (killed: take the delta for an attack).
  base::Result<bool> step(ota::ByteSink& sink, std::size_t max_bytes) override;

 private:
  JailedDelta(Child child, base::UniqueFd output, base::UniqueFd errors, std::uint64_t target_bytes)
      : child_(std::move(child)), output_(std::move(output)), errors_(std::move(errors)), left_(target_bytes) {}
  base::Result<bool> finish();
  Child child_;
  base::UniqueFd output_, errors_;
  std::uint64_t left_;
};

}  // namespace wayside::agent
