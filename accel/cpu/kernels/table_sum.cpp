// SPDX-License-Identifier: Apache-2.0
// Quantised ADD and SUB: vectors where the sums cannot leave int32, else the plain definition.
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/kernels/requant.h"
#include "accel/cpu/kernels/requant_pack.h"
#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

/// Bytes of one work item: large against the cost of handing it to a thread, small against a level-2 cache.
constexpr std::size_t kPieceBytes = std::size_t{16} * 1024;

template <class Body>
void for_each_piece(std::size_t count, ThreadPool& pool, const Body& body) {
  pool.for_each(divide_up(count, kPieceBytes), [&](std::size_t piece, unsigned /*thread*/) {
    const std::size_t first = piece * kPieceBytes;
    body(first, std::min(kPieceBytes, count - first));
  });
}

std::int32_t saturate(std::int64_t value) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, std::numeric_limits<std::int32_t>::min(),
                                                            std::numeric_limits<std::int32_t>::max()));
}

class PlainTableSum final : public TableSumKernel {
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

class VectorTableSum final : public TableSumKernel {
 public:
  VectorTableSum(const TableSumSpec& spec, const Isa& isa, const OutputStage& stage)
      : table_a_(spec.table_a), table_b_(spec.table_b), isa_(isa), stage_(stage) {
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) set_lane(requant_, lane, spec.requant, stage.mode, 0, 0);
  }
  void run(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out, std::size_t count,
           ThreadPool& pool) const override {
    for_each_piece(count, pool, [&](std::size_t first, std::size_t size) {
      isa_.table_sum({.a = a + first,
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
  const Isa& isa_;
  OutputStage stage_;
};

std::int64_t largest_magnitude(const std::array<std::int32_t, 256>& table) {
  std::int64_t largest = 0;
  for (const std::int32_t value : table) largest = std::max(largest, std::abs(std::int64_t{value}));
  return largest;
}

const Isa* isa_of([[maybe_unused]] Level level) {
#if defined(__x86_64__)
  if (level == Level::avx2 && level_supported(Level::avx2)) return &avx2_isa();
  if (level == Level::avx_vnni && level_supported(Level::avx_vnni)) return &avx_vnni_isa();
  if (level == Level::avx256_vnni && level_supported(Level::avx256_vnni)) return &avx256_vnni_isa();
  if (level == Level::avx512_vnni && level_supported(Level::avx512_vnni)) return &avx512_vnni_isa();
#endif
  return nullptr;
}

}  // namespace

std::unique_ptr<TableSumKernel> make_table_sum(const TableSumSpec& spec, Level level) {
  const Isa* isa = isa_of(level);
  if (isa == nullptr || isa->table_sum == nullptr) return std::make_unique<PlainTableSum>(spec);
  const std::array bounds{largest_magnitude(spec.table_a) + largest_magnitude(spec.table_b)};
  ConvSpec one_channel;
  one_channel.is_unsigned = spec.is_unsigned;
  one_channel.requant = spec.requant;
  const auto stage = choose_stage(one_channel, bounds);
  if (!stage) return std::make_unique<PlainTableSum>(spec);
  return std::make_unique<VectorTableSum>(spec, *isa, *stage);
}

}  // namespace wayside::accel::cpu
