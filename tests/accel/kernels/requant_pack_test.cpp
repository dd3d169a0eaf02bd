// SPDX-License-Identifier: Apache-2.0
// The closed forms of requantisation against gemmlowp's two roundings, at each step of the output and around it.
#include "accel/cpu/kernels/requant_pack.h"

#include <gtest/gtest.h>

#include <array>
#include <cfenv>
#include <cmath>
#include <random>

#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/kernels/requant.h"

namespace wayside::accel::cpu {
namespace {

constexpr unsigned kSeed = 20261121;

std::int32_t exact(std::int32_t sum, const Requant& requant, const OutputStage& stage) {
  const std::int32_t scaled = multiply_by_quantized_multiplier(sum, requant.multiplier[0], requant.shift[0]);
  return std::clamp<std::int32_t>(scaled + stage.zero_point, stage.clamp_min, stage.clamp_max);
}

/// The precise forms are all rounded down, as the kernels do.
std::int32_t precise_value(float x, const RequantBlock& block, bool is_signed) {
  const volatile float offset = is_signed ? std::copysign(block.offset[0], x) : block.offset[0];
  std::fesetround(FE_DOWNWARD);
  const volatile float low = std::fma(x, block.scale_low[0], offset);
  const volatile float value = std::fma(x, block.scale[0], low);
  std::fesetround(FE_TONEAREST);
  const auto whole = static_cast<std::int32_t>(std::floor(value));
  return is_signed ? (whole + 1) >> 1 : whole;
}

std::int32_t in_float(std::int32_t sum, const RequantBlock& block, const OutputStage& stage, RequantMode mode) {
  const auto x = static_cast<float>(sum);
  const bool is_signed = stage.clamp_min != stage.zero_point;
  const auto clamped = [&](std::int32_t q) { return std::clamp<std::int32_t>(q, stage.clamp_min, stage.clamp_max); };
  if (is_precise(mode)) return clamped(precise_value(x, block, is_signed) + stage.zero_point);
  float value = std::fma(x, block.scale[0], is_signed ? std::copysign(block.offset[0], x) : block.offset[0]);
  if (is_signed) value = std::nearbyint(value) + static_cast<float>(stage.zero_point);
  return clamped(static_cast<std::int32_t>(std::nearbyint(value)));
}

std::vector<const Isa*> supported_isas() {
  std::vector<const Isa*> isas;
#if defined(__x86_64__)
  if (level_supported(Level::avx2)) isas.push_back(&avx2_isa());
  if (level_supported(Level::avx_vnni)) isas.push_back(&avx_vnni_isa());
#if defined(WAYSIDE_STAND_INS)
  if (level_supported(Level::avx256_vnni)) isas.push_back(&avx256_vnni_isa());
#endif
  if (level_supported(Level::avx512_vnni)) isas.push_back(&avx512_vnni_isa());
#endif
  return isas;
}

/// A scale as TFLite writes it, and a stage with a random zero point.
struct RandomChannel {
  double scale = 0;
  Requant requant;
  OutputStage stage;

