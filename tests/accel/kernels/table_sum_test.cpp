// SPDX-License-Identifier: Apache-2.0
// Quantised sums by table: every level against the plain definition, all pairs of bytes and all tails.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/kernels/requant.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

constexpr unsigned kSeed = 20261121;

/// As TFLite's ADD prepares it: both inputs in units of twice the larger scale / 2^20.
TableSumSpec random_spec(std::mt19937& random) {
  const auto real = [&](double low, double high) { return std::uniform_real_distribution<>(low, high)(random); };
  const double scale_a = real(0.005, 0.1), scale_b = real(0.005, 0.1);
  const double twice = 2 * std::max(scale_a, scale_b);
  TableSumSpec spec;
  const int zero_a = static_cast<int>(real(-128, 127)), zero_b = static_cast<int>(real(-128, 127));
  for (int byte = 0; byte < 256; ++byte) {
    const int value = byte < 128 ? byte : byte - 256;
    spec.table_a[byte] = static_cast<std::int32_t>(std::lround((value - zero_a) * (1 << 20) * scale_a / twice));
    spec.table_b[byte] = static_cast<std::int32_t>(std::lround((value - zero_b) * (1 << 20) * scale_b / twice));
  }
  spec.is_unsigned = real(0, 1) < 0.5;
  int exponent = 0;
  const double fraction = std::frexp(twice / ((1 << 20) * real(0.01, 0.2)), &exponent);
  const int low = spec.is_unsigned ? 0 : -128;
  const int zero_point = static_cast<int>(real(low, low + 255));
  spec.requant = {.multiplier = {static_cast<std::int32_t>(fraction * 2147483647.0) & (real(0, 1) < 0.3 ? ~0xFFF : ~0)},
                  .shift = {exponent},
                  .zero_point = zero_point,
                  .clamp_min = real(0, 1) < 0.5 ? zero_point : low,
                  .clamp_max = low + 255};
  return spec;
}

TEST(TableSum, EqualsThePlainDefinition) {
  std::mt19937 random(kSeed);
  ThreadPool pool(2);
  std::vector<std::uint8_t> a(65536), b(65536), wanted(65536), got(65536);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<std::uint8_t>(i);
    b[i] = static_cast<std::uint8_t>(i >> 8);
  }
  for (int round = 0; round < 12; ++round) {
    const TableSumSpec spec = random_spec(random);
    make_table_sum(spec, Level::reference)->run(a.data(), b.data(), wanted.data(), a.size(), pool);
    const std::int32_t sum = spec.table_a[a[777]] + spec.table_b[b[777]];
    const std::int32_t first =
        multiply_by_quantized_multiplier(sum, spec.requant.multiplier[0], spec.requant.shift[0]) +
        spec.requant.zero_point;
    ASSERT_EQ(wanted[777],
              static_cast<std::uint8_t>(std::clamp(first, spec.requant.clamp_min, spec.requant.clamp_max)));
    for (const Level level :
         {Level::avx2, Level::avx_vnni, Level::avx256_vnni, Level::avx512_vnni, Level::neon, Level::neon_dot}) {
      if (!level_supported(level)) continue;
      const auto kernel = make_table_sum(spec, level);
      kernel->run(a.data(), b.data(), got.data(), a.size(), pool);
      ASSERT_EQ(got, wanted) << to_string(level) << " round " << round << " seed " << kSeed;
      for (std::size_t count = 0; count < 70; ++count) {
        const std::vector<std::uint8_t> small_a(a.begin() + 500, a.begin() + 500 + count);
        const std::vector<std::uint8_t> small_b(b.begin() + 500, b.begin() + 500 + count);
        std::vector<std::uint8_t> small(count);
        kernel->run(small_a.data(), small_b.data(), small.data(), count, pool);
        ASSERT_TRUE(std::equal(small.begin(), small.end(), wanted.begin() + 500)) << to_string(level) << ' ' << count;
      }
    }
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
