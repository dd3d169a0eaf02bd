// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution: per block of channels, the rows of a window are interleaved once into a strip of columns,
// which then serves all taps of all output rows that fit into the same rows.
#include <algorithm>
#include <array>
#include <cstring>

#include "accel/cpu/kernels/isa.h"
#include "accel/cpu/kernels/packed_conv.h"
#include "accel/cpu/kernels/requant_pack.h"
#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

/// Bounds the arrays of row pointers: kernels up to 32 rows high, and what fits beside them.
constexpr std::size_t kMaxSlots = 32;

/// How many s8 values must add up to each weight of channels [first, last); 0 where two are too few.
std::size_t sets_needed(const ConvSpec& spec, std::size_t first, std::size_t last) {
  std::size_t sets = 1;
  for (std::size_t tap = 0; tap < spec.weights.size(); tap += spec.out_c) {
    for (std::size_t channel = first; channel < last; ++channel) {
      const std::int32_t w = weight_value(spec, spec.weights[tap + channel]) - spec.weight_zero;
      if (w > 254) return 0;  // 255 is no sum of two s8 values
      if (w < -128 || w > 127) sets = 2;
    }
  }
  return sets;
}

class DepthwiseConv final : public ConvKernel {
 public:
  DepthwiseConv(const ConvSpec& spec, const Isa& isa, std::size_t set_count);
  void pack(const ConvSpec& spec, const OutputStage& stage, const ConvSums& sums);
  [[nodiscard]] std::size_t scratch_bytes(unsigned thread_count) const override {
    return thread_bytes() * thread_count;
  }
  [[nodiscard]] std::size_t packed_bytes() const override {
    return weights_.size() + (requant_.size() * sizeof(RequantBlock)) + zero_row_.size();
  }
  [[nodiscard]] bool get_packed(PackedConv& packed) const override {
    packed = {
        .set_count = static_cast<std::uint32_t>(set_count_), .stage = stage_, .requant = requant_, .weights = weights_};
    return true;
  }
  /// A kernel that was not given fitting packed weights is of no use.
  [[nodiscard]] bool usable() const { return !requant_.empty(); }
  void run(const std::uint8_t* in, std::uint8_t* out, std::byte* scratch, ThreadPool& pool) const override;

 private:
  void take(const PackedConv& packed);
  [[nodiscard]] std::size_t lane_bytes() const {
    return variant_count_ * spec_.kernel_w * group_count_ * set_count_ * 4;
  }
  /// A block of 32 lanes may begin in the last 16.
  [[nodiscard]] std::size_t requant_count() const { return divide_up(spec_.out_c, kBlockLanes) + 1; }
  void pack_lane(const ConvSpec& spec, std::byte* to, std::size_t lanes, std::size_t lane, std::size_t channel,
                 std::size_t sets) const;
  [[nodiscard]] std::int32_t folded_bias(const ConvSpec& spec, std::size_t channel, std::int64_t weight_sum) const;
  void run_strip(const std::uint8_t* picture, std::size_t readable_bytes, std::int32_t y, std::uint8_t* out,
                 std::byte* scratch) const;
  [[nodiscard]] std::size_t slots_per_group() const { return 4 / isa_.element_bytes; }
  [[nodiscard]] std::size_t slot_count() const { return group_count_ * slots_per_group(); }
  [[nodiscard]] std::size_t row_bytes() const { return static_cast<std::size_t>(spec_.in_w) * spec_.out_c; }
  [[nodiscard]] std::size_t strip_bytes() const { return strip_columns_ * group_count_ * kStripLanes * 4; }
  [[nodiscard]] std::size_t expanded_bytes() const { return align_up(row_bytes() + kScratchSlackBytes); }
  [[nodiscard]] std::size_t thread_bytes() const {
    return strip_bytes() + (multiplier_ > 1 ? slot_count() * expanded_bytes() : 0);
  }

