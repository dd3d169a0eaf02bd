// SPDX-License-Identifier: Apache-2.0
// Convolution and fully connected as blocks of a matrix product, without an im2col copy of the picture: pointwise
// layers read rows in place (or convert one cache-sized block), others use row strips whose windows overlap in memory.
#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "accel/cpu/kernels/isa.h"
#include "accel/cpu/kernels/packed_conv.h"
#include "accel/cpu/kernels/requant_pack.h"
#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

/// How the rows of a block come to be. K runs over (kernel column, kernel row, channel).
enum class Source : std::uint8_t {
  direct,     ///< 1x1, already in the right form: pointers into the input
  pointwise,  ///< 1x1 stride 1: the block's input is contiguous and is converted as a whole
  strip,      ///< one strip per output row: [input column][kernel row][channel], so that each window is contiguous
  gather,     ///< anything else (dilation, strided 1x1): each window is copied
};

/// Activations of one block aim to stay in half of a 48 KiB level-1 cache (32 KiB on older cores: then in most of it).
constexpr std::size_t kBlockBytes = std::size_t{24} * 1024;
constexpr std::size_t kMaxBlockRows = 192;
constexpr std::size_t kMinBlockRows = 24;
/// Beyond this many products a sum, requantisation is a small part of the work and not worth a proof at load.
constexpr std::size_t kMaxFloatingK = 1200;
/// Blocks per thread below which the split is made even.
constexpr std::size_t kEvenSplitBlocks = 8;

/// From one k_group of packed weights to the next.
constexpr std::size_t kGroupStep = kBlockLanes * 4;

struct Plan {
  Source source = Source::gather;
  std::size_t k_elements = 0, k_group_count = 0;
  std::size_t row_bytes = 0;       ///< one converted row (direct, pointwise, gather)
  std::size_t strip_columns = 0;   ///< input columns of one output row
  std::size_t strip_elements = 0;  ///< of one strip
  std::size_t unit_rows = 1;       ///< a block holds whole units: output rows for strips, else single pixels
  std::size_t unit_count = 0;      ///< in the whole output
  std::size_t block_units = 1;     ///< at most, per block
  std::size_t data_bytes = 0;      ///< scratch of one block's activations
  std::size_t raw_bytes = 0;       ///< scratch of one unconverted strip or window
};

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
  struct Scratch {
    const std::uint8_t** rows;
    std::int32_t* offsets;
    std::uint8_t* data;
    std::uint8_t* raw;
  };
  void make_plan();
  void take(const PackedConv& packed);
  void choose_modes(const ConvSpec& spec, const ConvSums& sums);
  [[nodiscard]] const std::array<std::uint8_t, kBlockLanes>& lane_order(std::size_t block) const;
  void pack_block(const ConvSpec& spec, std::size_t first_channel, std::byte* to) const;
  void pack_lane(const ConvSpec& spec, const std::uint8_t* from, std::byte* to) const;
  [[nodiscard]] std::int32_t folded_bias(const ConvSpec& spec, std::size_t channel, std::int64_t weight_sum) const;
  [[nodiscard]] std::size_t block_rows() const { return plan_.block_units * plan_.unit_rows; }
  [[nodiscard]] std::size_t thread_bytes() const;
  [[nodiscard]] Scratch scratch_of(std::byte* scratch, unsigned thread) const;
  void run_block(const std::uint8_t* in, std::uint8_t* out, std::size_t first_unit, std::size_t units,
                 std::size_t first_channel, std::size_t channels, const Scratch& scratch) const;
  void fill_rows(const std::uint8_t* in, std::size_t first_unit, std::size_t units, const Scratch& scratch) const;
  void fill_strip(const std::uint8_t* in, std::size_t unit, std::uint8_t* to, std::uint8_t* raw) const;
  void fill_window(const std::uint8_t* in, std::size_t pixel, std::uint8_t* to) const;

  ConvSpec spec_;
  const Isa& isa_;
  OutputStage stage_;
  Plan plan_;
  std::uint8_t flip_ = 0;               ///< turns input bytes into the domain of the dot product
  std::uint8_t zero_byte_ = 0;          ///< raw byte of the input's zero point
  std::int32_t zero_point_ = 0;         ///< of the input in that domain
  std::int32_t row_sum_scale_ = 0;      ///< minus the weights' zero point in the s8 domain, where weights stay 8 bits
  std::span<const std::byte> weights_;  ///< own_weights_ or borrowed
  std::span<const RequantBlock> requant_;  ///< own_requant_ or borrowed
  AlignedBytes own_weights_;
  std::vector<RequantBlock> own_requant_;
  OutputTable table_;
};

