// SPDX-License-Identifier: Apache-2.0
// Table lookups, quantised products and sums: every level against the plain definition, all bytes, all tails, in place.
#include "accel/cpu/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "accel/cpu/kernels/bilinear.h"
#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr unsigned kSeed = 20261121;
constexpr Level kFastLevels[] = {Level::avx2, Level::avx_vnni, Level::avx512_vnni,
                                 Level::neon, Level::neon_dot, Level::neon_i8mm};

class Elementwise : public testing::Test {
 protected:
  Elementwise() {
    for (std::size_t i = 0; i < a_.size(); ++i) {
      a_[i] = static_cast<std::uint8_t>(i);
      b_[i] = static_cast<std::uint8_t>(i >> 8);
    }
  }
  double real(double low, double high) { return std::uniform_real_distribution<>(low, high)(random_); }
  std::int32_t integer(int low, int high) { return std::uniform_int_distribution<>(low, high)(random_); }

  /// A factor as TFLite writes it, and an output type's zero point and clamp.
  Requant random_requant(double factor, bool is_unsigned) {
    Requant requant;
    int exponent = 0;
    const double fraction = std::frexp(factor, &exponent);
    auto multiplier = static_cast<std::int64_t>(std::llround(fraction * 2147483648.0));
    if (multiplier == std::int64_t{1} << 31) {
      multiplier /= 2;
      ++exponent;
    }
    if (integer(0, 3) == 0) multiplier &= ~0xFFFFFF;  // ties happen
    const int low = is_unsigned ? 0 : -128;
    requant.multiplier = {static_cast<std::int32_t>(multiplier)};
    requant.shift = {exponent};
    requant.zero_point = integer(low, low + 255);
    requant.clamp_min = integer(0, 1) == 0 ? requant.zero_point : low;
    requant.clamp_max = integer(0, 3) == 0 ? std::min(low + 255, requant.clamp_min + 60) : low + 255;
    return requant;
  }

  /// All pairs at once, in place of either operand, and all small counts at an odd address.
  void expect_like_plain(const BinaryKernel& plain, const BinaryKernel& fast, const std::string& what) {
    Bytes wanted(a_.size()), got(a_.size());
    plain.run(a_.data(), b_.data(), wanted.data(), a_.size(), pool_);
    fast.run(a_.data(), b_.data(), got.data(), a_.size(), pool_);
    ASSERT_EQ(got, wanted) << what << " seed " << kSeed;
    Bytes over_a = a_, over_b = b_;
    fast.run(over_a.data(), b_.data(), over_a.data(), a_.size(), pool_);
    fast.run(a_.data(), over_b.data(), over_b.data(), a_.size(), pool_);
    ASSERT_EQ(over_a, wanted) << what << " in place of a, seed " << kSeed;
    ASSERT_EQ(over_b, wanted) << what << " in place of b, seed " << kSeed;
    for (std::size_t count = 0; count < 140; ++count) {
      const auto from = static_cast<std::ptrdiff_t>((count * 397) + 1);
      const auto size = static_cast<std::ptrdiff_t>(count);
      const Bytes small_a(a_.begin() + from, a_.begin() + from + size);
      const Bytes small_b(b_.begin() + from, b_.begin() + from + size);
      Bytes small(count);  // exact sizes: a sanitizer sees what lies beyond
      fast.run(small_a.data(), small_b.data(), small.data(), count, pool_);
      ASSERT_TRUE(std::equal(small.begin(), small.end(), wanted.begin() + from)) << what << " count " << count;
    }
  }

  /// As TFLite prepares ADD and SUB: tables rounded at 2^-20 of twice the larger scale.
  TableSumSpec random_sum() {
    const double scale_a = std::exp(real(-6, 0)), scale_b = integer(0, 4) == 0 ? scale_a : std::exp(real(-6, 0));
    const double twice = 2 * std::max(scale_a, scale_b);
    const double sign = integer(0, 3) == 0 ? -1 : 1;
    TableSumSpec spec;
    spec.is_unsigned = integer(0, 1) == 0;
    const int low = spec.is_unsigned ? 0 : -128;
    const int zero_a = integer(low, low + 255), zero_b = integer(low, low + 255);
    for (int byte = 0; byte < 256; ++byte) {
      const int value = spec.is_unsigned || byte < 128 ? byte : byte - 256;
      spec.table_a[byte] = static_cast<std::int32_t>(std::lround((value - zero_a) * (1 << 20) * scale_a / twice));
      spec.table_b[byte] =
          static_cast<std::int32_t>(std::lround(sign * (value - zero_b) * (1 << 20) * scale_b / twice));
    }
    spec.requant = random_requant(twice / ((1 << 20) * (scale_a + scale_b) * real(0.2, 2.0)), spec.is_unsigned);
    return spec;
  }

