// SPDX-License-Identifier: Apache-2.0
// Convolution and fully connected as blocks of a matrix product: packs the weights and shares the blocks among threads.
#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "accel/cpu/kernels/gemm_rows.h"
#include "accel/cpu/kernels/isa.h"
#include "accel/cpu/kernels/packed_conv.h"
#include "accel/cpu/kernels/requant_pack.h"
#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

/// Beyond this many products a sum, requantisation is a small part of the work and not worth a proof at load.
constexpr std::size_t kMaxFloatingK = 1200;
/// Blocks per thread below which the split is made even.
constexpr std::size_t kEvenSplitBlocks = 8;

/// From one k_group of packed weights to the next.
constexpr std::size_t kGroupStep = kBlockLanes * 4;

class GemmConv final : public ConvKernel {
 public:
  GemmConv(const ConvSpec& spec, const Isa& isa);
  void pack(const ConvSpec& spec, const OutputStage& stage, const ConvSums& sums);
  [[nodiscard]] std::size_t scratch_bytes(unsigned thread_count) const override {
    return thread_bytes() * thread_count;
  }
  [[nodiscard]] std::size_t packed_bytes() const override {
    return weights_.size() + (requant_.size() * sizeof(RequantBlock));
  }
  [[nodiscard]] bool get_packed(PackedConv& packed) const override {
    packed = {.stage = stage_, .requant = requant_, .weights = weights_};
    return true;
  }
  /// A kernel that was not given fitting packed weights is of no use.
  [[nodiscard]] bool usable() const { return !requant_.empty(); }
  void run(const std::uint8_t* in, std::uint8_t* out, std::byte* scratch, ThreadPool& pool) const override;

 private:
  void take(const PackedConv& packed);
  void choose_modes(const ConvSpec& spec, const ConvSums& sums);
  [[nodiscard]] const std::array<std::uint8_t, kBlockLanes>& lane_order(std::size_t block) const;
  void pack_block(const ConvSpec& spec, std::size_t first_channel, std::byte* to) const;
  void pack_lane(const ConvSpec& spec, const std::uint8_t* from, std::byte* to) const;
  [[nodiscard]] std::int32_t folded_bias(const ConvSpec& spec, std::size_t channel, std::int64_t weight_sum) const;
  /// Scratch of one thread: the row offsets of a block, then what GemmRows needs.
  [[nodiscard]] std::size_t offset_bytes() const { return align_up(rows_.block_rows() * sizeof(std::int32_t)); }
  [[nodiscard]] std::size_t thread_bytes() const { return offset_bytes() + rows_.scratch_bytes(); }
  void run_block(const std::uint8_t* in, std::uint8_t* out, std::size_t first_unit, std::size_t units,
                 std::size_t first_channel, std::size_t channels, std::byte* scratch) const;

  ConvSpec spec_;
  const Isa& isa_;
  OutputStage stage_;
  GemmRows rows_;
  std::int32_t zero_point_ = 0;         ///< of the input in the domain of the dot product
  std::int32_t row_sum_scale_ = 0;      ///< minus the weights' zero point in the s8 domain, where weights stay 8 bits
  std::span<const std::byte> weights_;  ///< own_weights_ or borrowed
  std::span<const RequantBlock> requant_;  ///< own_requant_ or borrowed
  AlignedBytes own_weights_;
  std::vector<RequantBlock> own_requant_;
  OutputTable table_;
};

GemmConv::GemmConv(const ConvSpec& spec, const Isa& isa)
    : spec_(shape_of(spec)),
      isa_(isa),
      rows_(spec, isa),
      zero_point_(spec.in_zero + (spec.is_unsigned ? 0 : 128) - (isa.signed_activations ? 128 : 0)),
      table_(spec.output_table) {
  if (isa.element_bytes == 1 && spec.is_unsigned) row_sum_scale_ = 128 - spec.weight_zero;
  if (spec.packed != nullptr) take(*spec.packed);
}

using LaneSources = std::array<const std::uint8_t*, kBlockLanes>;

/// One k_group of four bytes from each lane's weights.
void copy_group(std::byte* to, const LaneSources& from, std::size_t offset, std::uint32_t flips) {
  for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
    std::uint32_t four = 0;
    std::memcpy(&four, from[lane] + offset, sizeof four);
    four ^= flips;
    std::memcpy(to + (lane * 4), &four, sizeof four);
  }
}

/// One k_group of two 16-bit weights, without their zero point, from each lane's.
void widen_group(std::byte* to, const LaneSources& from, std::size_t offset, const ConvSpec& spec) {
  for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
    for (std::size_t i = 0; i < 2; ++i) {
      const auto value = static_cast<std::int16_t>(weight_value(spec, from[lane][offset + i]) - spec.weight_zero);
      std::memcpy(to + (lane * 4) + (i * 2), &value, sizeof value);
    }
  }
}

