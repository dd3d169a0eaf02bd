// SPDX-License-Identifier: Apache-2.0
// ByteBroadcast: a kernel for two runs of bytes, applied to two tensors that repeat along some dimensions.
#pragma once

#include <cstddef>
#include <memory>

#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/ops/broadcast.h"
#include "accel/cpu/ops/operator.h"

namespace wayside::accel::cpu::ops {

class ByteBroadcast {
 public:
  ByteBroadcast(const Broadcast& shapes, std::unique_ptr<BinaryKernel> kernel);
  /// Room for the repeated copies of the shorter operand that run() makes.
  [[nodiscard]] std::size_t scratch_bytes() const;
  /// Inputs 0 and 1 to output 0. Without repetition the output may be either input.
  void run(const RunContext& context) const;

 private:
  enum class Repeat : std::uint8_t {
    none,  ///< one run
    row,   ///< one operand is a row that repeats for every row of the other: copies of it make long runs
    any,   ///< both operands' next rows side by side; one that is one value within a row is spread out
  };
  void run_rows(const RunContext& context) const;
  void run_any(const RunContext& context) const;
  [[nodiscard]] std::size_t row_bytes() const { return static_cast<std::size_t>(shapes_.dims[kMaxRank - 1]); }

  Broadcast shapes_;
  std::shared_ptr<const BinaryKernel> kernel_;
  Repeat repeat_ = Repeat::any;
  bool repeats_a_ = false;
  std::size_t row_count_ = 1, copies_ = 1;  // rows in all, rows (or copies of one) for one call of the kernel
};

}  // namespace wayside::accel::cpu::ops