  ConvSpec spec_;
  const Isa& isa_;
  OutputStage stage_;
  std::size_t set_count_ = 1, group_count_ = 1, variant_count_ = 1, strip_columns_ = 1, multiplier_ = 1;
  std::uint8_t flip_ = 0, zero_byte_ = 0;
  std::int32_t zero_point_ = 0;            ///< of the input in that domain
  std::span<const std::byte> weights_;     ///< own_weights_ or borrowed
  std::span<const RequantBlock> requant_;  ///< own_requant_ or borrowed
  AlignedBytes own_weights_;
  std::vector<RequantBlock> own_requant_;
  AlignedBytes zero_row_;  ///< stands in for rows outside the picture
  OutputTable table_;
};

DepthwiseConv::DepthwiseConv(const ConvSpec& spec, const Isa& isa, std::size_t set_count)
    : spec_(spec),
      isa_(isa),
      set_count_(set_count),
      multiplier_(static_cast<std::size_t>(spec.out_c) / spec.in_c),
      flip_(spec.is_unsigned == isa.signed_activations ? 0x80 : 0),
      zero_byte_(static_cast<std::uint8_t>(spec.in_zero)),
      zero_point_(spec.in_zero + (spec.is_unsigned ? 0 : 128) - (isa.signed_activations ? 128 : 0)),
      table_(spec.output_table) {
  group_count_ = divide_up(spec.kernel_h, slots_per_group());
  const std::size_t spare = slot_count() - spec.kernel_h;
  if (spec.dilation_h == 1) variant_count_ = std::min<std::size_t>(1 + (spare / spec.stride_h), spec.out_h);
  strip_columns_ = (static_cast<std::size_t>(spec.out_w - 1) * spec.stride_w) +
                   (static_cast<std::size_t>(spec.kernel_w - 1) * spec.dilation_w) + 1;
  zero_row_ = AlignedBytes(row_bytes() + kScratchSlackBytes);
  std::memset(zero_row_.data(), zero_byte_, zero_row_.size());
  if (spec.packed != nullptr) take(*spec.packed);
  spec_.weights = {};
  spec_.bias = {};
  spec_.requant = {};
  spec_.output_table = {};
  spec_.sums = nullptr;
  spec_.packed = nullptr;
}

void DepthwiseConv::take(const PackedConv& packed) {
  if (!fits(packed, requant_count(), requant_count() * kBlockLanes * lane_bytes())) return;
  stage_ = packed.stage;
  weights_ = packed.weights;
  requant_ = packed.requant;
}

void DepthwiseConv::pack(const ConvSpec& spec, const OutputStage& stage, const ConvSums& sums) {
  const auto channels = static_cast<std::size_t>(spec.out_c);
  stage_ = stage;
  own_weights_ = AlignedBytes(requant_count() * kBlockLanes * lane_bytes());
  own_requant_.resize(requant_count());
  weights_ = {own_weights_.data(), own_weights_.size()};
  requant_ = own_requant_;
  for (std::size_t first = 0; first < channels;) {
    const bool wide = isa_.depthwise_block == kStripLanes && first + kBlockLanes < channels;
    const std::size_t lanes = wide ? kStripLanes : kBlockLanes;
    const std::size_t sets = isa_.element_bytes == 1 ? sets_needed(spec, first, std::min(first + lanes, channels)) : 1;
    const auto channel_of = [&](std::size_t lane) {
      return first + (wide ? isa_.depthwise_channel[lane] : isa_.depthwise_tail_channel[lane]);
    };
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const std::size_t channel = channel_of(lane);
      auto& block = own_requant_[(first + lane) / kBlockLanes];
      if (channel >= channels) {
        set_lane(block, lane % kBlockLanes, spec.requant, stage_.mode, -1, 0);
        continue;
      }
      pack_lane(spec, own_weights_.data() + (first * lane_bytes()), lanes, lane, channel, sets);
      set_lane(block, lane % kBlockLanes, spec.requant, stage_.mode, static_cast<std::int32_t>(channel),
               folded_bias(spec, channel, sums.weights[channel]));
    }
    const auto proven = [&](RequantMode mode) {
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        const bool used = channel_of(lane) < channels;
        const BoundedChannel bounded{used ? static_cast<std::int32_t>(channel_of(lane)) : -1,
                                     used ? sums.bounds[channel_of(lane)] : 0};
        auto& block = own_requant_[(first + lane) / kBlockLanes];
        if (!set_float_lane(block, lane % kBlockLanes, spec.requant, stage_, bounded, mode, isa_)) return false;
      }
      return true;
    };
    RequantMode mode = stage_.mode;
    if (stage_.clamp_min == stage_.zero_point && isa_.float_is_exact != nullptr) {
      const auto modes = float_modes(stage_);
      const auto cheapest = std::ranges::find_if(modes, proven);
      if (cheapest != modes.end()) mode = *cheapest;
    }
    for (std::size_t lane = 0; lane < lanes; lane += kBlockLanes) {
      auto& block = own_requant_[(first + lane) / kBlockLanes];
      block.mode = mode;
      block.set_count = static_cast<std::int32_t>(sets);
    }
    first += lanes;
  }
}

