// SPDX-License-Identifier: Apache-2.0
// The seam of the Arm depthwise 3x3 layers: a driver in plain C++, and one row function per instruction set that keeps
// a sliding window of columns in registers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {

/// Channels that a row function takes at once.
inline constexpr std::size_t kWindowLanes = 8;
inline constexpr std::size_t kWindowTaps = 9;

/// Constants of eight channels; the last block of a layer overlaps the one before it, so that none is partial.
struct alignas(16) WindowBlock {
  std::array<std::array<std::int8_t, kWindowLanes>, kWindowTaps> weights{};  ///< [kernel column][kernel row][channel]
  /// The same for the dot product, of both output rows of a window of four input rows:
  /// [output row][kernel column][4 * channel + input row].
  std::array<std::array<std::array<std::int8_t, 4 * kWindowLanes>, 3>, 2> quads{};
  std::array<std::int32_t, kWindowLanes> bias{};
  std::array<std::int32_t, kWindowLanes> multiplier{};
  std::array<std::int32_t, kWindowLanes> right{};  ///< minus the right shift, for SRSHL
  std::uint32_t first_channel = 0;
};

/// One output row, or two rows one below the other where the stride is 1 and `row_count` is 2. All in the s8 domain:
/// out = stage(bias + sum weights * (in ^ flip) + rest * sum (in ^ flip)).
struct WindowArgs {
  std::array<const std::uint8_t*, 4> rows{};  ///< 3 input rows, 4 for two output rows; outside the picture: zero points
  std::array<std::uint8_t*, 2> out_rows{};
  std::size_t row_count = 1;
  std::size_t channel_count = 0;
  std::size_t in_w = 0, out_w = 0;
  std::size_t stride = 1;      ///< 1 or 2
  std::size_t pad_left = 0;    ///< 0..2
  std::uint8_t zero_byte = 0;  ///< raw
  std::uint8_t flip = 0;
  std::int8_t rest = 0;  ///< of the weights' zero point, see the driver
  const WindowBlock* blocks = nullptr;
  std::size_t block_count = 0;
  OutputStage stage;
};

struct WindowIsa {
  std::size_t rows_at_once = 1;  ///< at stride 1
  /// |w1| + |w2| of two neighbouring taps may not exceed it.
  std::int32_t largest_pair = 256;
  void (*run)(const WindowArgs& args) = nullptr;
  void (*replace_bytes)(std::uint8_t* bytes, std::size_t count, const std::uint8_t* table) = nullptr;  ///< see Isa
};

[[nodiscard]] const WindowIsa& neon_window_isa();
[[nodiscard]] const WindowIsa& neon_dot_window_isa();

/// Null for anything but 3x3 with stride 1 or 2, one output channel per input channel, at least eight channels.
std::unique_ptr<ConvKernel> make_window_conv(const ConvSpec& spec, const WindowIsa& isa);

}  // namespace wayside::accel::cpu
