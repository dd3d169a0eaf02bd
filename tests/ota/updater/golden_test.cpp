// SPDX-License-Identifier: Apache-2.0
// The judges: within tolerance passes, a step more does not; NaN never passes.
#include "ota/updater/golden.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/ota/updater/sim_device.h"

namespace wayside::ota {
namespace {

TEST(GoldenTest, differences_are_counted_in_steps) {
  GoldenVerdict verdict;
  ASSERT_TRUE(compare(sim_bytes("\x01\x7f\x80"), sim_bytes("\x02\x7f\x7f"), ElementType::int8, verdict));
  EXPECT_EQ(verdict.max_abs, 255) << "-128 and 127";
  verdict = {};
  ASSERT_TRUE(compare(sim_bytes("\x01\x7f\x80"), sim_bytes("\x02\x7f\x7f"), ElementType::uint8, verdict));
  EXPECT_EQ(verdict.max_abs, 1);
  EXPECT_NEAR(verdict.mean_abs(), 2.0 / 3, 1e-9);
  EXPECT_EQ(judge(verdict, {.max_abs = 1, .mean_abs_milli = 667}), "");
  EXPECT_NE(judge(verdict, {.max_abs = 0, .mean_abs_milli = 667}), "");
  EXPECT_NE(judge(verdict, {.max_abs = 1, .mean_abs_milli = 600}), "");
  EXPECT_NE(judge(GoldenVerdict{}, {.max_abs = 1}), "") << "nothing compared is not a pass";
  EXPECT_FALSE(compare(sim_bytes("ab"), sim_bytes("a"), ElementType::int8, verdict));
}

TEST(GoldenTest, nan_is_infinitely_wrong) {
  const float one = 1.0F;
  const float nan = std::nanf("");
  std::vector<std::byte> expected(4), actual(4);
  std::memcpy(expected.data(), &one, 4);
  std::memcpy(actual.data(), &nan, 4);
  GoldenVerdict verdict;
  ASSERT_TRUE(compare(expected, actual, ElementType::float32, verdict));
  EXPECT_TRUE(std::isinf(verdict.max_abs));
  EXPECT_NE(judge(verdict, {.max_abs = 255, .mean_abs_milli = 255'000}), "");
}

TEST(GoldenTest, the_set_is_run_from_the_store) {
  base::FaultyStorage storage(1);
  auto store = BlobStore::open(storage).value();
  Manifest manifest;
  manifest.golden = {.count = 2,
                     .inputs = store.put(sim_bytes("abcd")).value(),
                     .outputs = store.put(sim_bytes("BD")).value(),
                     .max_abs = 0};
  const Infer good = [](auto in, auto out) -> base::Result<void> {
    out[0] = in[1] ^ std::byte{0x20};
    return {};
  };
  const Infer wrong = [](auto in, auto out) -> base::Result<void> {
    out[0] = in[0];
    return {};
  };
  EXPECT_EQ(run_golden(store, manifest.golden, 2, 1, ElementType::uint8, good).value(), "");
  EXPECT_NE(run_golden(store, manifest.golden, 2, 1, ElementType::uint8, wrong).value(), "");
  EXPECT_EQ(run_golden(store, manifest.golden, 3, 1, ElementType::uint8, good).error().code, base::Code::corrupt);
}

TEST(GoldenTest, limits_name_the_figure) {
  const Limits limits{.p99_us = 33'000};
  EXPECT_EQ(judge(Measured{.p99_us = 33'000, .power_mw = 9}, limits), "");
  EXPECT_EQ(judge(Measured{.p99_us = 41'700}, limits), "p99 41700 us > 33000 us");
}

}  // namespace
}  // namespace wayside::ota
