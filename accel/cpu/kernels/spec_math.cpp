// SPDX-License-Identifier: Apache-2.0
// Helpers of the convolution drivers.
#include "accel/cpu/kernels/spec_math.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace wayside::accel::cpu {
namespace {

/// |in - in_zero| <= 255 for 8-bit values and zero points.
constexpr std::int64_t kMaxActivation = 255;

/// 2^20 weights of at most 510 in magnitude stay below 2^31.
constexpr std::size_t kMaxSumPiece = std::size_t{1} << 20;

struct PieceSums {
  std::uint32_t sum = 0, magnitude = 0;
};

/// Sums of byte ^ flip and of its distance from zero, in the forms that compilers know as sums of absolute differences.
PieceSums piece_sums(const std::uint8_t* bytes, std::size_t count, std::uint8_t flip, std::uint8_t zero) {
  PieceSums sums;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t value = bytes[i] ^ flip;
    sums.magnitude += static_cast<std::uint32_t>(std::abs(int{value} - int{zero}));
    sums.sum += static_cast<std::uint32_t>(std::abs(int{value} - 0));
  }
  return sums;
}

/// Weights [..., channels]: `bounds` gets magnitudes.
void add_last_channels(const ConvSpec& spec, ConvSums& sums) {
  const auto channels = static_cast<std::size_t>(spec.out_c);
  for (std::size_t row = 0; row < spec.weights.size(); row += channels) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::int32_t value = weight_value(spec, spec.weights[row + c]) - spec.weight_zero;
      sums.weights[c] += value;
      sums.bounds[c] += std::abs(value);
    }
  }
}

/// Weights [channels, ...]: `bounds` gets magnitudes.
void add_first_channels(const ConvSpec& spec, ConvSums& sums) {
  const std::size_t per_channel = spec.weights.size() / sums.weights.size();
  const std::uint8_t flip = spec.is_unsigned ? 0 : 0x80;
  const auto zero = static_cast<std::uint8_t>(spec.weight_zero + flip);
  const std::uint8_t* bytes = spec.weights.data();
  for (std::size_t channel = 0; channel < sums.weights.size(); ++channel) {
    // In pieces whose 32-bit sums cannot overflow, so that the compiler can vectorise them.
    for (std::size_t left = per_channel; left > 0;) {
      const std::size_t count = std::min(left, kMaxSumPiece);
      const PieceSums piece = piece_sums(bytes, count, flip, zero);
      sums.weights[channel] += std::int64_t{piece.sum} - (static_cast<std::int64_t>(count) * zero);
      sums.bounds[channel] += piece.magnitude;
      bytes += count;
      left -= count;
    }
  }
}

template <std::size_t kBytes>
void copy_pieces(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::size_t step) {
#pragma GCC unroll 4
  for (; count > 0; --count, to += step, from += kBytes) std::memcpy(to, from, kBytes);
}

/// Pieces of kUnit..2*kUnit-1 bytes as two overlapping copies.
template <std::size_t kUnit>
void copy_overlapping(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::size_t count,
                      std::size_t step) {
  const std::size_t tail = bytes - kUnit;
  for (; count > 0; --count, to += step, from += bytes) {
    std::memcpy(to, from, kUnit);
    std::memcpy(to + tail, from + tail, kUnit);
  }
}

}  // namespace

void OutputTable::apply(std::uint8_t* rows, std::size_t row_count, std::size_t row_bytes, std::size_t stride,
                        void (*vector)(std::uint8_t*, std::size_t, const std::uint8_t*)) const {
  if (bytes_.empty()) return;
  if (row_bytes == stride) {
    row_bytes *= row_count;
    row_count = 1;
  }
  for (; row_count > 0; --row_count, rows += stride) {
    if (vector != nullptr) {
      vector(rows, row_bytes, bytes_.data());
      continue;
    }
    for (std::size_t i = 0; i < row_bytes; ++i) rows[i] = bytes_[rows[i]];
  }
}

ConvSums conv_sums(const ConvSpec& spec) {
  const auto channels = static_cast<std::size_t>(spec.out_c);
  ConvSums sums{.weights = std::vector<std::int64_t>(channels), .bounds = std::vector<std::int64_t>(channels)};
  if (spec.depthwise) {
    add_last_channels(spec, sums);
  } else {
    add_first_channels(spec, sums);
  }
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const std::int64_t bias = spec.bias.empty() ? 0 : std::abs(static_cast<std::int64_t>(spec.bias[channel]));
    sums.bounds[channel] = (sums.bounds[channel] * kMaxActivation) + bias;
  }
  return sums;
}

void copy_every(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::size_t count, std::size_t step) {
  switch (bytes) {
    case 1: copy_pieces<1>(to, from, count, step); return;
    case 2: copy_pieces<2>(to, from, count, step); return;
    case 3: copy_pieces<3>(to, from, count, step); return;
    case 4: copy_pieces<4>(to, from, count, step); return;
    case 8: copy_pieces<8>(to, from, count, step); return;
    case 16: copy_pieces<16>(to, from, count, step); return;
    case 32: copy_pieces<32>(to, from, count, step); return;
    case 64: copy_pieces<64>(to, from, count, step); return;
    case 128: copy_pieces<128>(to, from, count, step); return;
    default: break;
  }
  if (bytes < 8) {
    copy_overlapping<4>(to, from, bytes, count, step);
  } else if (bytes < 16) {
    copy_overlapping<8>(to, from, bytes, count, step);
  } else if (bytes < 32) {
    copy_overlapping<16>(to, from, bytes, count, step);
  } else {
    for (; count > 0; --count, to += step, from += bytes) std::memcpy(to, from, bytes);
  }
}

template <std::size_t kPixelBytes>
void copy_three_rows(std::uint8_t* to, const std::uint8_t* const (&rows)[3], std::size_t count, std::uint8_t flip) {
  const std::uint32_t flips = flip * 0x01010101U;
  std::size_t offset = 0;
  // Four bytes a pixel of three: the fourth is overwritten by what comes next. The last pixel is left to exact copies.
  if constexpr (kPixelBytes == 3) {
#pragma GCC unroll 4
    for (; count > 1; --count, offset += kPixelBytes, to += 3 * kPixelBytes) {
      for (std::size_t i = 0; i < 3; ++i) {
        std::uint32_t pixel = 0;
        std::memcpy(&pixel, rows[i] + offset, sizeof pixel);
        pixel ^= flips;
        std::memcpy(to + (i * kPixelBytes), &pixel, sizeof pixel);
      }
    }
  }
  for (; count > 0; --count, offset += kPixelBytes) {
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t c = 0; c < kPixelBytes; ++c) *to++ = rows[i][offset + c] ^ flip;
    }
  }
}
template void copy_three_rows<1>(std::uint8_t*, const std::uint8_t* const (&)[3], std::size_t, std::uint8_t);
template void copy_three_rows<3>(std::uint8_t*, const std::uint8_t* const (&)[3], std::size_t, std::uint8_t);

void fill_every(std::uint8_t* to, std::uint8_t value, std::size_t bytes, std::size_t count, std::size_t step) {
  for (; count > 0; --count, to += step) std::memset(to, value, bytes);
}

}  // namespace wayside::accel::cpu
