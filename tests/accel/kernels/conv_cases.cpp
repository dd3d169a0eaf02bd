// SPDX-License-Identifier: Apache-2.0
// Random convolutions for tests and benchmarks.
#include "tests/accel/kernels/conv_cases.h"

#include <cmath>

#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

std::int32_t draw(std::mt19937& random, std::int32_t low, std::int32_t high) {
  return std::uniform_int_distribution<std::int32_t>(low, high)(random);
}

void set_requant(ConvCase& one, const CaseOptions& options, std::mt19937& random) {
  auto& spec = one.spec;
  auto& requant = spec.requant;
  const std::int32_t low = spec.is_unsigned ? 0 : -128;
  requant.zero_point = options.rectified && draw(random, 0, 3) != 0 ? low : draw(random, low, low + 255);
  requant.clamp_min = options.rectified ? requant.zero_point : low;
  requant.clamp_max = draw(random, 0, 3) == 0 ? draw(random, requant.clamp_min, low + 255) : low + 255;
  const double taps = static_cast<double>(spec.kernel_h) * spec.kernel_w * (spec.depthwise ? 1 : spec.in_c);
  // Standard deviation of a product of two uniform bytes is about 5400: two deviations fill half of the output range.
  const double typical = 64.0 / (5400.0 * std::sqrt(taps));
  double factor = 1;
  for (std::int32_t channel = 0; channel < spec.out_c; ++channel) {
    if (channel == 0 || options.per_channel) factor = std::exp2(draw(random, -100, 100) / 50.0);
    double scale = typical * factor;
    if (options.requant == RequantKind::powers_of_two) scale = std::exp2(std::round(std::log2(scale)));
    if (options.requant == RequantKind::large_scale && draw(random, 0, 2) == 0) scale = std::exp2(draw(random, -2, 5));
    int exponent = 0;
    const double fraction = std::frexp(scale, &exponent);
    auto multiplier = std::llround(fraction * 2147483648.0);
    if (multiplier == (std::int64_t{1} << 31)) {
      multiplier /= 2;
      ++exponent;
    }
    requant.multiplier.push_back(static_cast<std::int32_t>(multiplier));
    requant.shift.push_back(exponent);
  }
}

}  // namespace

double ConvCase::mac_count() const {
  const double taps = static_cast<double>(spec.kernel_h) * spec.kernel_w * (spec.depthwise ? 1 : spec.in_c);
  return static_cast<double>(out_bytes()) * taps;
}

ConvCase make_case(const ConvSpec& shape, const CaseOptions& options, std::mt19937& random) {
  ConvCase one;
  one.spec = shape;
  auto& spec = one.spec;
  const std::size_t taps = static_cast<std::size_t>(spec.kernel_h) * spec.kernel_w;
  one.weights.resize(taps * spec.out_c * (spec.depthwise ? 1 : spec.in_c));
  one.input.resize(static_cast<std::size_t>(spec.batch) * spec.in_h * spec.in_w * spec.in_c);
  for (auto& byte : one.input) byte = static_cast<std::uint8_t>(random());
  for (auto& byte : one.weights) {
    byte = static_cast<std::uint8_t>(random());
    if (options.centred_weight_zero && byte == (spec.is_unsigned ? 0 : 0x80)) byte = 1;
  }
  spec.in_zero = spec.is_unsigned ? draw(random, 0, 255) : draw(random, -128, 127);
  spec.weight_zero = spec.is_unsigned ? (options.centred_weight_zero ? 128 : draw(random, 0, 255)) : 0;
  if (options.has_bias) {
    one.bias.resize(spec.out_c);
    for (auto& value : one.bias) value = draw(random, -20000, 20000);
  }
  set_requant(one, options, random);
  // As quantisers make of a channel whose weights are all but zero: a tiny scale and a bias near the end of int32.
  if (options.has_bias && options.requant == RequantKind::plausible && draw(random, 0, 3) == 0) {
    const std::int32_t channel = draw(random, 0, spec.out_c - 1);
    one.bias[channel] = draw(random, 0, 1) == 0 ? 2'000'000'000 : -2'000'000'000;
    spec.requant.shift[channel] = draw(random, -31, -20);
    if (draw(random, 0, 1) == 0) spec.requant.multiplier[channel] = spec.requant.shift[channel] = 0;
  }
  if (options.has_table) {
    one.table.resize(256);
    for (auto& byte : one.table) byte = static_cast<std::uint8_t>(random());
  }
  spec.output_table = one.table;
  spec.weights = one.weights;
  spec.bias = one.bias;
  return one;
}

std::vector<std::uint8_t> run_case(const ConvKernel& kernel, const ConvCase& one, ThreadPool& pool) {
  std::vector<std::uint8_t> out(one.out_bytes(), 0xA5);
  const AlignedBytes scratch(kernel.scratch_bytes(pool.thread_count()));
  kernel.run(one.input.data(), out.data(), scratch.data(), pool);
  return out;
}

}  // namespace wayside::accel::cpu