  RandomChannel(std::mt19937& random, double least_power, bool rectified) {
    scale = std::exp2(std::uniform_real_distribution<>(least_power, -1)(random));
    int exponent = 0;
    const double fraction = std::frexp(scale, &exponent);
    requant.multiplier = {static_cast<std::int32_t>(std::min(std::llround(fraction * 2147483648.0), 2147483647LL))};
    requant.shift = {exponent};
    stage.mode = rectified ? RequantMode::rectified : RequantMode::symmetric;
    stage.zero_point = static_cast<std::int16_t>(std::uniform_int_distribution<>(-128, 60)(random));
    if (rectified) stage.clamp_min = static_cast<std::int8_t>(stage.zero_point);
  }
};

constexpr std::int32_t kBound = 1 << 22;

void expect_equal_at_steps(const RandomChannel& channel, const RequantBlock& block, RequantMode mode) {
  const auto& [scale, requant, stage] = channel;
  for (std::int32_t n = 0; n <= 256; ++n) {
    const auto centre = static_cast<std::int32_t>(std::min((n - 0.5) / scale, double{kBound - 4}));
    for (std::int32_t sum = centre - 4; sum <= centre + 4; ++sum) {
      for (const std::int32_t x : {-sum, sum}) {
        ASSERT_EQ(in_float(x, block, stage, mode), exact(x, requant, stage))
            << "sum " << x << " multiplier " << requant.multiplier[0] << " shift " << requant.shift[0] << " mode "
            << static_cast<int>(mode) << " seed " << kSeed;
      }
    }
  }
  for (const std::int32_t sum : {-kBound, -1000, -1, 0, 1, kBound}) {
    ASSERT_EQ(in_float(sum, block, stage, mode), exact(sum, requant, stage)) << sum;
  }
}

TEST(FloatRequant, ProvenChannelsEqualTheReferenceAtEachStep) {
  constexpr int kRounds = 400;
  for (const Isa* isa : supported_isas()) {
    std::mt19937 random(kSeed);
    std::array<int, 2> proven{};  // single, precise
    for (int round = 0; round < kRounds; ++round) {
      // Sums of thousands of products have scales down to 2^-14.
      const RandomChannel channel(random, -14, round % 2 == 0);
      const auto modes = float_modes(channel.stage);
      ASSERT_EQ(modes.size(), proven.size());
      for (std::size_t i = 0; i < modes.size(); ++i) {
        RequantBlock block{};
        if (!set_float_lane(block, 0, channel.requant, channel.stage, {0, kBound}, modes[i], *isa)) continue;
        ++proven[i];
        ASSERT_NO_FATAL_FAILURE(expect_equal_at_steps(channel, block, modes[i]));
      }
    }
    EXPECT_GT(proven[0], kRounds / 2) << to_string(isa->level);
    EXPECT_GT(proven[1], kRounds - 5) << to_string(isa->level) << ": nearly every scale has a precise form";
  }
}

/// A multiplier with many factors of two makes a layer without a rectifying clamp general: ties cannot be ruled out.
/// Such a layer has the precise form alone, whose proof looks at the steps themselves.
TEST(FloatRequant, PreciseFormsHoldWhereTiesAreNotRuledOut) {
  for (const Isa* isa : supported_isas()) {
    std::mt19937 random(kSeed);
    constexpr int kRounds = 60;
    int proven = 0;
    for (int round = 0; round < kRounds; ++round) {
      RandomChannel channel(random, -10, false);
      channel.requant.multiplier[0] = ((1 << 18) + std::uniform_int_distribution<>(0, (1 << 18) - 1)(random)) << 12;
      channel.scale = std::ldexp(channel.requant.multiplier[0], channel.requant.shift[0] - 31);
      channel.stage.mode = RequantMode::general;
      const auto modes = float_modes(channel.stage);
      ASSERT_EQ(modes.size(), 1U);
      RequantBlock block{};
      if (!set_float_lane(block, 0, channel.requant, channel.stage, {0, kBound}, modes[0], *isa)) continue;
      ++proven;
      ASSERT_NO_FATAL_FAILURE(expect_equal_at_steps(channel, block, modes[0]));
    }
    EXPECT_GT(proven, kRounds - 5) << to_string(isa->level);
  }
}

/// A channel whose sums never reach the first step is constant, whatever its scale.
TEST(FloatRequant, DeadChannelIsConstant) {
  for (const Isa* isa : supported_isas()) {
    for (const RequantMode layer : {RequantMode::rectified, RequantMode::symmetric}) {
      const Requant requant{.multiplier = {0x40000001}, .shift = {-28}};
      OutputStage stage{.mode = layer, .zero_point = -100};
      if (layer == RequantMode::rectified) stage.clamp_min = -100;
      constexpr std::int32_t kLarge = 2'000'000'000, kSmall = 260'000'000;
      ASSERT_EQ(exact(kLarge, requant, stage), -96);
      for (const RequantMode mode : float_modes(stage)) {
        RequantBlock block{};
        EXPECT_FALSE(set_float_lane(block, 0, requant, stage, {0, kLarge}, mode, *isa)) << to_string(isa->level);
        ASSERT_TRUE(set_float_lane(block, 0, requant, stage, {0, kSmall}, mode, *isa)) << to_string(isa->level);
        for (const std::int32_t sum : {-kSmall, -1, 0, 1, kSmall}) {
          EXPECT_EQ(in_float(sum, block, stage, mode), exact(sum, requant, stage)) << sum;
        }
      }
    }
  }
}

TEST(FloatRequant, RefusesAWrongScale) {
  for (const Isa* isa : supported_isas()) {
    FloatProof proof{.step = 100.25, .start = -50.6, .last_step = 255, .zero_point = -128};
    proof.scale = static_cast<float>(1 / proof.step);
    proof.offset = static_cast<float>(-128.5 - (proof.start / proof.step));
    EXPECT_TRUE(isa->float_is_exact(proof)) << to_string(isa->level);
    proof.scale *= 1.0001F;
    EXPECT_FALSE(isa->float_is_exact(proof)) << to_string(isa->level);
  }
}

TEST(ChooseStage, TakesTheCheapestExactForm) {
  ConvSpec spec{.out_c = 1};
  const auto mode_of = [&](std::int32_t multiplier, std::int32_t shift, std::int32_t clamp_min, std::int64_t bound) {
    spec.requant = {.multiplier = {multiplier}, .shift = {shift}, .zero_point = -10, .clamp_min = clamp_min};
    const auto stage = choose_stage(spec, std::array{bound});
    return stage ? std::optional(stage->mode) : std::nullopt;
  };
  constexpr std::int32_t kOdd = 0x40000001;
  EXPECT_EQ(mode_of(kOdd, -5, -10, 1 << 20), RequantMode::rectified);
  EXPECT_EQ(mode_of(kOdd, -5, -128, 1 << 20), RequantMode::symmetric);
  EXPECT_EQ(mode_of(1 << 30, -5, -128, 1 << 20), RequantMode::general);  // ties are possible
  EXPECT_EQ(mode_of(kOdd, 0, -10, 1 << 20), RequantMode::general);
  EXPECT_EQ(mode_of(kOdd, 3, -128, 1 << 20), RequantMode::general);
  EXPECT_EQ(mode_of(kOdd, 12, -128, 1 << 20), std::nullopt);  // 2^20 * 2^12 is beyond int32
  EXPECT_EQ(mode_of(kOdd, -5, -10, std::int64_t{1} << 30), RequantMode::rectified);
  EXPECT_EQ(mode_of(kOdd, -31, -10, (std::int64_t{1} << 31) - 1), RequantMode::rectified);
  EXPECT_EQ(mode_of(kOdd, -5, -10, std::int64_t{1} << 31), std::nullopt);
  EXPECT_EQ(mode_of(kOdd, -5, -128, std::int64_t{1} << 30), RequantMode::general);
}

}  // namespace
}  // namespace wayside::accel::cpu