/// Where activations keep their zero point, it goes into the bias.
std::int32_t DepthwiseConv::folded_bias(const ConvSpec& spec, std::size_t channel, std::int64_t weight_sum) const {
  const std::int32_t bias = spec.bias.empty() ? 0 : spec.bias[channel];
  if (isa_.element_bytes != 1 && !isa_.zero_in_bias) return bias;
  return wrapping_sub(bias, wrapping_mul(zero_point_, static_cast<std::int32_t>(weight_sum)));
}

void DepthwiseConv::pack_lane(const ConvSpec& spec, std::byte* to, std::size_t lanes, std::size_t lane,
                              std::size_t channel, std::size_t sets) const {
  const std::size_t slots = slots_per_group();
  for (std::size_t variant = 0; variant < variant_count_; ++variant) {
    for (std::size_t j = 0; j < static_cast<std::size_t>(spec.kernel_w); ++j) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(spec.kernel_h); ++i) {
        const std::size_t slot = (variant * spec.stride_h) + i;
        const std::size_t tap = (((variant * spec.kernel_w) + j) * group_count_) + (slot / slots);
        std::byte* at = to + (tap * sets * lanes * 4) + (lane * 4) + (slot % slots * isa_.element_bytes);
        const std::size_t from = (((i * spec.kernel_w) + j) * spec.out_c) + channel;
        const std::int32_t w = weight_value(spec, spec.weights[from]) - spec.weight_zero;
        if (isa_.element_bytes == 2) {
          const auto value = static_cast<std::int16_t>(w);
          std::memcpy(at, &value, sizeof value);
        } else {
          const std::int32_t first = sets == 1 ? w : w / 2;
          *at = static_cast<std::byte>(first);
          if (sets == 2) at[lanes * 4] = static_cast<std::byte>(w - first);
        }
      }
    }
  }
}

void DepthwiseConv::run(const std::uint8_t* in, std::uint8_t* out, std::byte* scratch, ThreadPool& pool) const {
  const auto& s = spec_;
  const std::size_t picture_bytes = static_cast<std::size_t>(s.in_h) * s.in_w * s.in_c;
  const std::size_t out_bytes = static_cast<std::size_t>(s.out_h) * s.out_w * s.out_c;
  const std::size_t strips = divide_up(s.out_h, variant_count_);
  pool.for_each(strips * s.batch, [&](std::size_t item, unsigned thread) {
    const std::size_t picture = item / strips;
    const auto y = static_cast<std::int32_t>(item % strips * variant_count_);
    run_strip(in + (picture * picture_bytes), (s.batch - picture) * picture_bytes, y, out + (picture * out_bytes),
              scratch + (thread * thread_bytes()));
  });
}

