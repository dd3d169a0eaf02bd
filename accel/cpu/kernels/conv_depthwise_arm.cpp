// SPDX-License-Identifier: Apache-2.0
// Depthwise 3x3 on Arm: rows are read in place, one block of eight channels after the other.
#include "accel/cpu/kernels/conv_depthwise_arm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "accel/cpu/kernels/requant_pack.h"
#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

/// How the weights are put into eight bits: w - weight_zero = value + rest, `rest` the same for the whole layer. Where
/// the differences fit as they are, rest is 0; else they are moved to the s8 domain and rest is what remains.
struct WeightForm {
  std::int32_t subtract = 0;
  std::int32_t rest = 0;
};

std::optional<WeightForm> choose_form(const ConvSpec& spec, std::int32_t largest_pair) {
  std::int32_t least = std::numeric_limits<std::int32_t>::max();
  std::int32_t most = std::numeric_limits<std::int32_t>::min();
  for (const auto byte : spec.weights) {
    least = std::min(least, weight_value(spec, byte));
    most = std::max(most, weight_value(spec, byte));
  }
  for (const std::int32_t subtract : {spec.weight_zero, 128}) {
    const std::int32_t rest = subtract - spec.weight_zero;
    const std::int32_t magnitude = std::max(std::abs(least - subtract), std::abs(most - subtract));
    if (least - subtract < -128 || most - subtract > 127 || rest < -128 || rest > 127) continue;
    if (2 * magnitude <= largest_pair) return WeightForm{subtract, rest};
  }
  return std::nullopt;
}

class WindowConv final : public ConvKernel {
 public:
  WindowConv(const ConvSpec& spec, const WindowIsa& isa, const OutputStage& stage, const WeightForm& form);
  [[nodiscard]] std::size_t scratch_bytes(unsigned /*thread_count*/) const override { return 0; }
  [[nodiscard]] std::size_t packed_bytes() const override {
    return (blocks_.size() * sizeof(WindowBlock)) + zero_row_.size();
  }
  void run(const std::uint8_t* in, std::uint8_t* out, std::byte* scratch, ThreadPool& pool) const override;

 private:
  void pack_channel(const ConvSpec& spec, const WeightForm& form, WindowBlock& block, std::size_t lane) const;

  ConvSpec spec_;
  const WindowIsa& isa_;
  WindowArgs common_;  ///< all but the rows
  std::size_t rows_at_once_ = 1;
  std::vector<WindowBlock> blocks_;
  AlignedBytes zero_row_;  ///< stands in for rows outside the picture
  OutputTable table_;
};

WindowConv::WindowConv(const ConvSpec& spec, const WindowIsa& isa, const OutputStage& stage, const WeightForm& form)
    : spec_(spec), isa_(isa), table_(spec.output_table) {
  const auto channels = static_cast<std::size_t>(spec.out_c);
  blocks_.resize(divide_up(channels, kWindowLanes));
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].first_channel = static_cast<std::uint32_t>(std::min(i * kWindowLanes, channels - kWindowLanes));
    for (std::size_t lane = 0; lane < kWindowLanes; ++lane) pack_channel(spec, form, blocks_[i], lane);
  }
  zero_row_ = AlignedBytes(static_cast<std::size_t>(spec.in_w) * channels);
  std::memset(zero_row_.data(), spec.in_zero, zero_row_.size());
  if (spec.stride_h == 1) rows_at_once_ = std::min<std::size_t>(isa.rows_at_once, spec.out_h);
  common_.channel_count = channels;
  common_.in_w = spec.in_w;
  common_.out_w = spec.out_w;
  common_.stride = spec.stride_w;
  common_.pad_left = spec.pad_left;
  common_.zero_byte = static_cast<std::uint8_t>(spec.in_zero);
  common_.flip = spec.is_unsigned ? 0x80 : 0;
  common_.rest = static_cast<std::int8_t>(form.rest);
  common_.block_count = blocks_.size();
  common_.stage = stage;
  spec_.weights = {};
  spec_.bias = {};
  spec_.requant = {};
  spec_.output_table = {};
  spec_.sums = nullptr;
}

