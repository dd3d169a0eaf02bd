// SPDX-License-Identifier: Apache-2.0
// Compares what the engine gave with what TFLite's reference kernels gave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "accel/accelerator.h"
#include "base/result.h"
#include "tests/conformance/golden.h"

namespace wayside::conformance {

/// Counts over many cases, for the printed summary.
struct Tally {
  std::size_t cases = 0;
  std::size_t values = 0;
  std::size_t different = 0;  ///< values that are not bit-identical
  double largest = 0;         ///< largest difference: steps of 8-bit types, absolute for floats
  void add(const Tally& other);
};
[[nodiscard]] std::string to_string(const Tally& tally);

/// One LSB of 8-bit types; floats (outputs of DEQUANTIZE, one exact product each) must agree to this relative bound.
inline constexpr double kFloatTolerance = 1e-6;

/// Every golden output against the session's output of the same name. The error lists missing outputs, or the first
/// value that is more than 1 LSB off as "output t2 index 17: got 5, want 8".
base::Result<Tally> compare_outputs(const accel::Session& session, std::span<const GoldenOutput> wanted);

/// Index of the largest value of an 8-bit output, the first of equals.
[[nodiscard]] std::size_t top_index(std::span<const std::uint8_t> bytes, bool is_signed);

}  // namespace wayside::conformance
