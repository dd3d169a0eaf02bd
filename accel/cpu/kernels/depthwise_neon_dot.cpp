// SPDX-License-Identifier: Apache-2.0
// Depthwise 3x3 by SDOT: a column of four input rows lies interleaved in registers, so that one instruction sums a
// column of the kernel for four channels, and serves two output rows.
#include "accel/cpu/kernels/arm_window.h"

namespace wayside::accel::cpu {
namespace {

template <RequantMode kMode, WindowForm kForm, int kStrideOfWindow, int kRows>
class DotWindow {
 public:
  static constexpr int kStride = kStrideOfWindow;
  struct Column {
    int8x16_t v[2];  ///< [4 * channel + input row]: channels 0..3 and 4..7
  };

  [[gnu::always_inline]] DotWindow(const WindowArgs& args, const WindowBlock& block, const StageVectors& stage)
      : output_(block, stage), flip_(vdupq_n_s8(static_cast<std::int8_t>(args.flip))) {
    for (int i = 0; i < kRows + 2; ++i) in_[i] = args.rows[i] + block.first_channel;
    for (int r = 0; r < kRows; ++r) {
      out_[r] = args.out_rows[r] + block.first_channel;
      for (int j = 0; j < 3; ++j) {
        for (int v = 0; v < 2; ++v) weights_[r][j][v] = vld1q_s8(&block.quads[r][j][v * 16]);
      }
      const std::uint32_t rest = static_cast<std::uint8_t>(args.rest) * 0x010101U;
      rest_[r] = vreinterpretq_s8_u32(vdupq_n_u32(rest << (8 * r)));
    }
    outside_ = vdupq_n_s8(static_cast<std::int8_t>(args.zero_byte ^ args.flip));
  }

  [[nodiscard, gnu::always_inline]] Column load(std::size_t offset) const {
    const uint8x16_t first = row(0, offset), second = row(1, offset), third = row(2, offset);
    const uint8x16_t fourth = kRows == 2 ? row(kRows + 1, offset) : third;  // its weights are 0 where there is none
    const uint16x8_t upper = vreinterpretq_u16_u8(vzip1q_u8(first, second));
    const uint16x8_t lower = vreinterpretq_u16_u8(vzip1q_u8(third, fourth));
    Column column{{vreinterpretq_s8_u16(vzip1q_u16(upper, lower)), vreinterpretq_s8_u16(vzip2q_u16(upper, lower))}};
    if constexpr (kForm != WindowForm::plain) {
      column.v[0] = veorq_s8(column.v[0], flip_);
      column.v[1] = veorq_s8(column.v[1], flip_);
    }
    return column;
  }
  [[nodiscard]] Column outside() const { return {{outside_, outside_}}; }

  [[gnu::always_inline]] void emit(const Column& a, const Column& b, const Column& c, std::size_t offset) const {
    int32x4_t sums[2][2];
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        int32x4_t sum = vdotq_s32(output_.bias(v), a.v[v], weights_[r][0][v]);
        sum = vdotq_s32(sum, b.v[v], weights_[r][1][v]);
        sum = vdotq_s32(sum, c.v[v], weights_[r][2][v]);
        if constexpr (kForm == WindowForm::flipped_with_rest) {
          sum = vdotq_s32(sum, a.v[v], rest_[r]);
          sum = vdotq_s32(sum, b.v[v], rest_[r]);
          sum = vdotq_s32(sum, c.v[v], rest_[r]);
        }
        sums[r][v] = sum;
      }
    }
    if constexpr (kRows == 2) {
      output_.store(sums, out_[0] + offset, out_[1] + offset);
    } else {
      output_.store(sums[0][0], sums[0][1], out_[0] + offset);
    }
  }

 private:
  [[nodiscard]] uint8x16_t row(int i, std::size_t offset) const {
    return vcombine_u8(vld1_u8(in_[i] + offset), vdup_n_u8(0));
  }

  WindowOutput<kMode> output_;
  int8x16_t flip_, outside_{};
  int8x16_t weights_[kRows][3][2];
  int8x16_t rest_[kRows];
  const std::uint8_t* in_[4]{};
  std::uint8_t* out_[2]{};
};

}  // namespace

const WindowIsa& neon_dot_window_isa() {
  static constexpr WindowIsa isa{
      .rows_at_once = 2, .largest_pair = 256, .run = run_window<DotWindow>, .replace_bytes = replace_bytes};
  return isa;
}

}  // namespace wayside::accel::cpu
