// SPDX-License-Identifier: Apache-2.0
// Version ranges and requirements against probed runtimes.
#include "ota/package/variant.h"

#include <gtest/gtest.h>

namespace wayside::ota {
namespace {

TEST(VariantTest, ranges_hold_where_they_say) {
  const auto range = VersionRange::parse(">=4.20 <4.21").value();
  EXPECT_TRUE(range.holds(RuntimeVersion::parse("4.20.0").value()));
  EXPECT_TRUE(range.holds(RuntimeVersion::parse("4.20.9").value()));
  EXPECT_FALSE(range.holds(RuntimeVersion::parse("4.21").value()));
  EXPECT_FALSE(range.holds(RuntimeVersion::parse("4.3").value())) << "numbers, not texts";
  EXPECT_TRUE(VersionRange::parse("=8.2.1").value().holds(RuntimeVersion::parse("8.2.1.0").value()));
}

TEST(VariantTest, nonsense_is_no_range_and_no_version) {
  for (const auto* bad : {"", "4.20", ">=", ">=4.x", ">=4..2", ">=1 ", ">=1  <2", "~4", ">=1.2.3.4.5", ">=99999999999",
                          ">=1 <2 <3 <4 <5"}) {
    EXPECT_FALSE(VersionRange::parse(bad)) << bad;
  }
  EXPECT_FALSE(RuntimeVersion::parse("4.20."));
  EXPECT_FALSE(RuntimeVersion::parse("-1"));
}

TEST(VariantTest, what_was_not_probed_does_not_fit) {
  const Runtime jetson{.accelerator = "tensorrt", .versions = {{"tensorrt", "8.2.1"}, {"gpu_arch", "sm_53"}}};
  EXPECT_TRUE(fits({{"gpu_arch", "sm_53"}, {"tensorrt", ">=8.2 <8.3"}}, jetson));
  EXPECT_FALSE(fits({{"gpu_arch", "sm_72"}}, jetson));
  EXPECT_FALSE(fits({{"cuda", ">=10.2"}}, jetson));
  EXPECT_TRUE(fits({}, jetson));
}

}  // namespace
}  // namespace wayside::ota
