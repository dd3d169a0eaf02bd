// SPDX-License-Identifier: Apache-2.0
// The walk of a 3x3 window along rows of eight channels, for the Arm depthwise kernels: each column is loaded once and
// stays in registers for the three outputs that it belongs to. Included only by files with their own flags.
#pragma once

#include <arm_neon.h>

#include <algorithm>

#include "accel/cpu/kernels/arm_requant.h"
#include "accel/cpu/kernels/conv_depthwise_arm.h"

namespace wayside::accel::cpu {
namespace {

/// What the bytes of activations and weights need: nothing, a flip to s8, or also a multiple of the window's sum.
enum class WindowForm : std::uint8_t { plain, flipped, flipped_with_rest };

/// Scales and stores eight channels of one or two output rows.
template <RequantMode kMode>
class WindowOutput {
 public:
  WindowOutput(const WindowBlock& block, const StageVectors& stage) : stage_(stage) {
    for (std::size_t v = 0; v < 2; ++v) {
      bias_[v] = vld1q_s32(&block.bias[4 * v]);
      multiplier_[v] = vld1q_s32(&block.multiplier[4 * v]);
      right_[v] = vld1q_s32(&block.right[4 * v]);
    }
  }
  [[nodiscard]] int32x4_t bias(std::size_t v) const { return bias_[v]; }
  [[gnu::always_inline]] void store(int32x4_t low, int32x4_t high, std::uint8_t* to) const {
    vst1_s8(reinterpret_cast<std::int8_t*>(to), stage_.narrow(scale(low, 0), scale(high, 1)));
  }
  [[gnu::always_inline]] void store(const int32x4_t (&sums)[2][2], std::uint8_t* first, std::uint8_t* second) const {
    const int8x16_t bytes =
        stage_.narrow(scale(sums[0][0], 0), scale(sums[0][1], 1), scale(sums[1][0], 0), scale(sums[1][1], 1));
    vst1_s8(reinterpret_cast<std::int8_t*>(first), vget_low_s8(bytes));
    vst1_s8(reinterpret_cast<std::int8_t*>(second), vget_high_s8(bytes));
  }

 private:
  /// See ScaleVectors in arm_requant.h.
  [[nodiscard]] int32x4_t scale(int32x4_t sum, std::size_t v) const {
    int32x4_t scaled = vqrdmulhq_s32(sum, multiplier_[v]);
    if constexpr (kMode == RequantMode::symmetric) scaled = vsraq_n_s32(scaled, scaled, 31);
    return vrshlq_s32(scaled, right_[v]);
  }

  StageVectors stage_;
  int32x4_t bias_[2], multiplier_[2], right_[2];
};

/// Window: Column, load(byte offset in the input rows), outside(), and emit(three columns, byte offset in the output).
template <class Window>
[[gnu::always_inline]] inline void walk(const WindowArgs& args, const Window& window) {
  using Column = typename Window::Column;
  const std::size_t step = args.channel_count;
  const auto in_w = static_cast<std::ptrdiff_t>(args.in_w);
  const auto pad = static_cast<std::ptrdiff_t>(args.pad_left);
  const auto any = [&](std::ptrdiff_t column) {
    return column < 0 || column >= in_w ? window.outside() : window.load(static_cast<std::size_t>(column) * step);
  };
  std::size_t out = 0;
  std::size_t x = 0;
  if constexpr (Window::kStride == 1) {
    Column a = any(-pad), b = any(1 - pad);
    const std::ptrdiff_t next = 2 - pad;
    const auto inside =
        static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(in_w - next, 0, static_cast<std::ptrdiff_t>(args.out_w)));
    std::size_t in = static_cast<std::size_t>(next) * step;
    // In threes, so that the columns change their roles and not their registers.
    for (; x + 3 <= inside; x += 3, in += 3 * step, out += 3 * step) {
      const Column c = window.load(in);
      window.emit(a, b, c, out);
      a = window.load(in + step);
      window.emit(b, c, a, out + step);
      b = window.load(in + (2 * step));
      window.emit(c, a, b, out + (2 * step));
    }
    for (; x < args.out_w; ++x, in += step, out += step) {
      const Column c = x < inside ? window.load(in) : window.outside();
      window.emit(a, b, c, out);
      a = b;
      b = c;
    }
  } else {
    Column a = any(-pad);
    Column c = any(2 - pad);
    window.emit(a, any(1 - pad), c, out);
    out += step;
    // Outputs 1 .. inside - 1 have all their columns in the picture.
    const std::size_t inside = std::min(args.out_w, (args.in_w + args.pad_left - 1) / 2);
    std::size_t in = static_cast<std::size_t>(3 - pad) * step;
    for (x = 1; x + 2 <= inside; x += 2, in += 4 * step, out += 2 * step) {
      Column b = window.load(in);
      a = window.load(in + step);
      window.emit(c, b, a, out);
      b = window.load(in + (2 * step));
      c = window.load(in + (3 * step));
      window.emit(a, b, c, out + step);
    }
    for (; x < args.out_w; ++x, out += step) {
      const auto first = static_cast<std::ptrdiff_t>(2 * x) - pad;
      a = c;
      c = any(first + 2);
      window.emit(a, any(first + 1), c, out);
    }
  }
}

template <template <RequantMode, WindowForm, int, int> class Window, RequantMode kMode, WindowForm kForm, int kStride,
          int kRows>
void run_blocks(const WindowArgs& args) {
  const StageVectors stage(args.stage);
  for (std::size_t i = 0; i < args.block_count; ++i) {
    walk(args, Window<kMode, kForm, kStride, kRows>(args, args.blocks[i], stage));
  }
}

template <template <RequantMode, WindowForm, int, int> class Window, RequantMode kMode, WindowForm kForm>
void run_shape(const WindowArgs& args) {
  if (args.stride == 2) {
    run_blocks<Window, kMode, kForm, 2, 1>(args);
  } else if (args.row_count == 2) {
    run_blocks<Window, kMode, kForm, 1, 2>(args);
  } else {
    run_blocks<Window, kMode, kForm, 1, 1>(args);
  }
}

template <template <RequantMode, WindowForm, int, int> class Window, RequantMode kMode>
void run_form(const WindowArgs& args) {
  if (args.rest != 0) {
    run_shape<Window, kMode, WindowForm::flipped_with_rest>(args);
  } else if (args.flip != 0) {
    run_shape<Window, kMode, WindowForm::flipped>(args);
  } else {
    run_shape<Window, kMode, WindowForm::plain>(args);
  }
}

template <template <RequantMode, WindowForm, int, int> class Window>
void run_window(const WindowArgs& args) {
  if (args.stage.mode == RequantMode::rectified) {
    run_form<Window, RequantMode::rectified>(args);
  } else {
    run_form<Window, RequantMode::symmetric>(args);
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
