// SPDX-License-Identifier: Apache-2.0
// The operator table with and without times.
#include "accel/cpu/model_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/accel/model_builder.h"

namespace wayside::accel::cpu {
namespace {

using ::testing::HasSubstr;

TEST(ModelSummaryTest, ListsOperatorsWithShapesAndTimes) {
  const auto bytes = testing::small_model().build();
  auto session = CpuSession::create(bytes, {}, Level::reference);
  ASSERT_TRUE(session) << session.error().message;
  const std::string plain = summarize(**session);
  EXPECT_THAT(plain, HasSubstr("CONV_2D"));
  EXPECT_THAT(plain, HasSubstr("[1,4,4,2]"));
  EXPECT_THAT(plain, HasSubstr("(no work)"));
  EXPECT_EQ(std::ranges::count(plain, '\n'), 7);
  EXPECT_THAT(plain, Not(HasSubstr("GMAC/s")));

  OperatorProfile profile(**session);
  (*session)->set_profiler(&profile);
  ASSERT_TRUE((*session)->run());
  (*session)->set_profiler(nullptr);
  EXPECT_GT(profile.mean(0).count(), 0);
  EXPECT_EQ(profile.mean(2).count(), 0);  // RESHAPE does not run
  EXPECT_THAT(summarize(**session, &profile), HasSubstr("GMAC/s"));
}

}  // namespace
}  // namespace wayside::accel::cpu