GemmConv::GemmConv(const ConvSpec& spec, const Isa& isa)
    : spec_(spec),
      isa_(isa),
      flip_(spec.is_unsigned == isa.signed_activations ? 0x80 : 0),
      zero_byte_(static_cast<std::uint8_t>(spec.in_zero)),
      zero_point_(spec.in_zero + (spec.is_unsigned ? 0 : 128) - (isa.signed_activations ? 128 : 0)),
      table_(spec.output_table) {
  if (isa.element_bytes == 1 && spec.is_unsigned) row_sum_scale_ = 128 - spec.weight_zero;
  make_plan();
  if (spec.packed != nullptr) take(*spec.packed);
  spec_.weights = {};
  spec_.bias = {};
  spec_.requant = {};
  spec_.output_table = {};
  spec_.sums = nullptr;
  spec_.packed = nullptr;
}

void GemmConv::make_plan() {
  const auto& s = spec_;
  auto& p = plan_;
  p.k_elements = static_cast<std::size_t>(s.kernel_h) * s.kernel_w * s.in_c;
  p.k_group_count = divide_up(p.k_elements * isa_.element_bytes, 4);
  p.row_bytes = p.k_group_count * 4;
  const bool one = s.kernel_h == 1 && s.kernel_w == 1 && s.pad_top == 0 && s.pad_left == 0 &&
                   (s.out_h - 1) * s.stride_h < s.in_h && (s.out_w - 1) * s.stride_w < s.in_w;
  const bool unit_stride = s.stride_h == 1 && s.stride_w == 1 && s.out_h == s.in_h && s.out_w == s.in_w;
  if (one && isa_.element_bytes == 1 && flip_ == 0 && p.k_elements % 4 == 0) {
    p.source = Source::direct;
  } else if (one && unit_stride) {
    p.source = Source::pointwise;
  } else if (s.dilation_w == 1 && s.kernel_h * s.kernel_w > 1) {
    p.source = Source::strip;
  }
  const auto pixels = static_cast<std::size_t>(s.batch) * s.out_h * s.out_w;
  if (p.source == Source::strip) {
    p.strip_columns = (static_cast<std::size_t>(s.out_w - 1) * s.stride_w) + s.kernel_w;
    p.strip_elements = p.strip_columns * s.kernel_h * s.in_c;
    p.unit_rows = s.out_w;
  }
  p.unit_count = pixels / p.unit_rows;
  const std::size_t wanted_rows = std::clamp(kBlockBytes / p.row_bytes, kMinBlockRows, kMaxBlockRows);
  p.block_units = std::clamp<std::size_t>(wanted_rows / p.unit_rows, 1, p.unit_count);
  switch (p.source) {
    case Source::direct: break;
    case Source::pointwise: p.data_bytes = block_rows() * p.row_bytes; break;
    case Source::strip:
      p.data_bytes = p.block_units * align_up(p.strip_elements * isa_.element_bytes + kScratchSlackBytes);
      p.raw_bytes = isa_.element_bytes == 1 ? 0 : p.strip_elements;
      break;
    case Source::gather:
      p.data_bytes = block_rows() * p.row_bytes;
      p.raw_bytes = p.k_elements;
      break;
  }
}

/// Where the weight of channel 0 at K index k lies in the spec, K running over (column, row, channel); the other
/// channels follow every channel_step().
std::size_t weight_offset(const ConvSpec& spec, std::size_t k) {
  const std::size_t c = k % spec.in_c;
  const std::size_t i = k / spec.in_c % spec.kernel_h;
  const std::size_t j = k / spec.in_c / spec.kernel_h;
  const std::size_t tap = (i * spec.kernel_w) + j;
  return spec.depthwise ? tap * spec.out_c : (tap * spec.in_c) + c;  // depthwise: in_c == 1
}

