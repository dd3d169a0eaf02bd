// SPDX-License-Identifier: Apache-2.0
// Motion: ids are unique and stable, nobody jumps, nothing overflows.
#include "drivers/camera/synthetic/world.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace wayside::drivers::synthetic {
namespace {

TEST(World, IdsAreUniqueAndBodiesMoveSmoothly) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 40U}) {
    const World world(make_street(seed, Variety::live, 640, 360), Variety::live);
    std::map<std::uint32_t, Vec3> before;
    std::vector<Actor> actors;
    actors.reserve(World::kMaxMoving);
    for (int frame = 0; frame < 60; ++frame) {
      world.moving(1000 + frame / 15.0, actors);
      ASSERT_LT(actors.size(), World::kMaxMoving);
      std::set<std::uint32_t> ids;
      std::map<std::uint32_t, Vec3> now;
      for (const Actor& actor : world.still())
        if (actor.kind != Kind::furniture) {
          EXPECT_TRUE(ids.insert(actor.object_id).second);
        }
      for (const Actor& actor : actors) {
        EXPECT_TRUE(ids.insert(actor.object_id).second) << actor.object_id;
        now[actor.object_id] = actor.pose.origin;
        if (const auto old = before.find(actor.object_id); old != before.end()) {
          EXPECT_LT(length(actor.pose.origin - old->second), 1.2F);  // 18 m/s at 15 Hz
        }
      }
      before = now;
    }
  }
}

TEST(World, AnyMomentCanBeAskedDirectly) {
  const World world(make_street(9, Variety::live, 640, 360), Variety::live);
  std::vector<Actor> a, b;
  world.moving(123.4, a);
  world.moving(9999, b);
  world.moving(123.4, b);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].object_id, b[i].object_id);
    EXPECT_EQ(a[i].pose.origin.x, b[i].pose.origin.x);
  }
}

}  // namespace
}  // namespace wayside::drivers::synthetic
