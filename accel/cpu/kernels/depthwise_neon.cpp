// SPDX-License-Identifier: Apache-2.0
// Depthwise 3x3 on plain NEON (Cortex-A57): two 8-bit products are summed in 16 bits, which the weights' range allows,
// before they are widened into the 32-bit sums.
#include "accel/cpu/kernels/arm_window.h"

namespace wayside::accel::cpu {
namespace {

template <RequantMode kMode, WindowForm kForm, int kStrideOfWindow, int kRows>
class PairWindow {
 public:
  static constexpr int kStride = kStrideOfWindow;
  struct Column {
    int8x8_t row[3];
    int16x8_t sum;  ///< of the three; only where the weights leave a rest
  };

  [[gnu::always_inline]] PairWindow(const WindowArgs& args, const WindowBlock& block, const StageVectors& stage)
      : output_(block, stage),
        flip_(vdup_n_s8(static_cast<std::int8_t>(args.flip))),
        outside_(vdup_n_s8(static_cast<std::int8_t>(args.zero_byte ^ args.flip))),
        rest_(args.rest),
        out_(args.out_rows[0] + block.first_channel) {
    for (int i = 0; i < 3; ++i) in_[i] = args.rows[i] + block.first_channel;
    for (std::size_t tap = 0; tap < kWindowTaps; ++tap) weights_[tap] = vld1_s8(block.weights[tap].data());
  }

  [[nodiscard, gnu::always_inline]] Column load(std::size_t offset) const {
    int8x8_t rows[3];
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      rows[i] = vreinterpret_s8_u8(vld1_u8(in_[i] + offset));
      if constexpr (kForm != WindowForm::plain) rows[i] = veor_s8(rows[i], flip_);
    }
    return make_column(rows[0], rows[1], rows[2]);
  }
  [[nodiscard]] Column outside() const { return make_column(outside_, outside_, outside_); }

  [[gnu::always_inline]] void emit(const Column& a, const Column& b, const Column& c, std::size_t offset) const {
    int32x4_t low = output_.bias(0), high = output_.bias(1);
    const auto add = [&](int16x8_t products) __attribute__((always_inline)) {
      low = vaddw_s16(low, vget_low_s16(products));
      high = vaddw_high_s16(high, products);
    };
    add(vmlal_s8(vmull_s8(a.row[0], weights_[0]), a.row[1], weights_[1]));
    add(vmlal_s8(vmull_s8(a.row[2], weights_[2]), b.row[0], weights_[3]));
    add(vmlal_s8(vmull_s8(b.row[1], weights_[4]), b.row[2], weights_[5]));
    add(vmlal_s8(vmull_s8(c.row[0], weights_[6]), c.row[1], weights_[7]));
    add(vmull_s8(c.row[2], weights_[8]));
    if constexpr (kForm == WindowForm::flipped_with_rest) {
      const int16x8_t sum = vaddq_s16(vaddq_s16(a.sum, b.sum), c.sum);
      low = vmlal_n_s16(low, vget_low_s16(sum), rest_);
      high = vmlal_high_n_s16(high, sum, rest_);
    }
    output_.store(low, high, out_ + offset);
  }

 private:
  [[nodiscard, gnu::always_inline]] static Column make_column(int8x8_t first, int8x8_t second, int8x8_t third) {
    Column column{{first, second, third}, vdupq_n_s16(0)};
    if constexpr (kForm == WindowForm::flipped_with_rest) column.sum = vaddw_s8(vaddl_s8(first, second), third);
    return column;
  }

  WindowOutput<kMode> output_;
  int8x8_t flip_, outside_;
  std::int16_t rest_;
  int8x8_t weights_[kWindowTaps];
  const std::uint8_t* in_[3]{};
  std::uint8_t* out_;
};

}  // namespace

const WindowIsa& neon_window_isa() {
  static constexpr WindowIsa isa{
      .rows_at_once = 1, .largest_pair = 255, .run = run_window<PairWindow>, .replace_bytes = replace_bytes};
  return isa;
}

}  // namespace wayside::accel::cpu
