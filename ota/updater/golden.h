// SPDX-License-Identifier: Apache-2.0
// The judges of the gates: golden outputs within tolerance, measured figures within the signed limits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "ota/package/manifest.h"
#include "ota/store/blob_store.h"

namespace wayside::ota {

/// How raw outputs are compared.
enum class ElementType { int8, uint8, float32 };

/// Differences over all cases so far, in steps of the type (for float32: in thousandths, a NaN counts as infinite).
struct GoldenVerdict {
  std::uint64_t elements = 0;
  double max_abs = 0, sum_abs = 0;
  [[nodiscard]] double mean_abs() const { return elements == 0 ? 0 : sum_abs / static_cast<double>(elements); }
};

/// Adds one tensor to the verdict. invalid_argument when the sizes differ or are no multiple of the type.
[[nodiscard]] base::Result<void> compare(std::span<const std::byte> expected, std::span<const std::byte> actual,
                                         ElementType type, GoldenVerdict& verdict);
/// Empty when within the tolerances, else one line.
[[nodiscard]] std::string judge(const GoldenVerdict& verdict, const Golden& golden);

/// One inference on the accelerator that the model is for.
using Infer = std::function<base::Result<void>(std::span<const std::byte> input, std::span<std::byte> output)>;
/// Runs the golden set from the store, one case at a time in memory. Empty when passed, else why not. Errors: io,
/// corrupt when the files' sizes do not fit count and tensors.
[[nodiscard]] base::Result<std::string> run_golden(const BlobStore& store, const Golden& golden,
                                                   std::size_t input_bytes, std::size_t output_bytes, ElementType type,
                                                   const Infer& infer);

/// What the bench gate measured; 0: not measured, and then not judged.
struct Measured {
  std::uint64_t p50_us = 0, p99_us = 0, ram_bytes = 0, power_mw = 0;
};
/// Empty when within the limits, else one line: "p99 41700 us > 33000 us".
[[nodiscard]] std::string judge(const Measured& measured, const Limits& limits);

}  // namespace wayside::ota
