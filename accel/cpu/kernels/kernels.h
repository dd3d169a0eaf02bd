// SPDX-License-Identifier: Apache-2.0
// The seam between the graph and the fast kernels: convolution-like and elementwise operators, chosen by instruction
// set at run time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::accel::cpu {

class ThreadPool;
struct PackedConv;
struct SumForm;

/// Instruction sets, slowest first within a processor family. `reference` is the plain C++ definition of each result.
enum class Level : std::uint8_t { reference, avx2, avx_vnni, avx256_vnni, avx512_vnni, amx, neon, neon_dot, neon_i8mm };
[[nodiscard]] std::string_view to_string(Level level);
[[nodiscard]] std::optional<Level> parse_level(std::string_view name);
/// True when this processor and this build can run `level`.
[[nodiscard]] bool level_supported(Level level);
/// The fastest supported level, or the one that the environment variable WAYSIDE_CPU_LEVEL names if it is supported.
[[nodiscard]] Level best_level();

/// From an int32 accumulator to the 8-bit output of channel c, as TFLite's reference kernels do it:
/// q = clamp(MultiplyByQuantizedMultiplier(acc, multiplier[c], shift[c]) + zero_point, clamp_min, clamp_max)
/// (gemmlowp double rounding; tensorflow/lite/kernels/internal/common.h). Shift > 0 is to the left.
struct Requant {
  std::vector<std::int32_t> multiplier;  ///< Q0.31, one per output channel
  std::vector<std::int32_t> shift;       ///< -31..30, one per output channel
  std::int32_t zero_point = 0;
  std::int32_t clamp_min = -128;
  std::int32_t clamp_max = 127;
};

/// What a convolution's weights add up to, by output channel.
struct ConvSums {
  std::vector<std::int64_t> weights;  ///< sum of w - weight_zero
  std::vector<std::int64_t>
      bounds;  ///< the largest |bias + sum (in - in_zero)(w - weight_zero)| that any input can reach
};

/// out[n,y,x,o] = requant(bias[o] + sum_{i,j,c} (in[n, y*stride_h+i*dilation_h-pad_top,
/// x*stride_w+j*dilation_w-pad_left, c] - in_zero)
///                                             * (w[o,i,j,c] - weight_zero)), in = in_zero outside the picture.
/// depthwise: w is [1,kernel_h,kernel_w,out_c], out_c = in_c * multiplier, and c = o / multiplier alone is summed.
/// A fully connected layer is a 1x1 convolution with out_h = rows, out_w = 1.
struct ConvSpec {
  std::int32_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  std::int32_t out_h = 1, out_w = 1, out_c = 1;
  std::int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  std::int32_t pad_top = 0, pad_left = 0;
  bool depthwise = false;
  bool is_unsigned = false;  ///< activations and weights are u8 (legacy per-tensor) instead of s8
  std::int32_t in_zero = 0, weight_zero = 0;
  std::span<const std::uint8_t>
      weights{};  ///< raw bytes, s8 or u8: [out_c,kernel_h,kernel_w,in_c] or [1,kernel_h,kernel_w,out_c]
  std::span<const std::int32_t> bias{};  ///< empty or [out_c]
  Requant requant{};
  /// Empty or 256 bytes, indexed by the raw output byte: replaces each byte after requantisation and clamping, so that
  /// an operator that maps single bytes (hard-swish, x * logistic(x), ...) costs no pass of its own. Copied.
  std::span<const std::uint8_t> output_table{};
  const ConvSums* sums = nullptr;  ///< where the caller has counted them: saves a pass over the weights
  /// Packed before from the same spec: weights, bias, requant and sums are not looked at then.
  const PackedConv* packed = nullptr;
};