std::size_t channel_step(const ConvSpec& spec) {
  return spec.depthwise ? 1 : static_cast<std::size_t>(spec.kernel_h) * spec.kernel_w * spec.in_c;
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
  if (!fits(packed, blocks, blocks * plan_.k_group_count * kGroupStep)) return;
  stage_ = packed.stage;
  weights_ = packed.weights;
  requant_ = packed.requant;
}

void GemmConv::pack(const ConvSpec& spec, const OutputStage& stage, const ConvSums& sums) {
  const auto channels = static_cast<std::size_t>(spec.out_c);
  const std::size_t blocks = divide_up(channels, kBlockLanes);
  const std::size_t block_bytes = plan_.k_group_count * kGroupStep;
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
  if (plan_.k_elements > kMaxFloatingK || isa_.float_is_exact == nullptr) return;
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
    from[lane] = spec.weights.data() + ((first_channel + channel_of[lane]) * channel_step(spec));
  }
  const auto in_c = static_cast<std::size_t>(spec.in_c);
  if (lanes < kBlockLanes || spec.depthwise || in_c % group != 0) {
    for (std::size_t lane = 0; lane < kBlockLanes; ++lane) {
      if (from[lane] != nullptr) pack_lane(spec, from[lane], to + (lane * 4));
    }
    return;
  }
  const std::uint32_t flips = spec.is_unsigned ? 0x80808080U : 0;
  for (std::size_t k = 0; k < plan_.k_elements; k += in_c) {
    const std::size_t tap = weight_offset(spec, k);
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
  for (std::size_t k = 0; k < plan_.k_elements; ++k) {
    const std::uint8_t byte = from[weight_offset(spec, k)];
    if (isa_.element_bytes == 1) {
      to[(k / 4 * kGroupStep) + (k % 4)] = static_cast<std::byte>(byte ^ flip);
      continue;
    }
    const auto value = static_cast<std::int16_t>(weight_value(spec, byte) - spec.weight_zero);
    std::memcpy(to + (k / 2 * kGroupStep) + (k % 2 * 2), &value, sizeof value);
  }
}

std::size_t GemmConv::thread_bytes() const {
  return align_up(block_rows() * sizeof(void*)) + align_up(block_rows() * sizeof(std::int32_t)) +
         align_up(plan_.data_bytes + kScratchSlackBytes) + align_up(plan_.raw_bytes + kScratchSlackBytes);
}

GemmConv::Scratch GemmConv::scratch_of(std::byte* scratch, unsigned thread) const {
  std::byte* at = scratch + (thread * thread_bytes());
  const auto take = [&](std::size_t bytes) {
    std::byte* taken = at;
    at += align_up(bytes);
    return taken;
  };
  Scratch result{};
  result.rows = reinterpret_cast<const std::uint8_t**>(take(block_rows() * sizeof(void*)));
  result.offsets = reinterpret_cast<std::int32_t*>(take(block_rows() * sizeof(std::int32_t)));
  result.data = reinterpret_cast<std::uint8_t*>(take(plan_.data_bytes + kScratchSlackBytes));
  result.raw = reinterpret_cast<std::uint8_t*>(take(plan_.raw_bytes + kScratchSlackBytes));
  return result;
}

void GemmConv::run(const std::uint8_t* in, std::uint8_t* out, std::byte* scratch, ThreadPool& pool) const {
  const std::size_t threads = pool.thread_count();
  std::size_t blocks = divide_up(plan_.unit_count, plan_.block_units);
  if (blocks < threads * kEvenSplitBlocks) {
    blocks = std::min(divide_up(blocks, threads) * threads, plan_.unit_count);
  }
  const std::size_t channel_blocks = requant_.size();
  const std::size_t splits = blocks < threads ? std::min(threads, channel_blocks) : 1;
  pool.for_each(blocks * splits, [&](std::size_t item, unsigned thread) {
    const std::size_t block = item / splits;
    const std::size_t split = item % splits;
    const std::size_t first = plan_.unit_count * block / blocks;
    const std::size_t last = plan_.unit_count * (block + 1) / blocks;
    const std::size_t first_channel = channel_blocks * split / splits * kBlockLanes;
    const std::size_t last_channel =
        std::min<std::size_t>(channel_blocks * (split + 1) / splits * kBlockLanes, spec_.out_c);
    run_block(in, out, first, last - first, first_channel, last_channel - first_channel, scratch_of(scratch, thread));
  });
}

