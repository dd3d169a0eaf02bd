// SPDX-License-Identifier: Apache-2.0
// Every fast convolution against the plain definition, bit by bit: all tails, strides, paddings, dilations, zero
// points.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <format>

#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/thread_pool.h"
#include "tests/accel/kernels/conv_cases.h"

namespace wayside::accel::cpu {

/// GoogleTest would print the bytes.
static void PrintTo(const ConvEntry& entry, std::ostream* out) { *out << to_string(entry.level) << ' ' << entry.name; }

namespace {

/// WAYSIDE_TEST_SEED repeats a failure.
unsigned seed() {
  static const unsigned value = [] {
    const char* text = std::getenv("WAYSIDE_TEST_SEED");
    const unsigned chosen = text != nullptr ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : 20261121U;
    std::printf("WAYSIDE_TEST_SEED=%u\n", chosen);
    return chosen;
  }();
  return value;
}

std::string describe(const ConvSpec& s) {
  return std::format(
      "batch={} in={}x{}x{} out={}x{}x{} kernel={}x{} stride={}x{} dilation={}x{} pad={},{} depthwise={} unsigned={} "
      "in_zero={} weight_zero={} out_zero={} clamp={}..{}",
      s.batch, s.in_h, s.in_w, s.in_c, s.out_h, s.out_w, s.out_c, s.kernel_h, s.kernel_w, s.stride_h, s.stride_w,
      s.dilation_h, s.dilation_w, s.pad_top, s.pad_left, s.depthwise, s.is_unsigned, s.in_zero, s.weight_zero,
      s.requant.zero_point, s.requant.clamp_min, s.requant.clamp_max);
}

class Random {
 public:
  explicit Random(unsigned salt) : engine_(seed() + salt) {}
  std::int32_t operator()(std::int32_t low, std::int32_t high) {
    return std::uniform_int_distribution<std::int32_t>(low, high)(engine_);
  }
  bool flip() { return (*this)(0, 1) == 1; }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

/// Output size so that each window starts inside the padded picture, as SAME and VALID padding do.
void set_out_size(ConvSpec& s, Random& random) {
  const auto axis = [&](std::int32_t in, std::int32_t kernel, std::int32_t stride, std::int32_t dilation,
                        std::int32_t& pad, std::int32_t& out) {
    const std::int32_t span = ((kernel - 1) * dilation) + 1;
    if (random.flip() && in >= span) {
      pad = 0;
      out = ((in - span) / stride) + 1;
    } else {
      out = (in + stride - 1) / stride;
      pad = std::max(0, ((out - 1) * stride) + span - in) / 2;
    }
  };
  axis(s.in_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, s.out_h);
  axis(s.in_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, s.out_w);
}

CaseOptions random_options(Random& random) {
  CaseOptions options;
  options.per_channel = random.flip();
  options.rectified = random.flip();
  options.has_bias = random(0, 4) != 0;
  options.has_table = random(0, 3) == 0;
  options.centred_weight_zero = random.flip();
  const std::int32_t kind = random(0, 9);
  options.requant = kind == 0   ? RequantKind::powers_of_two
                    : kind == 1 ? RequantKind::large_scale
                                : RequantKind::plausible;
  return options;
}

class ConvTest : public ::testing::TestWithParam<ConvEntry> {
 protected:
  void SetUp() override {
    if (!level_supported(GetParam().level)) GTEST_SKIP() << "this processor lacks " << to_string(GetParam().level);
  }
  /// True when the entry covers the spec.
  bool check(const ConvSpec& shape, const CaseOptions& options, Random& random) {
    const ConvCase one = make_case(shape, options, random.engine());
    const auto kernel = GetParam().make(one.spec);
    if (kernel == nullptr) return false;
    const auto wanted = run_case(*make_reference_conv(one.spec), one, single_);
    for (ThreadPool* pool : {&single_, &pair_}) {
      const auto got = run_case(*kernel, one, *pool);
      const auto wrong = std::ranges::mismatch(got, wanted);
      EXPECT_TRUE(wrong.in1 == got.end())
          << "byte " << wrong.in1 - got.begin() << " is " << int{*wrong.in1} << ", not " << int{*wrong.in2} << "; "
          << describe(one.spec) << " threads=" << pool->thread_count() << " WAYSIDE_TEST_SEED=" << seed();
      if (HasFailure()) break;
    }
    return true;
  }
  ThreadPool single_{1};
  ThreadPool pair_{2};
};

TEST_P(ConvTest, PointwiseAllTails) {
  Random random(1);
  for (std::int32_t channels = 1; channels <= 35 && !HasFailure(); ++channels) {
    for (const std::int32_t pixels : {1, 2, 5, 6, 7, 13, 25}) {
      ConvSpec s{.in_h = 1, .in_w = pixels, .in_c = channels, .out_h = 1, .out_w = pixels, .out_c = 36 - channels};
      s.is_unsigned = random.flip();
      check(s, random_options(random), random);
    }
  }
}

/// First layers: their columns are made in groups, with a rest.
TEST_P(ConvTest, ThreeChannelsAllWidths) {
  Random random(7);
  for (std::int32_t width = 1; width <= 40 && !HasFailure(); ++width) {
    ConvSpec s{.in_h = 5, .in_w = width, .in_c = 3, .out_h = 3, .out_w = (width + 1) / 2, .out_c = 8};
    s.kernel_h = s.kernel_w = 3;
    s.stride_h = s.stride_w = 2;
    s.pad_top = 1;
    s.pad_left = random(0, 1);
    s.is_unsigned = random.flip();
    check(s, random_options(random), random);
  }
}

TEST_P(ConvTest, RandomConvolutions) {
  Random random(2);
  for (int round = 0; round < 400 && !HasFailure(); ++round) {
    ConvSpec s;
    s.batch = random(1, 2);
    s.in_h = random(1, 11);
    s.in_w = random(1, 13);
    s.in_c = random.flip() ? random(1, 5) : random(1, 40);
    s.out_c = random(1, 50);
    s.kernel_h = random(1, 5);
    s.kernel_w = random(1, 5);
    s.stride_h = random(1, 3);
    s.stride_w = random(1, 3);
    s.dilation_h = random(0, 3) == 0 ? random(1, 3) : 1;
    s.dilation_w = random(0, 3) == 0 ? random(1, 3) : 1;
    s.is_unsigned = random.flip();
    set_out_size(s, random);
    check(s, random_options(random), random);
  }
}

TEST_P(ConvTest, RandomDepthwise) {
  Random random(3);
  for (int round = 0; round < 500 && !HasFailure(); ++round) {
    ConvSpec s;
    s.depthwise = true;
    s.batch = random(1, 2);
    s.in_h = random(1, 11);
    s.in_w = random(1, 13);
    s.in_c = random(1, 70);
    s.out_c = s.in_c * (random(0, 3) == 0 ? random(2, 4) : 1);
    s.kernel_h = random.flip() ? 3 : random(1, 7);
    s.kernel_w = random.flip() ? s.kernel_h : random(1, 7);
    s.stride_h = random(1, 3);
    s.stride_w = random(0, 4) == 0 ? random(1, 3) : s.stride_h;
    s.dilation_h = random(0, 3) == 0 ? random(1, 3) : 1;
    s.dilation_w = random(0, 3) == 0 ? random(1, 3) : 1;
    s.is_unsigned = random.flip();
    set_out_size(s, random);
    check(s, random_options(random), random);
  }
}

TEST_P(ConvTest, FullyConnectedFewRows) {
  Random random(4);
  for (int round = 0; round < 60 && !HasFailure(); ++round) {
    ConvSpec s{.in_c = random(1, 700)};
    s.out_c = random(1, 150);
    s.in_h = s.out_h = random(1, 9);
    s.is_unsigned = random.flip();
    check(s, random_options(random), random);
  }
}

TEST_P(ConvTest, MoreThanOneBlock) {
  Random random(5);
  for (int round = 0; round < 12 && !HasFailure(); ++round) {
    ConvSpec s{.in_h = 37, .in_w = 41, .in_c = random(3, 24)};
    s.out_c = random(8, 40);
    s.kernel_h = s.kernel_w = random(0, 1) * 2 + 1;
    s.stride_h = s.stride_w = random(1, 2);
    s.is_unsigned = random.flip();
    set_out_size(s, random);
    check(s, random_options(random), random);
  }
}

/// More weights than a second-level cache holds, rows a multiple of 4096 bytes long, windows of several pictures in one
/// block.
TEST_P(ConvTest, ManyWeights) {
  Random random(8);
  check({.in_h = 5, .in_w = 6, .in_c = 2048, .out_h = 5, .out_w = 6, .out_c = 264}, random_options(random), random);
  ConvSpec s{.batch = 3, .in_h = 4, .in_w = 4, .in_c = 192, .out_h = 2, .out_w = 2, .out_c = 312};
  s.kernel_h = s.kernel_w = 3;
  s.stride_h = s.stride_w = 2;
  s.pad_top = s.pad_left = 1;
  check(s, random_options(random), random);
}

/// Sums at the largest magnitudes that int32 and the proofs of the fast forms allow.
TEST_P(ConvTest, ExtremeValues) {
  Random random(6);
  for (const bool is_unsigned : {false, true}) {
    for (const std::int32_t channels : {64, 4096, 20000}) {
      ConvSpec s{.in_w = 3, .in_c = channels, .out_w = 3, .out_c = 17};
      s.is_unsigned = is_unsigned;
      ConvCase one = make_case(s, {}, random.engine());
      one.spec.in_zero = is_unsigned ? 255 : 127;
      one.spec.weight_zero = 0;
      std::ranges::fill(one.input, static_cast<std::uint8_t>(is_unsigned ? 0 : 0x80));
      std::ranges::fill(one.weights, static_cast<std::uint8_t>(is_unsigned ? 255 : 0x80));
      const auto kernel = GetParam().make(one.spec);
      if (kernel == nullptr) continue;
      EXPECT_EQ(run_case(*kernel, one, single_), run_case(*make_reference_conv(one.spec), one, single_));
    }
  }
}

/// The largest sums of products that 16 bits hold: weights of -128 beside weights of -127, but never beside each other.
TEST_P(ConvTest, LeastWeightsApart) {
  Random random(8);
  for (const std::int32_t channels : {8, 12, 16, 20, 64}) {
    for (const int parity : {0, 1, 2}) {  // 2: -128 throughout
      ConvSpec s{.in_w = 5, .in_c = channels, .out_w = 5, .out_c = 33};
      ConvCase one = make_case(s, {}, random.engine());
      std::ranges::fill(one.input, std::uint8_t{0x80});
      for (std::size_t i = 0; i < one.weights.size(); ++i) {
        const auto half = static_cast<int>(i % static_cast<std::size_t>(channels) / 4 % 2);
        one.weights[i] = parity == 2 || half == parity ? 0x80 : 0x81;
      }
      const auto kernel = GetParam().make(one.spec);
      if (GetParam().name == "gemm_bytes") {
        EXPECT_EQ(kernel != nullptr, parity != 2) << channels;
      }
      if (kernel == nullptr) continue;
      EXPECT_EQ(run_case(*kernel, one, single_), run_case(*make_reference_conv(one.spec), one, single_)) << channels;
    }
  }
}

std::vector<ConvEntry> fast_entries() {
  std::vector<ConvEntry> entries;
  std::ranges::copy_if(conv_entries(), std::back_inserter(entries),
                       [](const ConvEntry& entry) { return entry.level != Level::reference; });
  return entries;
}

INSTANTIATE_TEST_SUITE_P(All, ConvTest, ::testing::ValuesIn(fast_entries()), [](const auto& entry) {
  return std::format("{}_{}", to_string(entry.param.level), entry.param.name);
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConvTest);

/// The fast entries must cover the usual shapes: a silent fall to the reference would only show as slowness.
TEST(ConvList, FastKernelsCoverUsualLayers) {
  Random random(7);
  for (const auto& entry : fast_entries()) {
    if (!level_supported(entry.level)) continue;
    ConvSpec s{.in_h = 8, .in_w = 8, .in_c = 16, .out_h = 8, .out_w = 8, .out_c = 16, .kernel_h = 3, .kernel_w = 3};
    s.pad_top = s.pad_left = 1;
    s.depthwise = entry.name.contains("depthwise");
    for (const bool is_unsigned : {false, true}) {
      s.is_unsigned = is_unsigned;
      const ConvCase one = make_case(s, {.centred_weight_zero = true}, random.engine());
      EXPECT_NE(entry.make(one.spec), nullptr) << to_string(entry.level) << ' ' << entry.name;
    }
  }
}

TEST(Levels, NamesRoundTrip) {
  for (const auto& entry : conv_entries()) EXPECT_EQ(parse_level(to_string(entry.level)), entry.level);
  EXPECT_FALSE(parse_level("sse9").has_value());
  EXPECT_TRUE(level_supported(Level::reference));
  EXPECT_TRUE(level_supported(best_level()));
}

}  // namespace
}  // namespace wayside::accel::cpu
