// SPDX-License-Identifier: Apache-2.0
// Random convolutions for tests and benchmarks: a spec that owns its weights, with a plausible requantisation.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "accel/cpu/kernels/kernels.h"

namespace wayside::accel::cpu {

struct ConvCase {
  ConvSpec spec;  ///< its spans point into the vectors below: keep them together
  std::vector<std::uint8_t> weights;
  std::vector<std::int32_t> bias;
  std::vector<std::uint8_t> input;
  std::vector<std::uint8_t> table;
  [[nodiscard]] std::size_t out_bytes() const {
    return static_cast<std::size_t>(spec.batch) * spec.out_h * spec.out_w * spec.out_c;
  }
  [[nodiscard]] double mac_count() const;
};

enum class RequantKind { plausible, powers_of_two, large_scale };

struct CaseOptions {
  bool per_channel = true;
  bool rectified = true;  ///< clamp_min == zero point of the output
  bool has_bias = true;
  bool has_table = false;
  bool centred_weight_zero = false;  ///< no weight of -128 in the s8 domain; u8: weight zero point 128
  RequantKind requant = RequantKind::plausible;
};

/// Sizes are taken from `shape` (out_h and out_w included); everything else is drawn from `random`.
[[nodiscard]] ConvCase make_case(const ConvSpec& shape, const CaseOptions& options, std::mt19937& random);

/// Runs `kernel` on exactly sized buffers and returns the output.
[[nodiscard]] std::vector<std::uint8_t> run_case(const ConvKernel& kernel, const ConvCase& one, ThreadPool& pool);

}  // namespace wayside::accel::cpu
