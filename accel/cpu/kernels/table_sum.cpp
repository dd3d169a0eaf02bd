// SPDX-License-Identifier: Apache-2.0
// Quantised ADD and SUB: without tables where that is proven equal, with gathered table values where the sums cannot
// leave int32, else the plain definition.
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "accel/cpu/kernels/elementwise.h"
#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/kernels/pieces.h"
#include "accel/cpu/kernels/requant.h"
#include "accel/cpu/kernels/requant_pack.h"

namespace wayside::accel::cpu {
namespace {

std::int32_t saturate(std::int64_t value) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, std::numeric_limits<std::int32_t>::min(),
                                                            std::numeric_limits<std::int32_t>::max()));
}

class PlainTableSum final : public BinaryKernel {
 public:
  explicit PlainTableSum(const TableSumSpec& spec) : spec_(spec) {}
  void run(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out, std::size_t count,
           ThreadPool& pool) const override {
    for_each_piece(count, pool, [&](std::size_t first, std::size_t size) {
      for (std::size_t i = first; i < first + size; ++i) out[i] = one(a[i], b[i]);
    });
  }

 private:
  [[nodiscard]] std::uint8_t one(std::uint8_t a, std::uint8_t b) const {
    const auto& requant = spec_.requant;
    const std::int32_t sum = saturate(std::int64_t{spec_.table_a[a]} + spec_.table_b[b]);
    const std::int64_t q =
        std::int64_t{multiply_by_quantized_multiplier(sum, requant.multiplier[0], requant.shift[0])} +
        requant.zero_point;
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(q, requant.clamp_min, requant.clamp_max));
  }

  TableSumSpec spec_;
};

class VectorTableSum final : public BinaryKernel {
 public:
  VectorTableSum(const TableSumSpec& spec, const ElementwiseIsa& isa, const OutputStage& stage)
      : table_a_(spec.table_a), table_b_(spec.table_b), sum_(isa.table_sum), stage_(stage) {
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) set_lane(requant_, lane, spec.requant, stage.mode, 0, 0);
  }
  void run(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out, std::size_t count,
           ThreadPool& pool) const override {
    for_each_piece(count, pool, [&](std::size_t first, std::size_t size) {
      sum_({.a = a + first,
            .b = b + first,
            .out = out + first,
            .count = size,
            .table_a = table_a_.data(),
            .table_b = table_b_.data(),
            .requant = &requant_,
            .stage = stage_});
    });
  }

 private:
  std::array<std::int32_t, 256> table_a_, table_b_;
  RequantBlock requant_{};
  void (*sum_)(const TableSumArgs&);
  OutputStage stage_;
};

class TablelessSum final : public BinaryKernel {
 public:
  TablelessSum(const TableSumSpec& spec, const LinearSum& form, const ElementwiseIsa& isa)
      : args_{.form = form, .flip = static_cast<std::uint8_t>(spec.is_unsigned ? 0x80 : 0)}, sum_(isa.linear_sum) {
    const std::int32_t domain = spec.is_unsigned ? 128 : 0;
    args_.clamp_min = static_cast<std::int8_t>(spec.requant.clamp_min - domain);
    args_.clamp_max = static_cast<std::int8_t>(spec.requant.clamp_max - domain);
  }
  void run(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out, std::size_t count,
           ThreadPool& pool) const override {
    for_each_piece(count, pool, [&](std::size_t first, std::size_t size) {
      LinearSumArgs args = args_;
      args.a = a + first;
      args.b = b + first;
      args.out = out + first;
      args.count = size;
      sum_(args);
    });
  }

 private:
  LinearSumArgs args_;
  void (*sum_)(const LinearSumArgs&);
};

std::int64_t largest_magnitude(const std::array<std::int32_t, 256>& table) {
  std::int64_t largest = 0;
  for (const std::int32_t value : table) largest = std::max(largest, std::abs(std::int64_t{value}));
  return largest;
}

}  // namespace

SumForm find_sum_form(const TableSumSpec& spec, Level level) {
  if (elementwise_isa(level).linear_sum == nullptr) return {};
  const auto found = find_linear_sum(spec);
  return {.exists = found.has_value(), .linear = found.value_or(LinearSum{})};
}

std::unique_ptr<BinaryKernel> make_table_sum(const TableSumSpec& spec, Level level) {
  const ElementwiseIsa elementwise = elementwise_isa(level);
  const SumForm form = spec.form != nullptr ? *spec.form : find_sum_form(spec, level);
  if (form.exists && elementwise.linear_sum != nullptr) {
    return std::make_unique<TablelessSum>(spec, form.linear, elementwise);
  }
  if (elementwise.table_sum == nullptr) return std::make_unique<PlainTableSum>(spec);
  const std::array bounds{largest_magnitude(spec.table_a) + largest_magnitude(spec.table_b)};
  ConvSpec one_channel;
  one_channel.is_unsigned = spec.is_unsigned;
  one_channel.requant = spec.requant;
  const auto stage = choose_stage(one_channel, bounds);
  if (!stage) return std::make_unique<PlainTableSum>(spec);
  return std::make_unique<VectorTableSum>(spec, elementwise, *stage);
}

}  // namespace wayside::accel::cpu
