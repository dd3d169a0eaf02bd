// SPDX-License-Identifier: Apache-2.0
// Table lookups and quantised products, and which loops of this processor serve elementwise operators.
#include "accel/cpu/kernels/elementwise.h"

#include <algorithm>
#include <array>

#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/kernels/pieces.h"
#include "accel/cpu/kernels/requant.h"
#include "accel/cpu/kernels/requant_pack.h"
#include "accel/cpu/kernels/window_maximum.h"

namespace wayside::accel::cpu {
namespace {

class TableLookup final : public LookupKernel {
 public:
  TableLookup(const std::array<std::uint8_t, 256>& answers, const ElementwiseIsa& isa) : lookup_(isa.lookup) {
    constexpr std::size_t kRow = 16, kHalf = 128;
    rows_.answers = answers;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const bool first_row = i % kHalf < kRow;
      rows_.steps[i] = static_cast<std::uint8_t>(answers[i] ^ (first_row ? 0 : answers[i - kRow]));
    }
  }
  void run(const std::uint8_t* in, std::uint8_t* out, std::size_t count, ThreadPool& pool) const override {
    for_each_piece(count, pool, [&](std::size_t first, std::size_t size) {
      if (lookup_ != nullptr) {
        lookup_(rows_, in + first, out + first, size);
        return;
      }
      for (std::size_t i = first; i < first + size; ++i) out[i] = rows_.answers[in[i]];
    });
  }

 private:
  LookupRows rows_;
  void (*lookup_)(const LookupRows&, const std::uint8_t*, std::uint8_t*, std::size_t);
};

class PlainProduct final : public BinaryKernel {
 public:
  explicit PlainProduct(const ProductSpec& spec) : spec_(spec), flip_(spec.is_unsigned ? 0 : 0x80) {}
  void run(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out, std::size_t count,
           ThreadPool& pool) const override {
    for_each_piece(count, pool, [&](std::size_t first, std::size_t size) {
      for (std::size_t i = first; i < first + size; ++i) out[i] = one(a[i], b[i]);
    });
  }

 private:
  [[nodiscard]] std::int32_t value(std::uint8_t byte) const { return (byte ^ flip_) - flip_; }
  [[nodiscard]] std::uint8_t one(std::uint8_t a, std::uint8_t b) const {
    const auto& requant = spec_.requant;
    const std::int32_t product = (value(a) - spec_.zero_a) * (value(b) - spec_.zero_b);
    const std::int64_t q =
        std::int64_t{multiply_by_quantized_multiplier(product, requant.multiplier[0], requant.shift[0])} +
        requant.zero_point;
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(q, requant.clamp_min, requant.clamp_max));
  }

  ProductSpec spec_;
  std::int32_t flip_;
};

class VectorProduct final : public BinaryKernel {
 public:
  VectorProduct(const ProductSpec& spec, const ElementwiseIsa& isa, const OutputStage& stage)
      : spec_(spec), product_(isa.product), stage_(stage) {
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) set_lane(requant_, lane, spec.requant, stage.mode, 0, 0);
  }
  void run(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out, std::size_t count,
           ThreadPool& pool) const override {
    const std::int32_t domain = spec_.is_unsigned ? 128 : 0;
    for_each_piece(count, pool, [&](std::size_t first, std::size_t size) {
      product_({.a = a + first,
                .b = b + first,
                .out = out + first,
                .count = size,
                .zero_a = static_cast<std::int16_t>(spec_.zero_a - domain),
                .zero_b = static_cast<std::int16_t>(spec_.zero_b - domain),
                .flip = static_cast<std::uint8_t>(spec_.is_unsigned ? 0x80 : 0),
                .requant = &requant_,
                .stage = stage_});
    });
  }

 private:
  ProductSpec spec_;
  RequantBlock requant_{};
  void (*product_)(const ProductArgs&);
  OutputStage stage_;
};

}  // namespace

ElementwiseIsa elementwise_isa([[maybe_unused]] Level level) {
  ElementwiseIsa isa;
#if defined(__x86_64__)
  if (level_includes(level, Level::avx2) && level_supported(Level::avx2)) isa = elementwise_avx2();
  if (level_includes(level, Level::avx512_vnni) && level_supported(Level::avx512_vnni)) {
    isa = elementwise_avx512();
    if (__builtin_cpu_supports("avx512vbmi")) isa.lookup = lookup_avx512_vbmi;
  }
#elif defined(__aarch64__)
  if (level_includes(level, Level::neon)) isa = elementwise_neon();
#endif
  return isa;
}

std::unique_ptr<LookupKernel> make_lookup(const std::array<std::uint8_t, 256>& answers, Level level) {
  return std::make_unique<TableLookup>(answers, elementwise_isa(level));
}

std::unique_ptr<BinaryKernel> make_product(const ProductSpec& spec, Level level) {
  const ElementwiseIsa isa = elementwise_isa(level);
  constexpr std::array<std::int64_t, 1> kBounds{std::int64_t{255} * 255};
  // Multipliers are at least 2^30: from this shift on, every product but 0 ends at a clamp, and none leaves int32 yet.
  constexpr std::int32_t kSaturatingShift = 10;
  ConvSpec one_channel;
  one_channel.is_unsigned = spec.is_unsigned;
  one_channel.requant = spec.requant;
  auto& shift = one_channel.requant.shift[0];
  shift = std::min(shift, kSaturatingShift);
  const auto stage = choose_stage(one_channel, kBounds);
  if (isa.product == nullptr || !stage) return std::make_unique<PlainProduct>(spec);
  return std::make_unique<VectorProduct>(ProductSpec{.zero_a = spec.zero_a,
                                                     .zero_b = spec.zero_b,
                                                     .is_unsigned = spec.is_unsigned,
                                                     .requant = one_channel.requant},
                                         isa, *stage);
}

MaximumFunction window_maximum(Level level) {
  const MaximumFunction fast = elementwise_isa(level).maximum;
  return fast != nullptr ? fast : window_maximum_bytes<1>;
}

}  // namespace wayside::accel::cpu
