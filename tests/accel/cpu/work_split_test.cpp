// SPDX-License-Identifier: Apache-2.0
// The decision to use threads: never for small work, always for large, less eagerly where threads sleep.
#include "accel/cpu/work_split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayside::accel::cpu {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr std::chrono::microseconds kAwake{50}, kAsleep{0};

TEST(WorkSplit, OneThreadSplitsNothing) {
  const StepWork large{.mac_count = 1'000'000'000};
  EXPECT_THAT(worth_threads(std::vector{large}, {Level::avx_vnni, 1, kAwake}), ElementsAre(false));
}

TEST(WorkSplit, SmallStepsOfALargeModelStayOnOneThread) {
  const std::vector<StepWork> steps{{.mac_count = 10'000'000}, {.moved_bytes = 1'000}, {.moved_bytes = 1'000'000}};
  EXPECT_THAT(worth_threads(steps, {Level::avx_vnni, 2, kAwake}), ElementsAre(true, false, true));
}

/// vww_96 has 7.5 MMAC in about 30 layers and takes less than 100 us: waking a thread costs what it would save.
TEST(WorkSplit, ATinyModelStaysOnOneThread) {
  const std::vector<StepWork> steps(30, {.mac_count = 250'000, .moved_bytes = 20'000});
  EXPECT_THAT(worth_threads(steps, {Level::avx512_vnni, 2, kAwake}), Each(false));
  EXPECT_THAT(worth_threads(steps, {Level::neon, 4, kAwake}), Each(true));  // 40 us a layer there
}

TEST(WorkSplit, SleepingThreadsNeedLargerSteps) {
  const std::vector<StepWork> steps(30, {.mac_count = 4'000'000});
  EXPECT_THAT(worth_threads(steps, {Level::avx_vnni, 2, kAwake}), Each(true));
  EXPECT_THAT(worth_threads(steps, {Level::avx_vnni, 2, kAsleep}), Each(false));
}

}  // namespace
}  // namespace wayside::accel::cpu
