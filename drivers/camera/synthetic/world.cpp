// SPDX-License-Identifier: Apache-2.0
// Fills a street with belts of traffic and walkers, and with what stands about.
#include "drivers/camera/synthetic/world.h"

#include <algorithm>
#include <cmath>

#include "drivers/camera/synthetic/person.h"
#include "drivers/camera/synthetic/truck.h"
#include "drivers/camera/synthetic/two_wheeler.h"

namespace wayside::drivers::synthetic {
namespace {

constexpr float kRoadReach_m = 110;  // vehicles appear and vanish at this distance from the camera along the road
constexpr float kWalkReach_m = 50;
constexpr float kVehicleSpacing_m = 21;  // longest lorry (15 m) and a gap

float radius_of(Kind kind, Furniture furniture) {
  switch (kind) {
    case Kind::person: return 1.3F;
    case Kind::car: return 2.8F;
    case Kind::truck: return 8.0F;
    case Kind::two_wheeler: return 1.5F;
    case Kind::furniture: break;
  }
  return furniture == Furniture::tree || furniture == Furniture::lamp ? 9.0F : 3.0F;
}

Kind vehicle_kind(std::uint64_t seed) {
  Random random(mix(seed, 0x41D));
  const float k = random.unit();
  return k < 0.58F ? Kind::car : k < 0.88F ? Kind::truck : Kind::two_wheeler;
}

/// A look that fits into a parking strip.
std::uint64_t van_seed(Random& random) {
  std::uint64_t seed = random.next();
  for (int attempt = 0; attempt < 12 && make_truck(seed, 0).length_m > 7; ++attempt) seed = random.next();
  return seed;
}

}  // namespace

World::World(const Street& street, Variety variety) : street_(street) {
  Random random(mix(street.seed, 0x0717D));
  still_.reserve(kMaxStill);
  standing_.reserve(16);
  add_belts(random);
  add_still(random, variety);
}

void World::add_belts(Random& random) {
  const Street& s = street_;
  for (const float side : {1.0F, -1.0F}) {  // y < 0 drives towards +x
    for (int lane = 0; lane < s.lanes_each_way; ++lane) {
      Belt belt;
      belt.ahead = {-side, 0};
      belt.start = {side * kRoadReach_m, side * s.lane_m * (static_cast<float>(lane) + 0.5F)};
      belt.length_m = 2 * kRoadReach_m;
      belt.speed_mps = random.range(6, 12);
      belt.slots = static_cast<int>(belt.length_m / kVehicleSpacing_m);
      belt.fill = s.traffic;
      belt.scatter_m = 2.0F;
      belts_.push_back(belt);
    }
    Belt cycles;
    cycles.ahead = {-side, 0};
    cycles.start = {side * kWalkReach_m, side * (s.road_half_m - s.parking_m - 0.35F)};
    cycles.length_m = 2 * kWalkReach_m;
    cycles.speed_mps = random.range(3.5F, 5.5F);
    cycles.slots = 7;
    cycles.fill = s.traffic * 0.75F;
    cycles.traffic = Belt::Traffic::cycles;
    cycles.scatter_m = 0.3F;
    belts_.push_back(cycles);
    for (int stream = 0; stream < 4; ++stream) {
      Belt walkers;
      const float way = stream % 2 == 0 ? 1.0F : -1.0F;
      walkers.ahead = {way, 0};
      const float across = (static_cast<float>(stream) + 0.5F) * 0.25F;
      walkers.start = {-way * kWalkReach_m, side * (s.road_half_m + 0.4F + across * (s.pavement_m - 0.6F))};
      walkers.length_m = 2 * kWalkReach_m;
      walkers.speed_mps = random.range(0.95F, 1.6F);
      walkers.slots = 9;
      walkers.fill = s.crowd * 0.6F;
      walkers.traffic = Belt::Traffic::walkers;
      walkers.scatter_m = 0.35F;
      belts_.push_back(walkers);
    }
  }
  for (const float way : {1.0F, -1.0F}) {
    Belt crossing;
    const float reach = std::min(s.far_wall_y_m, -s.near_wall_y_m) - 0.4F;
    crossing.ahead = {0, way};
    crossing.start = {s.zebra_x_m + way * 0.8F, -way * reach};
    crossing.length_m = 2 * reach;
    crossing.speed_mps = random.range(1.0F, 1.5F);
    crossing.slots = 3;
    crossing.fill = s.crowd * (s.zebra ? 0.75F : 0.35F);
    crossing.traffic = Belt::Traffic::walkers;
    crossing.scatter_m = 0.6F;
    belts_.push_back(crossing);
  }
}

void World::add_still_actor(Kind kind, Furniture furniture, Vec2 at, Vec2 ahead, std::uint64_t seed) {
  auto& list = kind == Kind::person ? standing_ : still_;
  if (list.size() == list.capacity()) return;
  // Nothing stands in the camera's face.
  const Vec2 gap = at - Vec2{0, street_.camera.y_m};
  if (length(gap) < (kind == Kind::furniture ? 4.0F : 3.0F)) return;
  Actor actor;
  actor.kind = kind;
  actor.furniture = furniture;
  actor.still = true;
  actor.pose = {{at.x, at.y, 0}, ahead};
  actor.look_seed = seed;
  actor.object_id = kind == Kind::furniture ? 0 : static_cast<std::uint32_t>(still_.size() + standing_.size() + 1);
  actor.radius_m = radius_of(kind, furniture);
  list.push_back(actor);
}

void World::add_still(Random& random, Variety variety) {
  const Street& s = street_;
  for (const float side : {1.0F, -1.0F}) {
    const Vec2 along{-side, 0};
    if (s.parking_m > 0) {
      for (float x = -45; x < 45; x += random.range(5.6F, 9)) {
        const float k = random.unit();
        if (k < 0.42F)
          add_still_actor(Kind::car, {}, {x, side * (s.road_half_m - 1.15F)},
                          random.chance(0.85F) ? along : along * -1.0F, random.next());
        else if (k < 0.54F)
          add_still_actor(Kind::truck, {}, {x, side * (s.road_half_m - 1.2F)}, along, van_seed(random)), x += 4;
        else if (k < 0.58F)
          add_still_actor(Kind::two_wheeler, {}, {x, side * (s.road_half_m - 0.8F)}, {0, side}, random.next());
      }
    }
    const float kerb = side * (s.road_half_m + 0.55F);
    for (float x = -40 + random.range(0, 6); x < 60; x += random.range(4, 13)) {
      static constexpr Furniture kKerbside[] = {
          Furniture::tree,    Furniture::tree, Furniture::lamp,          Furniture::bollard, Furniture::sign,
          Furniture::hydrant, Furniture::bin,  Furniture::traffic_light, Furniture::planter, Furniture::bollard};
      if (random.chance(0.7F))
        add_still_actor(Kind::furniture, random.pick(kKerbside), {x, kerb}, {0, -side}, random.next());
    }
    const float wall = side > 0 ? s.far_wall_y_m : s.near_wall_y_m;
    for (float x = -30; x < 50; x += random.range(5, 16)) {
      static constexpr Furniture kWallside[] = {Furniture::bench,   Furniture::cabinet, Furniture::bin,
                                                Furniture::planter, Furniture::bush,    Furniture::column,
                                                Furniture::shelter};
      if (random.chance(0.45F))
        add_still_actor(Kind::furniture, random.pick(kWallside), {x, wall - side * 0.8F}, {0, -side}, random.next());
      else if (random.chance(0.2F))
        add_still_actor(Kind::two_wheeler, {}, {x, wall - side * 0.6F}, {1, 0}, random.next());
    }
  }
  if (s.far_park)
    for (int i = 0; i < 16; ++i)
      add_still_actor(Kind::furniture, random.chance(0.8F) ? Furniture::tree : Furniture::bush,
                      {random.range(-60, 60), s.far_wall_y_m + random.range(0, 25)}, {0, -1}, random.next());
  const int waiting = variety == Variety::varied ? 12 : 7;
  for (int i = 0; i < waiting; ++i) {
    if (!random.chance(s.crowd)) continue;
    const float side = random.chance(0.6F) ? 1.0F : -1.0F;
    add_still_actor(Kind::person, {},
                    {random.range(-22, 30), side * (s.road_half_m + random.range(0.5F, s.pavement_m))},
                    direction(random.unit()), random.next());
  }
}

void World::board(const Belt& belt, std::size_t index, int slot, double time_s, std::vector<Actor>& actors) const {
  // Position on the belt; each lap has its own passenger.
  Random slot_random(mix(street_.seed, mix(index + 1, static_cast<std::uint64_t>(slot))));
  const double spacing = static_cast<double>(belt.length_m) / belt.slots;
  float speed = belt.speed_mps;
  if (belt.traffic == Belt::Traffic::walkers) speed *= slot_random.range(0.75F, 1.25F);
  const double run = static_cast<double>(speed) * time_s +
                     spacing * (static_cast<double>(slot) + 0.35 * static_cast<double>(slot_random.unit())) +
                     5.0 * belt.length_m;
  const double lap = std::floor(run / static_cast<double>(belt.length_m));
  const auto at = static_cast<float>(run - lap * static_cast<double>(belt.length_m));
  const std::uint64_t seed =
      mix(mix(street_.seed, index + 1), mix(static_cast<std::uint64_t>(slot) + 1, static_cast<std::uint64_t>(lap)));
  Random random(seed);
  if (!random.chance(belt.fill)) return;
  const Vec2 side{-belt.ahead.y, belt.ahead.x};
  const Vec2 ground = belt.start + belt.ahead * at +
                      side * random.range(-0.3F, 0.3F) * (belt.scatter_m < 1 ? belt.scatter_m / 0.3F : 1);
  Actor actor;
  actor.kind = belt.traffic == Belt::Traffic::walkers  ? Kind::person
               : belt.traffic == Belt::Traffic::cycles ? Kind::two_wheeler
                                                       : vehicle_kind(seed);
  actor.pose = {{ground.x, ground.y, 0}, belt.ahead};
  actor.look_seed = random.next();
  // Ids below 4096 belong to what stands still; 6 bits of belt, 4 of slot, the rest counts laps.
  actor.object_id = static_cast<std::uint32_t>((static_cast<std::uint64_t>(lap) + 1) << 12 | (index & 63) << 6 |
                                               static_cast<std::uint64_t>(slot & 63));
  actor.travelled_m = at;
  actor.radius_m = radius_of(actor.kind, {});
  if (actors.size() < kMaxMoving) actors.push_back(actor);
}

void World::moving(double time_s, std::vector<Actor>& actors) const {
  actors.assign(standing_.begin(), standing_.end());
  for (Actor& actor : actors) actor.travelled_m = 0;
  for (std::size_t i = 0; i < belts_.size(); ++i)
    for (int slot = 0; slot < belts_[i].slots; ++slot) board(belts_[i], i, slot, time_s, actors);
}

}  // namespace wayside::drivers::synthetic