  std::mt19937 random_{kSeed};
  ThreadPool pool_{2};
  Bytes a_ = Bytes(65536), b_ = Bytes(65536);
};

TEST_F(Elementwise, SumsWithoutTablesEqualTheTables) {
  constexpr int kRounds = 60;
  int found = 0;
  for (int round = 0; round < kRounds; ++round) {
    const TableSumSpec spec = random_sum();
    found += find_linear_sum(spec).has_value() ? 1 : 0;
    const auto plain = make_table_sum(spec, Level::reference);
    for (const Level level : kFastLevels) {
      if (!level_supported(level)) continue;
      ASSERT_NO_FATAL_FAILURE(expect_like_plain(*plain, *make_table_sum(spec, level),
                                                std::string(to_string(level)) + " round " + std::to_string(round)));
    }
  }
  std::cout << found << " of " << kRounds << " sums need no table\n";
  EXPECT_GE(found, kRounds * 8 / 10);  // exact ties, made on purpose above, may need the tables
}

TEST_F(Elementwise, SumsOfCurvesKeepTheirTables) {
  TableSumSpec spec = random_sum();
  for (std::int32_t& value : spec.table_a) {
    const std::int64_t root = value / 10'000;  // squares of 32-bit values over 10000 fit after the bound
    value = static_cast<std::int32_t>(std::min<std::int64_t>(root * root, 1 << 30));
  }
  EXPECT_FALSE(find_linear_sum(spec));
  for (const Level level : kFastLevels) {
    if (!level_supported(level)) continue;
    ASSERT_NO_FATAL_FAILURE(expect_like_plain(*make_table_sum(spec, Level::reference), *make_table_sum(spec, level),
                                              std::string(to_string(level))));
  }
}

TEST_F(Elementwise, ProductsEqualThePlainDefinition) {
  for (int round = 0; round < 40; ++round) {
    ProductSpec spec;
    spec.is_unsigned = integer(0, 1) == 0;
    const int low = spec.is_unsigned ? 0 : -128;
    spec.zero_a = integer(low, low + 255);
    spec.zero_b = integer(low, low + 255);
    spec.requant = random_requant(std::exp(round % 4 == 0 ? real(1, 21) : real(-9, 1)), spec.is_unsigned);
    const auto plain = make_product(spec, Level::reference);
    for (const Level level : kFastLevels) {
      if (!level_supported(level)) continue;
      ASSERT_NO_FATAL_FAILURE(expect_like_plain(*plain, *make_product(spec, level),
                                                std::string(to_string(level)) + " round " + std::to_string(round)));
    }
  }
}

TEST_F(Elementwise, LookupsAnswerFromTheTable) {
  std::array<std::uint8_t, 256> answers{};
  for (auto& answer : answers) answer = static_cast<std::uint8_t>(integer(0, 255));
  Bytes in(3000);
  for (auto& byte : in) byte = static_cast<std::uint8_t>(integer(0, 255));
  for (const Level level : {Level::reference, Level::avx2, Level::avx_vnni, Level::avx512_vnni, Level::neon}) {
    if (!level_supported(level)) continue;
    const auto lookup = make_lookup(answers, level);
    for (std::size_t count = 0; count < 400; ++count) {
      const auto from = static_cast<std::ptrdiff_t>(count * 3);
      const Bytes some(in.begin() + from, in.begin() + from + static_cast<std::ptrdiff_t>(count));
      Bytes wanted(count), got(count), in_place = some;
      for (std::size_t i = 0; i < count; ++i) wanted[i] = answers[some[i]];
      lookup->run(some.data(), got.data(), count, pool_);
      lookup->run(in_place.data(), in_place.data(), count, pool_);
      ASSERT_EQ(got, wanted) << to_string(level) << " count " << count << " seed " << kSeed;
      ASSERT_EQ(in_place, wanted) << to_string(level) << " in place, count " << count << " seed " << kSeed;
    }
    Bytes all(65536 + 7);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
    lookup->run(all.data(), all.data(), all.size(), pool_);
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], answers[i % 256]) << to_string(level) << ' ' << i;
  }
}