void GemmConv::run_block(const std::uint8_t* in, std::uint8_t* out, std::size_t first_unit, std::size_t units,
                         std::size_t first_channel, std::size_t channels, const Scratch& scratch) const {
  fill_rows(in, first_unit, units, scratch);
  GemmArgs args;
  args.rows = scratch.rows;
  args.row_count = units * plan_.unit_rows;
  args.k_group_count = plan_.k_group_count;
  args.weights = weights_.data() + (first_channel * plan_.k_group_count * 4);
  args.requant = &requant_[first_channel / kBlockLanes];
  args.channel_count = channels;
  args.out_stride = spec_.out_c;
  args.out = out + (first_unit * plan_.unit_rows * args.out_stride) + first_channel;
  args.stage = stage_;
  if (row_sum_scale_ != 0) {
    isa_.row_sums(scratch.offsets, scratch.rows, args.row_count, plan_.k_elements, row_sum_scale_,
                  plan_.source != Source::direct);
    args.row_offsets = scratch.offsets;
  }
  isa_.gemm(args);
  table_.apply(args.out, args.row_count, channels, args.out_stride, isa_.replace_bytes);
}

void GemmConv::fill_rows(const std::uint8_t* in, std::size_t first_unit, std::size_t units,
                         const Scratch& scratch) const {
  const auto& p = plan_;
  const auto& s = spec_;
  const auto zero_point = static_cast<std::int16_t>(zero_point_);
  switch (p.source) {
    case Source::direct:
      if (s.stride_h == 1 && s.stride_w == 1 && s.in_h == s.out_h && s.in_w == s.out_w) {
        const std::uint8_t* from = in + (first_unit * p.k_elements);
        for (std::size_t i = 0; i < units; ++i) scratch.rows[i] = from + (i * p.k_elements);
        return;
      }
      for (std::size_t i = 0; i < units; ++i) {
        const std::size_t pixel = first_unit + i;
        const std::size_t row = pixel / s.out_w;
        const std::size_t in_row = ((row / s.out_h) * s.in_h) + (row % s.out_h * s.stride_h);
        scratch.rows[i] = in + (((in_row * s.in_w) + (pixel % s.out_w * s.stride_w)) * s.in_c);
      }
      return;
    case Source::pointwise: {
      const std::uint8_t* from = in + (first_unit * p.k_elements);
      const bool contiguous = p.k_elements * isa_.element_bytes == p.row_bytes;
      if (contiguous) isa_.convert(scratch.data, from, units * p.k_elements, flip_, zero_point);
      for (std::size_t i = 0; i < units; ++i) {
        std::uint8_t* to = scratch.data + (i * p.row_bytes);
        scratch.rows[i] = to;
        if (!contiguous) isa_.convert(to, from + (i * p.k_elements), p.k_elements, flip_, zero_point);
      }
      return;
    }
    case Source::strip: {
      const std::size_t strip_bytes = align_up(p.strip_elements * isa_.element_bytes + kScratchSlackBytes);
      const std::size_t step_bytes = static_cast<std::size_t>(s.stride_w) * s.kernel_h * s.in_c * isa_.element_bytes;
      for (std::size_t i = 0; i < units; ++i) {
        std::uint8_t* strip = scratch.data + (i * strip_bytes);
        fill_strip(in, first_unit + i, strip, scratch.raw);
        for (std::size_t x = 0; x < p.unit_rows; ++x) scratch.rows[(i * p.unit_rows) + x] = strip + (x * step_bytes);
      }
      return;
    }
    case Source::gather:
      for (std::size_t i = 0; i < units; ++i) {
        std::uint8_t* to = scratch.data + (i * p.row_bytes);
        fill_window(in, first_unit + i, scratch.raw);
        isa_.convert(to, scratch.raw, p.k_elements, flip_, zero_point);
        scratch.rows[i] = to;
      }
      return;
  }
}

