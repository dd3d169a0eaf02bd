// SPDX-License-Identifier: Apache-2.0
// The seam between the convolution drivers (plain C++) and the inner loops of one instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "accel/cpu/kernels/kernels.h"

namespace wayside::accel::cpu {

/// How an int32 sum becomes 8 bits; each is bit-exact to requant.h for the layers that are given to it
/// (requant_pack.h). With multiplier m, right shift e >= 1 and C = 2^30 + 2^(30+e), the two roundings nest into one
/// floor division:
///   x >= 0: floor((x*m + C) / 2^(31+e));   x < 0: floor((x*m + C - 2^31) / 2^(31+e)).
enum class RequantMode : std::uint8_t {
  // Single precision, where comparing all steps of the output at load proved it equal (FloatProof); a block has it or
  // the integer form of its layer.
  floating,         ///< rectified: rint(fma(x, scale, offset)), the output zero point is in the offset
  floating_signed,  ///< rint(fma(x, scale, offset with the sign of x))
  precise,          ///< rectified, all rounded down: floor(fma(x, scale, fma(x, scale_low, offset))); scale + scale_low
                    ///< is m / 2^(31+e) to the last bit
  precise_signed,   ///< twice the value, halved last: (floor(fma(x, scale, fma(x, scale_low, offset with the sign of
                    ///< x))) + 1) >> 1
  rectified,  ///< clamp_min == zero_point: a negative sum is clamped whatever its rounding, the first line serves for
              ///< all
  symmetric,  ///< sign(x) * floor((|x|*m + C) / 2^(31+e)): equal unless |x|*m + C is a multiple of 2^(31+e), which
              ///< pack_requant() excludes by the power of two in m and the largest possible |x|
  general,    ///< the two roundings one after the other; also left shifts and e = 0
};

inline constexpr std::size_t kBlockLanes = 16;
/// A last block of at most this many channels has a lane order of its own.
inline constexpr std::size_t kHalfBlock = 8;
/// Most lanes of a depthwise block.
inline constexpr std::size_t kStripLanes = 2 * kBlockLanes;

/// Constants of 16 accumulator lanes. The lane -> channel order is the instruction set's own.
struct alignas(64) RequantBlock {
  std::array<std::int32_t, kBlockLanes> bias;            ///< the accumulator's first value
  std::array<std::int32_t, kBlockLanes> multiplier;      ///< even lanes are read from here
  std::array<std::int32_t, kBlockLanes> multiplier_odd;  ///< lane 2i: the multiplier of lane 2i+1
  std::array<std::int64_t, 8> round_even;                ///< C of lanes 0, 2, ...
  std::array<std::int64_t, 8> round_odd;                 ///< C of lanes 1, 3, ...
  std::array<std::int32_t, kBlockLanes> right;           ///< e - 1; general: e
  std::array<std::int32_t, kBlockLanes> left;            ///< general only: left shift
  std::array<std::int32_t, kBlockLanes> half;            ///< general only: 2^(e-1), 0 for e = 0
  std::array<std::int32_t, kBlockLanes> sign_mask;       ///< general only: -1, 0 for e = 0
  std::array<float, kBlockLanes> scale;                  ///< single precision only, as the next two
  std::array<float, kBlockLanes> scale_low;              ///< precise only
  std::array<float, kBlockLanes> offset;
  RequantMode mode;  ///< of all lanes: the layer's integer form or a form in single precision
  /// Depthwise: how many weights add up to one; 2 where a weight less its zero point needs more than eight bits.
  std::int32_t set_count;
};

/// Does the form of `mode` step from n - 1 to n at the same integer x as the exact form, for n = first_step ..
/// last_step? Both are monotone in x, so this proves them equal for every x. The exact form steps to n > 0 at ceil(n *
/// step + start), to n <= 0 at ceil(n * step + start_below); the answer is no where double precision cannot tell which
/// integer that is.
struct FloatProof {
  RequantMode mode = RequantMode::floating;
  double step = 0, start = 0, start_below = 0;
  std::int32_t first_step = 1, last_step = 0;
  std::int32_t zero_point = 0;  ///< floating: step n belongs to the value zero_point + n
  float scale = 0, scale_low = 0, offset = 0;
};

[[nodiscard]] constexpr bool is_precise(RequantMode mode) {
  return mode == RequantMode::precise || mode == RequantMode::precise_signed;
}

/// Clamps in the s8 domain; `flip` (0 or 0x80) turns the bytes into u8 at the end.
struct OutputStage {
  RequantMode mode = RequantMode::general;
  std::int16_t zero_point = 0;
  std::int8_t clamp_min = -128;
  std::int8_t clamp_max = 127;
  std::uint8_t flip = 0;
  bool round_down = false;  ///< a block is precise: 256-bit code changes the rounding of the processor for a call
};

/// out[m*out_stride + n] = stage(bias[n] + offset[m] + sum_k a[m][k] * w[n][k]) for n in [0, channel_count).
/// Weights: [block of 16 channels][k_group][16 lanes][4 bytes], a k_group being 4 bytes of k (4 x 8 or 2 x 16 bits).
/// k runs over segment_count pieces of k_group_count groups; more than one only where Isa::segments.
struct GemmArgs {
  const std::uint8_t* const* rows =
      nullptr;  ///< row_count pointers, to 4*k_group_count readable bytes every segment_step bytes, unaligned
  const std::int32_t* row_offsets = nullptr;  ///< null or row_count values
  std::size_t row_count = 0;
  std::size_t k_group_count = 0;
  std::size_t segment_count = 1, segment_step = 0;
  const std::byte* weights = nullptr;
  const RequantBlock* requant = nullptr;
  std::size_t channel_count = 0;
  std::uint8_t* out = nullptr;
  std::size_t out_stride = 0;
  OutputStage stage;
};

/// One strip of a depthwise convolution: `variant_count` output rows from the rows of one window. A slot is one row of
/// the window; 4 / Isa::element_bytes slots lie side by side in one dword of a lane. Weights:
/// [channel block][variant][kernel_w][group][set][vector][lane][dword]; with two sets the weight is their sum.
struct DepthwiseArgs {
  const std::uint8_t* const* rows =
      nullptr;  ///< starts of group_count * slots rows; rows outside the picture point at zero points
  std::size_t readable_bytes = 0;  ///< from the start of each row (the least of them)
  std::size_t group_count = 0;
  std::size_t channel_count = 0;
  std::size_t picture_columns = 0;  ///< columns in a row
  std::size_t pad_left = 0;         ///< columns of zero points before the first
  std::size_t strip_columns = 0;    ///< pad_left + picture columns + zero points after them
  std::size_t kernel_w = 0, stride_w = 0, dilation_w = 0;
  std::size_t variant_count = 0;    ///< output rows to make, at most packed_variants
  std::size_t packed_variants = 0;  ///< variants that the weights hold
  std::size_t packed_sets = 1;      ///< room that the weights have for each block; RequantBlock::set_count are used
  std::size_t out_w = 0;
  std::uint8_t zero_byte = 0;   ///< raw input byte of the zero point
  std::uint8_t flip = 0;        ///< xor that makes input bytes unsigned
  std::int16_t zero_point = 0;  ///< subtracted where bytes are widened; in the domain after the xor
  const std::byte* weights = nullptr;
  const RequantBlock* requant = nullptr;
  std::byte* strip = nullptr;               ///< scratch, 64-byte aligned, strip_columns * group_count * kStripLanes * 4
  std::uint8_t* const* out_rows = nullptr;  ///< variant_count rows of out_w * channel_count bytes
  OutputStage stage;
};

/// Room after a strip or block of activations: the last k_group may reach past the last element.
inline constexpr std::size_t kScratchSlackBytes = 64;

/// What one instruction set offers to the drivers.
struct Isa {
  Level level = Level::reference;
  std::size_t element_bytes = 1;     ///< of an activation in a k_group: 4 / element_bytes are slots per group
  bool signed_activations = false;   ///< bytes are wanted as s8, not u8
  bool segments = false;             ///< gemm takes rows in several segments
  bool zero_in_bias = false;         ///< element_bytes 2, depthwise: the input's zero point is folded as for bytes
  std::size_t depthwise_block = 16;  ///< channels per block; 32: with a block of 16 where no more than 16 are left
  std::array<std::uint8_t, kBlockLanes> gemm_channel{};            ///< lane -> channel in a block of 16
  std::array<std::uint8_t, kBlockLanes> gemm_half_channel{};       ///< the same for a last block of kHalfBlock channels
  std::array<std::uint8_t, kStripLanes> depthwise_channel{};       ///< lane -> channel in a block of 32
  std::array<std::uint8_t, kBlockLanes> depthwise_tail_channel{};  ///< lane -> channel in a block of 16
  void (*gemm)(const GemmArgs& args) = nullptr;
  void (*depthwise)(const DepthwiseArgs& args) = nullptr;
  /// bytes[i] = table[bytes[i]], table of 256 bytes. Null: the drivers do it byte by byte.
  void (*replace_bytes)(std::uint8_t* bytes, std::size_t count, const std::uint8_t* table) = nullptr;
  /// Activations to k_group elements: element_bytes 1: byte ^ flip; 2: (byte ^ flip) - zero_point.
  void (*convert)(std::uint8_t* to, const std::uint8_t* from, std::size_t count, std::uint8_t flip,
                  std::int16_t zero_point) = nullptr;
  /// The first columns of copy_three_rows<3> (spec_math.h); the answer is how many. May be null.
  std::size_t (*rgb_columns)(std::uint8_t* to, const std::uint8_t* const (&rows)[3], std::size_t count,
                             std::uint8_t flip) = nullptr;
  std::size_t (*gray_columns)(std::uint8_t* to, const std::uint8_t* const (&rows)[3], std::size_t count,
                              std::uint8_t flip) = nullptr;  ///< the same for pixels of one byte
  bool (*float_is_exact)(const FloatProof& proof) = nullptr;
  /// sums[m] = scale * sum of the first byte_count bytes of rows[m]; null where element_bytes is 2. With `slack`, 31
  /// bytes after them may be read.
  void (*row_sums)(std::int32_t* sums, const std::uint8_t* const* rows, std::size_t row_count, std::size_t byte_count,
                   std::int32_t scale, bool slack) = nullptr;
};

#if defined(__x86_64__)
[[nodiscard]] const Isa& avx2_isa();
[[nodiscard]] const Isa& avx_vnni_isa();
[[nodiscard]] const Isa& avx256_vnni_isa();  ///< where WAYSIDE_STAND_INS is defined
[[nodiscard]] const Isa& avx512_vnni_isa();
/// Parts of avx512_vnni_isa() where the processor has VBMI too.
void depthwise_vbmi(const DepthwiseArgs& args);
std::size_t rgb_columns_vbmi(std::uint8_t* to, const std::uint8_t* const (&rows)[3], std::size_t count,
                             std::uint8_t flip);
void replace_bytes_vbmi(std::uint8_t* bytes, std::size_t count, const std::uint8_t* table);
#elif defined(__aarch64__)
[[nodiscard]] const Isa& neon_isa();
/// Matrix products of 8 bits on plain NEON, for layers without a weight of -128 (in the s8 domain); no depthwise.
[[nodiscard]] const Isa& neon_bytes_isa();
[[nodiscard]] const Isa& neon_dot_isa();
/// Matrix products only; the rest is neon_dot_isa()'s.
[[nodiscard]] const Isa& neon_i8mm_isa();
#endif

/// Drivers. Null for a spec that they do not cover.
std::unique_ptr<ConvKernel> make_gemm_conv(const ConvSpec& spec, const Isa& isa);
std::unique_ptr<ConvKernel> make_depthwise_conv(const ConvSpec& spec, const Isa& isa);

}  // namespace wayside::accel::cpu
