// SPDX-License-Identifier: Apache-2.0
// Pictures and their truth: the same bytes everywhere, boxes around what was really drawn, honest visibility.
#include "drivers/camera/synthetic/scene.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <new>
#include <set>

namespace {
// Counts the allocations of a thread while `counting` is set.
thread_local bool counting = false;
thread_local std::size_t allocations = 0;
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  if (counting) ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (counting) ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace wayside::drivers::synthetic {
namespace {

/// FNV-1a, 64 bit (Fowler, Noll, Vo).
std::uint64_t hash(const std::vector<std::uint8_t>& bytes) {
  std::uint64_t value = 0xCBF29CE484222325ULL;
  for (const std::uint8_t byte : bytes) value = (value ^ byte) * 0x100000001B3ULL;
  return value;
}

struct Shot {
  std::vector<std::uint8_t> nv12;
  std::vector<TruthBox> truth;
};

Shot shoot(Scene& scene, const SceneOptions& options, std::uint64_t number) {
  Shot shot;
  const auto luma = static_cast<std::size_t>(options.width_px * options.height_px);
  shot.nv12.resize(luma * 3 / 2);
  scene.render(number, {shot.nv12.data(), shot.nv12.data() + luma}, shot.truth);
  return shot;
}

TEST(Scene, SameBytesOnEveryMachine) {
  // Golden values of x86-64, GCC 14. When the look of the street is changed on purpose, put the printed values here.
  const std::map<std::uint64_t, std::uint64_t> golden = {
      {1, 0x3ad944510a84f992}, {2, 0xa0f2a5f957a31158}, {3, 0x0d5edb9ba23c9360}};
  for (const auto& [seed, expected] : golden) {
    const SceneOptions options{.seed = seed, .width_px = 320, .height_px = 180};
    Scene scene(options);
    EXPECT_EQ(hash(shoot(scene, options, 1234).nv12), expected)
        << std::hex << "seed " << seed << " gives 0x" << hash(shoot(scene, options, 1234).nv12);
  }
}

TEST(Scene, AFrameDoesNotDependOnTheFramesBefore) {
  const SceneOptions options{.seed = 5, .width_px = 320, .height_px = 180};
  Scene one(options), two(options);
  for (const std::uint64_t number : {0U, 1U, 7U, 300U}) shoot(one, options, number);
  const Shot a = shoot(one, options, 50), b = shoot(two, options, 50);
  EXPECT_EQ(a.nv12, b.nv12);
  EXPECT_EQ(a.truth.size(), b.truth.size());
}

TEST(Scene, SeedsGiveDifferentStreets) {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const SceneOptions options{.seed = seed, .width_px = 160, .height_px = 120};
    Scene scene(options);
    hashes.insert(hash(shoot(scene, options, 0).nv12));
  }
  EXPECT_EQ(hashes.size(), 12U);
}

TEST(Scene, BoxesEncloseWhatWasDrawnTightly) {
  int checked = 0;
  std::set<int> classes;
  for (std::uint64_t seed = 1; seed < 40 && (checked < 60 || classes.size() < 4); ++seed) {
    const SceneOptions options{.seed = seed, .width_px = 640, .height_px = 360};
    const Light light = make_street(seed, Variety::live, 640, 360).light;
    if (light.night || light.lamps) continue;  // the glow of lamps is no part of a vehicle
    Scene scene(options);
    const Shot shot = shoot(scene, options, 77);
    scene.render_alone(77, 0);
    const std::vector<std::uint32_t> empty = scene.canvas().pixels;
    for (const TruthBox& box : shot.truth) {
      const TruthBox alone = scene.render_alone(77, box.object_id);
      if (box.class_id == 4 || alone.class_id == 255) continue;  // plates and parked vehicles
      EXPECT_EQ(alone.x0_px, box.x0_px);
      EXPECT_EQ(alone.y1_px, box.y1_px);
      int x0 = 10000, y0 = 10000, x1 = -1, y1 = -1;
      for (int y = 0; y < 360; ++y) {
        for (int x = 0; x < 640; ++x) {
          if (scene.canvas().pixels[static_cast<std::size_t>(y * 640 + x)] ==
              empty[static_cast<std::size_t>(y * 640 + x)])
            continue;
          x0 = std::min(x0, x), x1 = std::max(x1, x + 1);
          y0 = std::min(y0, y), y1 = std::max(y1, y + 1);
        }
      }
      if (x1 < 0) continue;  // wholly behind something that stands still
      // Pixels covered by less than half are blended but not claimed: one pixel of tolerance outwards.
      EXPECT_GE(static_cast<float>(x0), box.x0_px - 1) << "seed " << seed << " id " << box.object_id;
      EXPECT_GE(static_cast<float>(y0), box.y0_px - 1);
      EXPECT_LE(static_cast<float>(x1), box.x1_px + 1);
      EXPECT_LE(static_cast<float>(y1), box.y1_px + 1);
      if (box.visible_fraction > 0.999F) {  // nothing hides it: tight, but for colours that equal the background
        EXPECT_LE(static_cast<float>(x0), box.x0_px + 3);
        EXPECT_GE(static_cast<float>(x1), box.x1_px - 3);
        EXPECT_LE(static_cast<float>(y0), box.y0_px + 3);
        EXPECT_GE(static_cast<float>(y1), box.y1_px - 4);
      }
      classes.insert(box.class_id);
      ++checked;
    }
  }
  EXPECT_GE(checked, 60);
  EXPECT_EQ(classes.size(), 4U);
}

TEST(Scene, TruthIsClippedAndVisibilityIsAFraction) {
  int hidden = 0, whole = 0, plates = 0;
  for (std::uint64_t seed = 1; seed < 12; ++seed) {
    const SceneOptions options{.seed = seed, .width_px = 640, .height_px = 360};
    Scene scene(options);
    const Shot shot = shoot(scene, options, 200);
    std::size_t plates_here = 0;
    for (const TruthBox& box : shot.truth) {
      EXPECT_LT(box.class_id, std::size(kTruthClasses));
      EXPECT_GE(box.x0_px, 0);
      EXPECT_GE(box.y0_px, 0);
      EXPECT_LE(box.x1_px, 640);
      EXPECT_LE(box.y1_px, 360);
      EXPECT_LT(box.x0_px, box.x1_px);
      EXPECT_LT(box.y0_px, box.y1_px);
      EXPECT_GE(box.visible_fraction, 0);
      EXPECT_LE(box.visible_fraction, 1);
      hidden += box.visible_fraction < 0.5F;
      whole += box.visible_fraction > 0.99F;
      if (box.class_id != 4) continue;
      // The plate lies inside the box of its vehicle.
      const auto vehicle = std::ranges::find_if(
          shot.truth, [&](const TruthBox& v) { return v.object_id == (box.object_id & 0x7FFFFFFFU); });
      ASSERT_NE(vehicle, shot.truth.end());
      EXPECT_GE(box.x0_px, vehicle->x0_px - 1);
      EXPECT_LE(box.x1_px, vehicle->x1_px + 1);
      ASSERT_LT(plates_here, scene.plates().size());
      EXPECT_EQ(scene.plates()[plates_here++].vehicle_id, vehicle->object_id);
    }
    EXPECT_EQ(plates_here, scene.plates().size());
    plates += static_cast<int>(plates_here);
  }
  EXPECT_GT(hidden, 5);
  EXPECT_GT(whole, 20);
  EXPECT_GT(plates, 10);
}

TEST(Scene, RenderingAllocatesNothing) {
  const SceneOptions options{.seed = 3, .width_px = 640, .height_px = 360};
  Scene scene(options);
  Shot shot = shoot(scene, options, 0);
  shot.truth.reserve(Scene::kMaxTruth);
  allocations = 0;
  counting = true;
  for (std::uint64_t number = 1; number < 40; ++number)
    scene.render(number * 31, {shot.nv12.data(), shot.nv12.data() + 640 * 360}, shot.truth);
  counting = false;
  EXPECT_EQ(allocations, 0U);
}

}  // namespace
}  // namespace wayside::drivers::synthetic
