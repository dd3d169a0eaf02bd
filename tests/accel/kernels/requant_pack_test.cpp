// SPDX-License-Identifier: Apache-2.0
// The closed forms of requantisation against gemmlowp's two roundings, at each step of the output and around it.
#include "accel/cpu/kernels/requant_pack.h"

#include <gtest/gtest.h>

#include <array>
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

std::int32_t in_float(std::int32_t sum, const RequantBlock& block, const OutputStage& stage) {
  const auto x = static_cast<float>(sum);
  const bool is_signed = stage.mode == RequantMode::symmetric;
  float value = std::fma(x, block.scale[0], is_signed ? std::copysign(block.offset[0], x) : block.offset[0]);
  if (is_signed) value = std::nearbyint(value) + static_cast<float>(stage.zero_point);
  return std::clamp<std::int32_t>(static_cast<std::int32_t>(std::nearbyint(value)), stage.clamp_min, stage.clamp_max);
}

std::vector<const Isa*> supported_isas() {
  std::vector<const Isa*> isas;
#if defined(__x86_64__)
  if (level_supported(Level::avx2)) isas.push_back(&avx2_isa());
  if (level_supported(Level::avx_vnni)) isas.push_back(&avx_vnni_isa());
  if (level_supported(Level::avx256_vnni)) isas.push_back(&avx256_vnni_isa());
  if (level_supported(Level::avx512_vnni)) isas.push_back(&avx512_vnni_isa());
#endif
  return isas;
}

TEST(FloatRequant, ProvenChannelsEqualTheReferenceAtEachStep) {
  std::mt19937 random(kSeed);
  for (const Isa* isa : supported_isas()) {
    int proven = 0;
    for (int round = 0; round < 400; ++round) {
      const double scale = std::exp2(std::uniform_real_distribution<>(-10.5, -1)(random));
      int exponent = 0;
      const double fraction = std::frexp(scale, &exponent);
      const auto multiplier = static_cast<std::int32_t>(std::min(std::llround(fraction * 2147483648.0), 2147483647LL));
      const Requant requant{.multiplier = {multiplier}, .shift = {exponent}};
      OutputStage stage{.mode = round % 2 == 0 ? RequantMode::rectified : RequantMode::symmetric};
      stage.zero_point = static_cast<std::int16_t>(std::uniform_int_distribution<>(-128, 60)(random));
      if (stage.mode == RequantMode::rectified) stage.clamp_min = static_cast<std::int8_t>(stage.zero_point);
      RequantBlock block{};
      constexpr std::int32_t kBound = 1 << 22;
      if (!set_float_lane(block, 0, requant, stage, {0, kBound}, *isa)) continue;
      ++proven;
      for (std::int32_t n = 0; n <= 256; ++n) {
        const auto centre = static_cast<std::int32_t>(std::min((n - 0.5) / scale, double{kBound - 4}));
        for (std::int32_t sum = centre - 4; sum <= centre + 4; ++sum) {
          ASSERT_EQ(in_float(-sum, block, stage), exact(-sum, requant, stage))
              << "sum " << -sum << " multiplier " << multiplier << " shift " << exponent << " seed " << kSeed;
          ASSERT_EQ(in_float(sum, block, stage), exact(sum, requant, stage))
              << "sum " << sum << " multiplier " << multiplier << " shift " << exponent << " seed " << kSeed;
        }
      }
      for (const std::int32_t sum : {-kBound, -1000, -1, 0, 1, kBound}) {
        ASSERT_EQ(in_float(sum, block, stage), exact(sum, requant, stage)) << sum;
      }
    }
    EXPECT_GT(proven, 300) << to_string(isa->level) << ": the usual scales must be provable";
  }
}

/// A channel whose sums never reach the first step is constant, whatever its scale.
TEST(FloatRequant, DeadChannelIsConstant) {
  for (const Isa* isa : supported_isas()) {
    for (const RequantMode mode : {RequantMode::rectified, RequantMode::symmetric}) {
      const Requant requant{.multiplier = {0x40000001}, .shift = {-28}};
      OutputStage stage{.mode = mode, .zero_point = -100};
      if (mode == RequantMode::rectified) stage.clamp_min = -100;
      RequantBlock block{};
      constexpr std::int32_t kBound = 2'000'000'000;
      ASSERT_EQ(exact(kBound, requant, stage), -96);
      EXPECT_FALSE(set_float_lane(block, 0, requant, stage, {0, kBound}, *isa)) << to_string(isa->level);
      constexpr std::int32_t kSmall = 260'000'000;
      ASSERT_TRUE(set_float_lane(block, 0, requant, stage, {0, kSmall}, *isa)) << to_string(isa->level);
      for (const std::int32_t sum : {-kSmall, -1, 0, 1, kSmall}) {
        EXPECT_EQ(in_float(sum, block, stage), exact(sum, requant, stage)) << sum;
      }
    }
  }
}

TEST(FloatRequant, RefusesAWrongScale) {
  for (const Isa* isa : supported_isas()) {
    FloatProof proof{.step = 100.25, .start = -50.6, .step_count = 255, .zero_point = -128};
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