/// A convolution with its weights packed for one level. Immutable after creation; run() is thread-compatible.
class ConvKernel {
 public:
  virtual ~ConvKernel() = default;
  /// Bytes of 64-byte aligned scratch that run() needs (for the given pool size).
  [[nodiscard]] virtual std::size_t scratch_bytes(unsigned thread_count) const = 0;
  [[nodiscard]] virtual std::size_t packed_bytes() const = 0;
  /// Fills `packed` but for its entry with what this kernel holds; false: this kind of kernel is always packed anew.
  [[nodiscard]] virtual bool get_packed(PackedConv& /*packed*/) const { return false; }
  /// The entry of conv_entries() that made it.
  std::uint32_t entry = 0;
  /// `in` [batch,in_h,in_w,in_c] and `out` [batch,out_h,out_w,out_c] must not overlap. Reads and writes nothing beyond
  /// their exact sizes. Allocates nothing.
  virtual void run(const std::uint8_t* in, std::uint8_t* out, std::byte* scratch, ThreadPool& pool) const = 0;
};

/// Packs a checked spec (all sizes positive and consistent; the graph has validated the model) for `level`; falls back
/// to a lower level for shapes that the fast kernels of `level` do not cover. The weights may be freed afterwards. With
/// spec.packed: null where that does not fit the spec or the level.
std::unique_ptr<ConvKernel> make_conv(const ConvSpec& spec, Level level);

/// out[i] = requant(table_a[a[i]] + table_b[b[i]]), tables indexed by the raw byte, sums saturated to int32: quantised
/// ADD and SUB, whose inputs are each scaled by a function of one byte.
struct TableSumSpec {
  std::array<std::int32_t, 256> table_a{}, table_b{};
  bool is_unsigned = false;       ///< of the output
  Requant requant{};              ///< one channel
  const SumForm* form = nullptr;  ///< of find_sum_form(), where it is known: saves the search
};

/// out[i] = requant((a[i] - zero_a) * (b[i] - zero_b)): quantised MUL.
struct ProductSpec {
  std::int32_t zero_a = 0, zero_b = 0;
  bool is_unsigned = false;  ///< of all three
  Requant requant{};         ///< one channel
};

/// A function of two bytes for each place. Immutable after creation; run() is thread-compatible.
class BinaryKernel {
 public:
  virtual ~BinaryKernel() = default;
  /// `out` may be `a` or `b`. Reads and writes nothing beyond `count` bytes. Allocates nothing.
  virtual void run(const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out, std::size_t count,
                   ThreadPool& pool) const = 0;
};

std::unique_ptr<BinaryKernel> make_table_sum(const TableSumSpec& spec, Level level);
std::unique_ptr<BinaryKernel> make_product(const ProductSpec& spec, Level level);

/// Indexed by the byte of the input, holds the byte of the output.
using LookupTable = std::array<std::uint8_t, 256>;

/// out[i] = answers[in[i]].
class LookupKernel {
 public:
  virtual ~LookupKernel() = default;
  /// `out` may be `in`. Reads and writes nothing beyond `count` bytes. Allocates nothing.
  virtual void run(const std::uint8_t* in, std::uint8_t* out, std::size_t count, ThreadPool& pool) const = 0;
};

std::unique_ptr<LookupKernel> make_lookup(const LookupTable& answers, Level level);

/// out[i] = clamp(max over y < rows, x < columns of in[y*row_step + x*column_step + i]), i in [0, count): one output
/// pixel of a maximum pool. `out` overlaps no input.
struct MaximumArgs {
  const std::uint8_t* in = nullptr;
  std::uint8_t* out = nullptr;
  std::size_t count = 0, rows = 1, columns = 1, row_step = 0, column_step = 0;
  bool is_unsigned = false;
  std::int32_t clamp_min = -128, clamp_max = 127;
};

/// Reads and writes nothing beyond `count` bytes. Never null.
using MaximumFunction = void (*)(const MaximumArgs&);
[[nodiscard]] MaximumFunction window_maximum(Level level);

}  // namespace wayside::accel::cpu