void DepthwiseConv::run_strip(const std::uint8_t* picture, std::size_t readable_bytes, std::int32_t y,
                              std::uint8_t* out, std::byte* scratch) const {
  const auto& s = spec_;
  std::array<const std::uint8_t*, kMaxSlots> rows{};
  std::array<std::uint8_t*, kMaxSlots> out_rows{};
  const auto* zero_row = reinterpret_cast<const std::uint8_t*>(zero_row_.data());
  const std::size_t in_row_bytes = static_cast<std::size_t>(s.in_w) * s.in_c;
  DepthwiseArgs args;
  args.readable_bytes = zero_row_.size();
  for (std::size_t slot = 0; slot < slot_count(); ++slot) {
    const std::int32_t in_y = (y * s.stride_h) + (static_cast<std::int32_t>(slot) * s.dilation_h) - s.pad_top;
    rows[slot] = zero_row;
    if (in_y < 0 || in_y >= s.in_h) continue;
    const std::uint8_t* row = picture + (static_cast<std::size_t>(in_y) * in_row_bytes);
    rows[slot] = row;
    if (multiplier_ == 1) {
      args.readable_bytes = std::min(args.readable_bytes, readable_bytes - static_cast<std::size_t>(row - picture));
      continue;
    }
    auto* expanded = reinterpret_cast<std::uint8_t*>(scratch + strip_bytes() + (slot * expanded_bytes()));
    rows[slot] = expanded;
    for (std::size_t i = 0; i < in_row_bytes; ++i, expanded += multiplier_) std::memset(expanded, row[i], multiplier_);
  }
  args.rows = rows.data();
  args.group_count = group_count_;
  args.channel_count = s.out_c;
  args.picture_columns = s.in_w;
  args.pad_left = std::min<std::size_t>(s.pad_left, strip_columns_);
  args.strip_columns = strip_columns_;
  args.kernel_w = s.kernel_w;
  args.stride_w = s.stride_w;
  args.dilation_w = s.dilation_w;
  args.packed_variants = variant_count_;
  args.variant_count = std::min<std::size_t>(variant_count_, s.out_h - y);
  args.packed_sets = set_count_;
  args.out_w = s.out_w;
  args.zero_byte = zero_byte_;
  args.flip = flip_;
  args.zero_point = isa_.zero_in_bias ? std::int16_t{0} : static_cast<std::int16_t>(zero_point_);
  args.weights = weights_.data();
  args.requant = requant_.data();
  args.strip = scratch;
  for (std::size_t i = 0; i < args.variant_count; ++i) {
    out_rows[i] = out + ((y + i) * s.out_w * s.out_c);
  }
  args.out_rows = out_rows.data();
  args.stage = stage_;
  isa_.depthwise(args);
  const std::size_t out_row_bytes = static_cast<std::size_t>(s.out_w) * s.out_c;
  table_.apply(out_rows[0], args.variant_count, out_row_bytes, out_row_bytes, isa_.replace_bytes);
}

}  // namespace

std::unique_ptr<ConvKernel> make_depthwise_conv(const ConvSpec& spec, const Isa& isa) {
  const std::size_t slots = 4 / isa.element_bytes;
  if (!spec.depthwise || divide_up(spec.kernel_h, slots) * slots > kMaxSlots) return nullptr;
  if (spec.packed != nullptr) {
    if (spec.packed->set_count < 1 || spec.packed->set_count > 2) return nullptr;
    auto kernel = std::make_unique<DepthwiseConv>(spec, isa, spec.packed->set_count);
    return kernel->usable() ? std::move(kernel) : nullptr;
  }
  ConvSums counted;
  const ConvSums& sums = sums_of(spec, counted);
  const auto stage = choose_stage(spec, sums.bounds);
  if (!stage) return nullptr;
  const std::size_t set_count = isa.element_bytes == 1 ? sets_needed(spec, 0, spec.out_c) : 1;
  if (set_count == 0) return nullptr;
  auto kernel = std::make_unique<DepthwiseConv>(spec, isa, set_count);
  kernel->pack(spec, *stage, sums);
  return kernel;
}

}  // namespace wayside::accel::cpu