void GemmConv::take(const PackedConv& packed) {
  const std::size_t blocks = divide_up(spec_.out_c, kBlockLanes);
  if (!fits(packed, blocks, blocks * rows_.k_group_count() * kGroupStep)) return;
  stage_ = packed.stage;
  weights_ = packed.weights;
  requant_ = packed.requant;
}

void GemmConv::pack(const ConvSpec& spec, const OutputStage& stage, const ConvSums& sums) {
  const auto channels = static_cast<std::size_t>(spec.out_c);
  const std::size_t blocks = divide_up(channels, kBlockLanes);
  const std::size_t block_bytes = rows_.k_group_count() * kGroupStep;
  stage_ = stage;
  own_weights_ = AlignedBytes(blocks * block_bytes);
  own_requant_.resize(blocks);
  weights_ = {own_weights_.data(), own_weights_.size()};
  requant_ = own_requant_;
  choose_modes(spec, sums);
  for (std::size_t block = 0; block < blocks; ++block) {
    const auto& channel_of = lane_order(block);
    RequantBlock& requant = own_requant_[block];
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
      const std::size_t index = (block * kBlockLanes) + channel_of[lane];
      const auto channel = index < channels ? static_cast<std::int32_t>(index) : -1;
      const std::int32_t bias = channel < 0 ? 0 : folded_bias(spec, index, sums.weights[index]);
      set_lane(requant, lane, spec.requant, stage_.mode, channel, bias);
    }
    pack_block(spec, block * kBlockLanes, own_weights_.data() + (block * block_bytes));
  }
}

const std::array<std::uint8_t, kBlockLanes>& GemmConv::lane_order(std::size_t block) const {
  const bool half = spec_.out_c - (block * kBlockLanes) <= kHalfBlock;
  return half ? isa_.gemm_half_channel : isa_.gemm_channel;
}

/// One form in single precision for all blocks of a layer, so that neighbours can be finished together; the integer
/// form where a channel has no proof.
void GemmConv::choose_modes(const ConvSpec& spec, const ConvSums& sums) {
  for (RequantBlock& block : own_requant_) block.mode = stage_.mode;
  if (rows_.k_elements() > kMaxFloatingK || isa_.float_is_exact == nullptr) return;
  for (const RequantMode mode : float_modes(stage_)) {
    bool all = true;
    for (std::size_t block = 0; block < own_requant_.size() && (all || is_precise(mode)); ++block) {
      bool proven = true;
      for (std::size_t lane = 0; lane < kBlockLanes && proven; ++lane) {
        const std::size_t index = (block * kBlockLanes) + lane_order(block)[lane];
        const bool used = index < sums.bounds.size();
        const BoundedChannel bounded{used ? static_cast<std::int32_t>(index) : -1, used ? sums.bounds[index] : 0};
        proven = set_float_lane(own_requant_[block], lane, spec.requant, stage_, bounded, mode, isa_);
      }
      own_requant_[block].mode = proven ? mode : stage_.mode;
      all = all && proven;
    }
    stage_.round_down = is_precise(mode);
    if (all) return;
  }
}

/// In the 8-bit form: sum (a - az)(w - rest) = sum a*w - rest * sum a - az * sum (w - rest), modulo 2^32, where
/// unsigned weights were moved to s8 and `rest` is what remains of their zero point; the second term is the row offset.
std::int32_t GemmConv::folded_bias(const ConvSpec& spec, std::size_t channel, std::int64_t weight_sum) const {
  const std::int32_t bias = spec.bias.empty() ? 0 : spec.bias[channel];
  if (isa_.element_bytes == 2) return bias;
  return wrapping_sub(bias, wrapping_mul(zero_point_, static_cast<std::int32_t>(weight_sum)));
}

/// Whole k_groups of one tap are moved for all lanes together, so that reading and writing both stay in lines that are
/// at hand; what does not divide so goes lane by lane.
void GemmConv::pack_block(const ConvSpec& spec, std::size_t first_channel, std::byte* to) const {
  const std::size_t lanes = std::min<std::size_t>(kBlockLanes, spec.out_c - first_channel);
  const auto& channel_of = spec.out_c - first_channel <= kHalfBlock ? isa_.gemm_half_channel : isa_.gemm_channel;
  const std::size_t group = 4 / isa_.element_bytes;
  LaneSources from{};
  for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
    if (channel_of[lane] >= lanes) continue;
    from[lane] = spec.weights.data() + ((first_channel + channel_of[lane]) * channel_step_of(spec));
  }
  const auto in_c = static_cast<std::size_t>(spec.in_c);
  if (lanes < kBlockLanes || spec.depthwise || in_c % group != 0) {
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
      if (from[lane] != nullptr) pack_lane(spec, from[lane], to + (lane * 4));
    }
    return;
  }
  const std::uint32_t flips = spec.is_unsigned ? 0x80808080U : 0;
  for (std::size_t k = 0; k < rows_.k_elements(); k += in_c) {
    const std::size_t tap = rows_.weight_offset(k);
    for (std::size_t c = 0; c < in_c; c += group, to += kGroupStep) {
      if (group == 4) {
        copy_group(to, from, tap + c, flips);
      } else {
        widen_group(to, from, tap + c, spec);
      }
    }
  }
}

