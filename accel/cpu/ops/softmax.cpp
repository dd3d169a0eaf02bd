// SPDX-License-Identifier: Apache-2.0
// SOFTMAX along the last dimension: 8-bit in the fixed-point steps of the reference, and f32.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

// Fixed point: "Qm.n" is an int32 with m integer bits and n = 31 - m fractional bits; the product of Qa and Qb by
// doubling_high_mul is Q(a+b). Source of all constants and steps: gemmlowp fixedpoint/fixedpoint.h.

std::int32_t saturate(std::int64_t x) {
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(x, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()));
}

/// x * 2^exponent, rounded, saturated.
std::int32_t scale_by_power(std::int32_t x, int exponent) {
  return exponent >= 0 ? saturate(std::int64_t{x} << exponent) : rounding_divide_by_pot(x, -exponent);
}

/// exp(a) for a in [-1/4, 0), Q0 to Q0: the Taylor polynomial of degree 4 around -1/8.
std::int32_t exp_in_last_quarter(std::int32_t a) {
  constexpr std::int32_t kExpOfMinusEighth = 1'895'147'668, kThird = 715'827'883;
  const std::int32_t x = a + (1 << 28);  // + 1/8
  const std::int32_t x2 = doubling_high_mul(x, x);
  const std::int32_t x3 = doubling_high_mul(x2, x);
  const std::int32_t x4_over_4 = scale_by_power(doubling_high_mul(x2, x2), -2);
  const std::int32_t tail = scale_by_power(doubling_high_mul(x4_over_4 + x3, kThird) + x2, -1);  // x2/2 + x3/6 + x4/24
  return kExpOfMinusEighth + doubling_high_mul(kExpOfMinusEighth, x + tail);
}

constexpr int kInputIntegerBits = 5;  // exp(-32) is nothing
constexpr int kInputFractionBits = 31 - kInputIntegerBits;

/// exp(a) for a <= 0, Q5 to Q0: the fraction below a quarter by polynomial, the rest as a product of exp(-2^k).
std::int32_t exp_of_negative(std::int32_t a) {
  constexpr std::int32_t kQuarter = 1 << (kInputFractionBits - 2);
  constexpr std::array<std::int32_t, 7> kExpOfMinusPower = {1'672'461'947, 1'302'514'674, 790'015'084, 290'630'308,
                                                            39'332'535,    720'401,       242};  // k = -2..4, Q0
  if (a == 0) return std::numeric_limits<std::int32_t>::max();
  const std::int32_t fraction = (a & (kQuarter - 1)) - kQuarter;
  std::int32_t result = exp_in_last_quarter(scale_by_power(fraction, kInputIntegerBits));
  const std::int32_t rest = fraction - a;
  for (std::size_t i = 0; i < kExpOfMinusPower.size(); ++i) {
    if ((rest & (kQuarter << i)) != 0) result = doubling_high_mul(result, kExpOfMinusPower[i]);
  }
  return result;
}

/// 1 / (1 + a) for a in [0, 1), Q0 to Q0: Newton-Raphson from 48/17 - 32/17 * d, d = (1 + a) / 2.
std::int32_t one_over_one_plus(std::int32_t a) {
  constexpr std::int32_t k48Over17 = 1'515'870'810, kMinus32Over17 = -1'010'580'540, kOne = 1 << 29;  // Q2
  const auto half = static_cast<std::int32_t>((std::int64_t{a} + std::numeric_limits<std::int32_t>::max() + 1) / 2);
  std::int32_t x = k48Over17 + doubling_high_mul(half, kMinus32Over17);
  for (int step = 0; step < 3; ++step) {
    const std::int32_t error = kOne - doubling_high_mul(half, x);
    x += scale_by_power(doubling_high_mul(x, error), 2);
  }
  return scale_by_power(x, 1);
}

struct Softmax {
  std::size_t rows = 1, depth = 1;
  std::int32_t type_min = -128;
  /// exp(-scale * beta * d) in Q0 for d = 0..255, 0 beyond the reference's cut-off.
  std::array<std::int32_t, 256> exp_of_difference{};
  std::array<std::uint32_t, 256> exp_q12{};  // the same rounded to Q12
  std::size_t cut_off = 0;                   // differences < cut_off count

  template <class T>
  void run_row(const T* in, T* out) const {
    std::int32_t largest = *in;
    for (std::size_t c = 1; c < depth; ++c) largest = std::max<std::int32_t>(largest, in[c]);
    std::uint32_t sum = 0;  // Q12, below 2^31 because depth <= kMaxDepth
    for (std::size_t c = 0; c < depth; ++c) sum += exp_q12[static_cast<std::size_t>(largest - in[c])];
    const int headroom = std::countl_zero(sum);
    const auto normalized = static_cast<std::int32_t>((sum << headroom) - (std::uint32_t{1} << 31));
    const std::int32_t inverse = one_over_one_plus(normalized);
    const int exponent = 12 - headroom + 31 - 8;
    const auto answer = [&](std::size_t d) {
      const std::int32_t q = d < cut_off ? divide(doubling_high_mul(inverse, exp_of_difference[d]), exponent) : 0;
      return static_cast<T>(std::min(q, 255) + type_min);
    };
    if (depth < exp_q12.size()) {
      for (std::size_t c = 0; c < depth; ++c) out[c] = answer(static_cast<std::size_t>(largest - in[c]));
      return;
    }
    std::array<T, 256> answers;
    answers.fill(static_cast<T>(type_min));
    for (std::size_t d = 0; d < cut_off; ++d) answers[d] = answer(d);
    for (std::size_t c = 0; c < depth; ++c) out[c] = answers[static_cast<std::size_t>(largest - in[c])];
  }

  /// The reference divides by at most 2^31; a flat row of 512 classes or more needs 2^32 and beyond.
  static std::int32_t divide(std::int32_t x, int exponent) {
    const std::int64_t half = std::int64_t{1} << (exponent - 1);
    return static_cast<std::int32_t>((std::int64_t{x} + half) >> exponent);  // x >= 0
  }
};

/// Source: quantization_util.cc PreprocessSoftmaxScaling, CalculateInputRadius.
Result<void> fill_table(const NodeView& node, Softmax& softmax) {
  const double beta = double{node.options().beta};
  const double wanted = beta * double{node.input(0).quantization.scale} * (1 << kInputFractionBits);
  const double real = std::min(wanted, static_cast<double>(std::numeric_limits<std::int32_t>::max()));
  if (!(real > 1)) return NodeView::unsupported("beta {} with such a fine input scale", beta);
  int shift = 0;  // PreprocessSoftmaxScaling allows 31, one more than quantize_multiplier
  const double fraction = std::frexp(real, &shift);
  auto value = static_cast<std::int64_t>(std::round(fraction * static_cast<double>(std::int64_t{1} << 31)));
  if (value == std::int64_t{1} << 31) {
    value /= 2;
    ++shift;
  }
  const auto radius = std::floor(static_cast<double>((1 << kInputIntegerBits) - 1) *
                                 static_cast<double>(std::int64_t{1} << kInputFractionBits) /
                                 static_cast<double>(std::int64_t{1} << shift));
  softmax.cut_off = static_cast<std::size_t>(std::min(radius + 1, 256.0));
  for (std::size_t d = 0; d < softmax.cut_off; ++d) {
    const std::int64_t shifted = -static_cast<std::int64_t>(d) * (std::int64_t{1} << shift);
    const std::int32_t rescaled = doubling_high_mul(saturate(shifted), static_cast<std::int32_t>(value));
    softmax.exp_of_difference[d] = exp_of_negative(rescaled);
    softmax.exp_q12[d] = static_cast<std::uint32_t>(rounding_divide_by_pot(softmax.exp_of_difference[d], 12));
  }
  return {};
}

PreparedOp float_softmax(const NodeView& node, std::size_t rows, std::size_t depth) {
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.op = make_operator([rows, depth, beta = node.options().beta](const RunContext& context) {
    for (std::size_t row = 0; row < rows; ++row) {
      const float* in = context.input<float>(0) + (row * depth);
      float* out = context.output<float>() + (row * depth);
      const float largest = *std::max_element(in, in + depth);
      float sum = 0;
      for (std::size_t c = 0; c < depth; ++c) sum += out[c] = std::exp((in[c] - largest) * beta);
      for (std::size_t c = 0; c < depth; ++c) out[c] /= sum;
    }
  });
  return prepared;
}

}  // namespace

