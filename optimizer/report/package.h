// SPDX-License-Identifier: Apache-2.0
// From the report's chosen variant to a model package (docs/formats/package.md): golden set, accuracy card, limits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/report/budget.h"
#include "optimizer/report/task.h"
#include "optimizer/report/variant.h"

namespace wayside::optimizer {

/// Tensors in the golden set that a device runs before it trusts the model.
inline constexpr std::size_t kGoldenSamples = 8;

struct Card;

struct PackageOptions {
  std::string name, role, version = "1.0.0";
  std::uint64_t security_counter = 1;
  std::int64_t issued_unix_s = 0, valid_days = 180;
  std::vector<std::string> labels;
  std::filesystem::path card;  ///< model card for the agent; empty: the one that is written, if any
  std::filesystem::path key;   ///< Ed25519 private key (PEM); empty: the package is not signed
  std::string dataset;         ///< what the accuracy was measured on
  std::filesystem::path out;   ///< the package file
};

/// Packs `models`/<file of the chosen variant>. The golden set is what this engine answers to the first evaluation
/// samples, one step of tolerance; the latency limit is the budget's, so that a board that is too slow refuses; the
/// accuracy card has the score in float and on the engine. `card`: of model_card(), or null. Errors: bad_state (nothing
/// chosen), invalid_argument (what the manifest's own reader refuses), corrupt (key), io.
base::Result<void> write_package(const PackageOptions& options, const Report& report, const Budget& budget,
                                 const std::filesystem::path& models, const std::vector<TaskSample>& samples,
                                 const Card* card);

}  // namespace wayside::optimizer
