// SPDX-License-Identifier: Apache-2.0
// Reference counts come from the pinned manifests alone.
#include "ota/store/references.h"

#include <gtest/gtest.h>

#include <string_view>

namespace wayside::ota {
namespace {

Digest named(std::string_view text) { return sha256_of(std::as_bytes(std::span(text))).value(); }

TEST(ReferencesTest, a_blob_that_two_versions_share_counts_twice) {
  const Closure closure = [](const Digest& manifest) -> base::Result<std::vector<Digest>> {
    if (manifest == named("m1")) return std::vector{named("a"), named("shared"), named("shared")};
    return std::vector{manifest, named("b"), named("shared")};
  };
  const std::vector<Digest> pinned{named("m1"), named("m2"), named("m2")};
  const auto counts = count_references(pinned, closure).value();
  EXPECT_EQ(counts.at(named("shared")), 2U);
  EXPECT_EQ(counts.at(named("a")), 1U);
  EXPECT_EQ(counts.at(named("m2")), 1U);
  EXPECT_EQ(live_blobs(pinned, closure).value().size(), 5U);
}

TEST(ReferencesTest, an_unreadable_manifest_stops_the_count) {
  const Closure closure = [](const Digest&) -> base::Result<std::vector<Digest>> {
    return base::fail(base::Code::corrupt, "broken");
  };
  EXPECT_FALSE(live_blobs(std::vector{named("m1")}, closure));
}

}  // namespace
}  // namespace wayside::ota