void GemmConv::fill_strip(const std::uint8_t* in, std::size_t unit, std::uint8_t* to, std::uint8_t* raw) const {
  const auto& s = spec_;
  const auto in_c = static_cast<std::size_t>(s.in_c);
  const std::size_t column_bytes = in_c * s.kernel_h;
  const std::int32_t first_y = (static_cast<std::int32_t>(unit % s.out_h) * s.stride_h) - s.pad_top;
  const std::size_t row_bytes = s.in_w * in_c;
  const std::uint8_t* picture = in + (unit / s.out_h * s.in_h * row_bytes);
  const auto row_of = [&](std::int32_t i) {
    const std::int32_t y = first_y + (i * s.dilation_h);
    return y < 0 || y >= s.in_h ? nullptr : picture + (static_cast<std::size_t>(y) * row_bytes);
  };
  std::uint8_t* bytes = isa_.element_bytes == 1 ? to : raw;
  const std::size_t before = std::min<std::size_t>(s.pad_left, plan_.strip_columns);
  const std::size_t inside = std::min<std::size_t>(plan_.strip_columns - before, s.in_w);
  std::uint8_t* first = bytes + (before * column_bytes);
  std::uint8_t* last = first + (inside * column_bytes);
  const std::size_t after_bytes = bytes + plan_.strip_elements - last;
  const bool flip_here =
      s.in_c == 3 && s.kernel_h == 3 && isa_.element_bytes == 1 && row_of(0) && row_of(1) && row_of(2);
  const std::uint8_t outside = flip_here ? zero_byte_ ^ flip_ : zero_byte_;
  std::memset(bytes, outside, before * column_bytes);
  std::memset(last, outside, after_bytes);
  if (flip_here) {
    const std::uint8_t* rows[3] = {row_of(0), row_of(1), row_of(2)};
    const std::size_t done = isa_.rgb_columns != nullptr ? isa_.rgb_columns(first, rows, inside, flip_) : 0;
    for (const std::uint8_t*& row : rows) row += done * in_c;
    copy_rgb_columns(first + (done * column_bytes), {rows[0], rows[1], rows[2]}, inside - done, flip_);
    return;
  }
  for (std::int32_t i = 0; i < s.kernel_h; ++i) {
    const std::uint8_t* row = row_of(i);
    if (row == nullptr) {
      fill_every(first + (i * in_c), zero_byte_, in_c, inside, column_bytes);
    } else {
      copy_every(first + (i * in_c), row, in_c, inside, column_bytes);
    }
  }
  if (isa_.element_bytes == 2 || flip_ != 0) {
    isa_.convert(to, bytes, plan_.strip_elements, flip_, static_cast<std::int16_t>(zero_point_));
  }
}

void GemmConv::fill_window(const std::uint8_t* in, std::size_t pixel, std::uint8_t* to) const {
  const auto& s = spec_;
  const std::size_t row = pixel / s.out_w;
  const auto x = static_cast<std::int32_t>(pixel % s.out_w);
  const auto y = static_cast<std::int32_t>(row % s.out_h);
  const std::uint8_t* picture = in + (row / s.out_h * s.in_h * s.in_w * s.in_c);
  for (std::int32_t j = 0; j < s.kernel_w; ++j) {
    const std::int32_t in_x = (x * s.stride_w) + (j * s.dilation_w) - s.pad_left;
    for (std::int32_t i = 0; i < s.kernel_h; ++i, to += s.in_c) {
      const std::int32_t in_y = (y * s.stride_h) + (i * s.dilation_h) - s.pad_top;
      if (in_x < 0 || in_x >= s.in_w || in_y < 0 || in_y >= s.in_h) {
        std::memset(to, zero_byte_, s.in_c);
      } else {
        std::memcpy(to, picture + (((static_cast<std::size_t>(in_y) * s.in_w) + in_x) * s.in_c), s.in_c);
      }
    }
  }
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
