// SPDX-License-Identifier: Apache-2.0
// Fixed-point factors and activation ranges.
#include "accel/cpu/quantization.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace wayside::accel::cpu {
namespace {

TEST(QuantizeMultiplierTest, KnownFactors) {
  const auto half = quantize_multiplier(0.5);
  ASSERT_TRUE(half);
  EXPECT_EQ(half->value, 1 << 30);
  EXPECT_EQ(half->shift, 0);
  const auto one = quantize_multiplier(1.0);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->value, 1 << 30);
  EXPECT_EQ(one->shift, 1);
  const auto zero = quantize_multiplier(0);
  ASSERT_TRUE(zero);
  EXPECT_EQ(zero->value, 0);
}

TEST(QuantizeMultiplierTest, RoundsUpToTheNextPowerOfTwo) {
  const auto nearly_one = quantize_multiplier(std::nextafter(1.0, 0.0));
  ASSERT_TRUE(nearly_one);
  EXPECT_EQ(nearly_one->value, 1 << 30);
  EXPECT_EQ(nearly_one->shift, 1);
}

TEST(QuantizeMultiplierTest, TinyIsZeroHugeSaturatesAndNonsenseIsRefused) {
  ASSERT_TRUE(quantize_multiplier(1e-30));
  EXPECT_EQ(quantize_multiplier(1e-30)->value, 0);
  const auto huge = quantize_multiplier(3e30);
  ASSERT_TRUE(huge);
  EXPECT_EQ(multiply(0, *huge), 0);
  EXPECT_GT(multiply(1, *huge), 1 << 29);
  EXPECT_LT(multiply(-1, *huge), -(1 << 29));
  EXPECT_FALSE(quantize_multiplier(std::numeric_limits<double>::infinity()));
  EXPECT_FALSE(quantize_multiplier(std::nan("")));
}

TEST(QuantizeMultiplierTest, ProductsAreNearTheRealOnes) {
  constexpr std::uint32_t kSeed = 3;
  std::mt19937 random(kSeed);
  std::uniform_real_distribution<double> exponent(-8, 2), sign(-1, 1);
  for (int i = 0; i < 10'000; ++i) {
    const double real = std::copysign(std::exp2(exponent(random)), sign(random));
    const auto x = static_cast<std::int32_t>(sign(random) * 1'000'000);
    const auto factor = quantize_multiplier(real);
    ASSERT_TRUE(factor);
    ASSERT_NEAR(multiply(x, *factor), x * real, 1.0 + std::abs(x * real) * 1e-8)
        << real << ' ' << x << " seed " << kSeed;
  }
}

TEST(ActivationRangeTest, FollowsTheOutputScale) {
  const Quantization q{.scale = 0.05F, .zero_point = -10};
  EXPECT_EQ(activation_range(Activation::none, DType::i8, q).min, -128);
  EXPECT_EQ(activation_range(Activation::relu, DType::i8, q).min, -10);
  EXPECT_EQ(activation_range(Activation::relu, DType::i8, q).max, 127);
  EXPECT_EQ(activation_range(Activation::relu6, DType::i8, q).max, 110);
  EXPECT_EQ(activation_range(Activation::relu_n1_to_1, DType::i8, q).min, -30);
  EXPECT_EQ(activation_range(Activation::relu_n1_to_1, DType::i8, q).max, 10);
  EXPECT_EQ(activation_range(Activation::relu6, DType::u8, {.scale = 1, .zero_point = 0}).max, 6);
}

TEST(ActivationRangeTest, StaysInTheTypeForAbsurdScales) {
  for (const float scale : {1e-38F, 1e38F}) {
    for (const auto activation : {Activation::relu, Activation::relu6, Activation::relu_n1_to_1}) {
      const Range range = activation_range(activation, DType::u8, {.scale = scale, .zero_point = 255});
      EXPECT_LE(range.min, range.max);
      EXPECT_GE(range.min, 0);
      EXPECT_LE(range.max, 255);
    }
  }
}

TEST(RoundTest, SaturatesAndHandlesNan) {
  EXPECT_EQ(round_to_i32(2.5), 3);
  EXPECT_EQ(round_to_i32(-2.5), -3);
  EXPECT_EQ(round_to_i32(1e20), std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(round_to_i32(-1e20), std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(round_to_i32(std::nan("")), 0);
}

}  // namespace
}  // namespace wayside::accel::cpu