/// All counts up to two vectors and more, at odd addresses; the input is exactly as long as what may be read.
TEST(WindowMaximum, EveryLevelLikeThePlainLoop) {
  std::mt19937 random(kSeed);
  for (const Level level : kFastLevels) {
    if (!level_supported(level)) continue;
    for (std::size_t count = 1; count <= 140; ++count) {
      MaximumArgs args{.count = count, .rows = 1 + (random() % 5), .columns = 1 + (random() % 5)};
      args.column_step = count + (random() % 3);
      args.row_step = args.columns * args.column_step;
      args.is_unsigned = random() % 2 == 0;
      args.clamp_min = args.is_unsigned ? 3 : -120;
      args.clamp_max = args.clamp_min + 240;
      Bytes in(((args.rows - 1) * args.row_step) + ((args.columns - 1) * args.column_step) + count);
      for (auto& byte : in) byte = static_cast<std::uint8_t>(random());
      Bytes wanted(count), got(count);
      args.in = in.data();
      args.out = wanted.data();
      window_maximum(Level::reference)(args);
      args.out = got.data();
      window_maximum(level)(args);
      ASSERT_EQ(got, wanted) << to_string(level) << " count " << count << " seed " << kSeed;
      const auto value = [&](std::uint8_t byte) {
        return args.is_unsigned ? int{byte} : int{static_cast<std::int8_t>(byte)};
      };
      int largest = args.clamp_min;
      for (std::size_t y = 0; y < args.rows; ++y) {
        for (std::size_t x = 0; x < args.columns; ++x) {
          largest = std::max(largest, value(in[(y * args.row_step) + (x * args.column_step)]));
        }
      }
      ASSERT_EQ(value(got[0]), std::min(largest, args.clamp_max)) << to_string(level) << " seed " << kSeed;
    }
  }
}

/// Against the four products in 64 bits, all numbers of channels up to two vectors; also weights left of the picture.
TEST(BilinearRow, EveryLevelLikeTheDefinition) {
  std::mt19937 random(kSeed);
  constexpr std::int64_t kUnit = 1 << kBilinearBits, kHalf = kUnit * kUnit / 2;
  std::vector<Level> levels(std::begin(kFastLevels), std::end(kFastLevels));
  levels.push_back(Level::reference);
  for (const Level level : levels) {
    if (!level_supported(level)) continue;
    for (std::size_t channels = 1; channels <= 35; ++channels) {
      constexpr std::int32_t kPixels = 5;
      const std::size_t elements = kPixels * channels;
      std::vector<std::int8_t> top(elements), bottom(elements);
      for (std::size_t i = 0; i < elements; ++i) {
        top[i] = static_cast<std::int8_t>(random());
        bottom[i] = static_cast<std::int8_t>(random() % 3 == 0 ? -128 : random());
      }
      std::vector<BilinearTap> columns{{.first = 0, .second = 0, .weight = -511},
                                       {.first = 4, .second = 4, .weight = 900'000}};
      for (int i = 0; i < 9; ++i) {
        const auto first = static_cast<std::int32_t>(random() % (kPixels - 1));
        columns.push_back({.first = first, .second = first + 1, .weight = static_cast<std::int32_t>(random() % kUnit)});
      }
      std::vector<std::int32_t> blended(elements);
      std::vector<std::int8_t> out(columns.size() * channels);
      const auto y = static_cast<std::int32_t>(random() % (kUnit + 1));
      bilinear_row(level)({.top = top.data(),
                           .bottom = bottom.data(),
                           .in_elements = elements,
                           .channels = channels,
                           .bottom_weight = y,
                           .columns = columns,
                           .blended = blended.data(),
                           .out = out.data()});
      for (std::size_t i = 0; i < out.size(); ++i) {
        const BilinearTap& tap = columns[i / channels];
        const std::size_t left = (tap.first * channels) + (i % channels),
                          right = (tap.second * channels) + (i % channels);
        const std::int64_t upper = (top[left] * (kUnit - tap.weight)) + (std::int64_t{top[right]} * tap.weight);
        const std::int64_t lower = (bottom[left] * (kUnit - tap.weight)) + (std::int64_t{bottom[right]} * tap.weight);
        const std::int64_t sum = (upper * (kUnit - y)) + (lower * y);
        ASSERT_EQ(out[i], (sum + (sum > 0 ? kHalf : -kHalf)) / (kUnit * kUnit))
            << to_string(level) << " channels " << channels << " at " << i << " seed " << kSeed;
      }
    }
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