/// The zero point of the input, in the s8 domain, goes into the bias.
void WindowConv::pack_channel(const ConvSpec& spec, const WeightForm& form, WindowBlock& block,
                              std::size_t lane) const {
  const std::size_t channel = block.first_channel + lane;
  const std::int32_t in_zero = spec.in_zero - (spec.is_unsigned ? 128 : 0);
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      const std::int32_t w = weight_value(spec, spec.weights[(((i * 3) + j) * spec.out_c) + channel]);
      const auto value = static_cast<std::int8_t>(w - form.subtract);
      block.weights[(j * 3) + i][lane] = value;
      for (std::size_t row = 0; row < 2; ++row) block.quads[row][j][(4 * lane) + row + i] = value;
      sum += w - spec.weight_zero;
    }
  }
  const std::int32_t bias = spec.bias.empty() ? 0 : spec.bias[channel];
  block.bias[lane] = wrapping_sub(bias, wrapping_mul(in_zero, sum));
  block.multiplier[lane] = spec.requant.multiplier[channel];
  block.right[lane] = block.multiplier[lane] == 0 ? -1 : spec.requant.shift[channel];
}

void WindowConv::run(const std::uint8_t* in, std::uint8_t* out, std::byte* /*scratch*/, ThreadPool& pool) const {
  const auto& s = spec_;
  const std::size_t in_row_bytes = static_cast<std::size_t>(s.in_w) * s.in_c;
  const std::size_t out_row_bytes = static_cast<std::size_t>(s.out_w) * s.out_c;
  const std::size_t strips = divide_up(s.out_h, rows_at_once_);
  pool.for_each(strips * s.batch, [&](std::size_t item, unsigned /*thread*/) {
    const std::size_t picture = item / strips;
    const auto y = static_cast<std::int32_t>(item % strips * rows_at_once_);
    WindowArgs args = common_;
    args.blocks = blocks_.data();
    args.row_count = std::min<std::size_t>(rows_at_once_, s.out_h - y);
    for (std::size_t i = 0; i < args.row_count + 2; ++i) {
      const std::int32_t in_y = (y * s.stride_h) + static_cast<std::int32_t>(i) - s.pad_top;
      const bool inside = in_y >= 0 && in_y < s.in_h;
      args.rows[i] = inside ? in + (((picture * s.in_h) + in_y) * in_row_bytes)
                            : reinterpret_cast<const std::uint8_t*>(zero_row_.data());
    }
    for (std::size_t i = 0; i < args.row_count; ++i) {
      args.out_rows[i] = out + (((picture * s.out_h) + y + i) * out_row_bytes);
    }
    isa_.run(args);
    table_.apply(args.out_rows[0], args.row_count, out_row_bytes, out_row_bytes, isa_.replace_bytes);
  });
}

}  // namespace

std::unique_ptr<ConvKernel> make_window_conv(const ConvSpec& spec, const WindowIsa& isa) {
  const bool shape = spec.depthwise && spec.in_c == spec.out_c && spec.kernel_h == 3 && spec.kernel_w == 3 &&
                     spec.dilation_h == 1 && spec.dilation_w == 1 && spec.stride_h == spec.stride_w &&
                     spec.stride_h <= 2 && spec.pad_left <= 2 && spec.in_w >= 2;
  if (!shape || static_cast<std::size_t>(spec.out_c) < kWindowLanes) return nullptr;
  if (spec.packed != nullptr) return nullptr;  // always packed anew
  ConvSums counted;
  const auto stage = choose_stage(spec, sums_of(spec, counted).bounds);
  const auto form = choose_form(spec, isa.largest_pair);
  if (!stage || !form || stage->mode == RequantMode::general) return nullptr;
  return std::make_unique<WindowConv>(spec, isa, *stage, *form);
}

}  // namespace wayside::accel::cpu