/// out[r,c] = exp(beta * x[r,c]) / sum_k exp(beta * x[r,k]); 8-bit outputs have scale 1/256 and the type's least value
/// as zero point. Source: reference/softmax.h.
Result<PreparedOp> prepare_softmax(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, 1, 1));
  WAYSIDE_CHECK(node.expect_output_shape(node.input(0).shape));
  const Tensor& in = node.input(0);
  const Tensor& out = node.output();
  if (in.shape.rank() < 1) return NodeView::corrupt("a scalar");
  const std::size_t rows = in.shape.product(0, in.shape.rank() - 1);
  const auto depth = static_cast<std::size_t>(in.shape[in.shape.rank() - 1]);
  if (in.type == DType::f32 && out.type == DType::f32) return float_softmax(node, rows, depth);
  WAYSIDE_CHECK(node.expect_8bit());
  constexpr std::size_t kMaxDepth = 4'095;  // the reference sums in Q12
  if (depth > kMaxDepth) return NodeView::unsupported("{} classes, at most {}", depth, kMaxDepth);
  Softmax softmax{.rows = rows, .depth = depth, .type_min = type_range(out.type).min};
  if (out.quantization.scale != 1.0F / 256 || out.quantization.zero_point != softmax.type_min) {
    return NodeView::unsupported("output scale {} and zero point {}, expected 1/256 and {}", out.quantization.scale,
                                 out.quantization.zero_point, softmax.type_min);
  }
  WAYSIDE_CHECK(fill_table(node, softmax));
  PreparedOp prepared;
  prepared.reads.push_back(0);
  with_8bit(in.type, [&](auto element) {
    using T = decltype(element);
    prepared.op = make_operator([softmax](const RunContext& context) {
      for (std::size_t row = 0; row < softmax.rows; ++row) {
        softmax.run_row(context.input<T>(0) + (row * softmax.depth), context.output<T>() + (row * softmax.depth));
      }
    });
  });
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