/// `from`: the channel's first weight; `to`: its lane in the first k_group.
void GemmConv::pack_lane(const ConvSpec& spec, const std::uint8_t* from, std::byte* to) const {
  const std::uint32_t flip = spec.is_unsigned ? 0x80 : 0;
  for (std::size_t k = 0; k < rows_.k_elements(); ++k) {
    const std::uint8_t byte = from[rows_.weight_offset(k)];
    if (isa_.element_bytes == 1) {
      to[(k / 4 * kGroupStep) + (k % 4)] = static_cast<std::byte>(byte ^ flip);
      continue;
    }
    const auto value = static_cast<std::int16_t>(weight_value(spec, byte) - spec.weight_zero);
    std::memcpy(to + (k / 2 * kGroupStep) + (k % 2 * 2), &value, sizeof value);
  }
}

void GemmConv::run(const std::uint8_t* in, std::uint8_t* out, std::byte* scratch, ThreadPool& pool) const {
  const std::size_t threads = pool.thread_count();
  const std::size_t units = rows_.unit_count();
  std::size_t blocks = divide_up(units, rows_.block_units());
  if (blocks < threads * kEvenSplitBlocks) blocks = std::min(divide_up(blocks, threads) * threads, units);
  const std::size_t channel_blocks = requant_.size();
  const std::size_t splits = blocks < threads ? std::min(threads, channel_blocks) : 1;
  pool.for_each(blocks * splits, [&](std::size_t item, unsigned thread) {
    const std::size_t block = item / splits;
    const std::size_t split = item % splits;
    const std::size_t first = units * block / blocks;
    const std::size_t last = units * (block + 1) / blocks;
    const std::size_t first_channel = channel_blocks * split / splits * kBlockLanes;
    const std::size_t last_channel =
        std::min<std::size_t>(channel_blocks * (split + 1) / splits * kBlockLanes, spec_.out_c);
    run_block(in, out, first, last - first, first_channel, last_channel - first_channel,
              scratch + (thread * thread_bytes()));
  });
}

void GemmConv::run_block(const std::uint8_t* in, std::uint8_t* out, std::size_t first_unit, std::size_t units,
                         std::size_t first_channel, std::size_t channels, std::byte* scratch) const {
  const GemmRows::Block block = rows_.block_in(scratch + offset_bytes());
  rows_.fill(in, first_unit, units, block);
  GemmArgs args;
  args.rows = block.rows;
  args.row_count = units * rows_.unit_rows();
  args.k_group_count = rows_.k_group_count() / rows_.segment_count();
  args.segment_count = rows_.segment_count();
  args.segment_step = rows_.segment_step_bytes();
  args.weights = weights_.data() + (first_channel * rows_.k_group_count() * 4);
  args.requant = &requant_[first_channel / kBlockLanes];
  args.channel_count = channels;
  args.out_stride = spec_.out_c;
  args.out = out + (first_unit * rows_.unit_rows() * args.out_stride) + first_channel;
  args.stage = stage_;
  if (row_sum_scale_ != 0) {
    auto* const offsets = reinterpret_cast<std::int32_t*>(scratch);
    isa_.row_sums(offsets, block.rows, args.row_count, rows_.k_elements(), row_sum_scale_, rows_.have_slack());
    args.row_offsets = offsets;
  }
  isa_.gemm(args);
  table_.apply(args.out, args.row_count, channels, args.out_stride, isa_.replace_bytes);
}

}  // namespace

std::unique_ptr<ConvKernel> make_gemm_conv(const ConvSpec& spec, const Isa& isa) {
  if (spec.depthwise && spec.in_c != 1) return nullptr;
  if (spec.packed != nullptr) {
    auto kernel = std::make_unique<GemmConv>(spec, isa);
    return kernel->usable() ? std::move(kernel) : nullptr;
  }
  ConvSums counted;
  const ConvSums& sums = sums_of(spec, counted);
  const auto stage = choose_stage(spec, sums.bounds);
  if (!stage) return nullptr;
  auto kernel = std::make_unique<GemmConv>(spec, isa);
  kernel->pack(spec, *stage, sums);
  return kernel;
}

}  // namespace wayside::accel::cpu
