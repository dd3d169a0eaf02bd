// SPDX-License-Identifier: Apache-2.0
// Composition of a frame: restore the background, draw what moves from far to near, measure what can be seen.
#include "drivers/camera/synthetic/scene.h"

#include <algorithm>

#include "drivers/camera/synthetic/backdrop.h"
#include "drivers/camera/synthetic/car.h"
#include "drivers/camera/synthetic/person.h"
#include "drivers/camera/synthetic/truck.h"
#include "drivers/camera/synthetic/two_wheeler.h"

namespace wayside::drivers::synthetic {
namespace {

constexpr int kTile_px = 16;
constexpr std::uint32_t kColour = 0xFFFFFF;  // of a pixel of the canvas
constexpr std::uint8_t kSceneryOwner = 255;
constexpr std::uint8_t kFirstMovingOwner = World::kMaxStill + 1;
static_assert(kFirstMovingOwner + World::kMaxMoving < kSceneryOwner);
constexpr float kStepLength_m = 1.45F;  // two steps of a grown person
constexpr float kWheelRound_m = 2.1F;   // circumference of a car wheel
constexpr float kPlateLeast = 0.05F;    // plates are listed when at least this share of them can be seen

}  // namespace

struct Scene::Drawn {
  Actor actor;
  std::uint8_t owner = 0;
  float depth_m = 0;
  Bounds box{};        ///< pixels that it claimed, clipped
  float in_frame = 0;  ///< share of its outline inside the picture
  std::int64_t claimed_px = 0;
  PlateMark plate;
  Plate plate_look;
};

Scene::~Scene() = default;

Scene::Scene(const SceneOptions& options)
    : options_(options),
      street_(make_street(options.seed, options.variety, options.width_px, options.height_px)),
      world_(street_, options.variety),
      view_(street_.camera),
      canvas_(options.width_px, options.height_px),
      pen_(canvas_, view_, street_.light),
      tiles_x_((options.width_px + kTile_px - 1) / kTile_px),
      tiles_y_((options.height_px + kTile_px - 1) / kTile_px) {
  const auto area = static_cast<std::size_t>(options.width_px * options.height_px);
  actors_.reserve(World::kMaxMoving);
  still_drawn_.reserve(World::kMaxStill);
  moving_drawn_.reserve(World::kMaxMoving);
  plates_.reserve(kMaxTruth);
  background_luma_.resize(area);
  background_chroma_.resize(area / 2);
  sharp_rows_.resize(static_cast<std::size_t>(2 * options.width_px));
  dirty_tiles_.assign(static_cast<std::size_t>(tiles_x_ * tiles_y_), 1);
  // Room for a row that begins anywhere in the first 64 Ki values.
  sensor_noise_.resize(static_cast<std::size_t>(kNoiseSize * kNoiseSize + options.width_px));
  const int scale = static_cast<int>(street_.noise_levels * 256 / 42);
  for (std::size_t i = 0; i < sensor_noise_.size(); ++i)
    sensor_noise_[i] = static_cast<std::int8_t>((white_noise()[i % (kNoiseSize * kNoiseSize)] * scale + 128) >> 8);
  draw_static();
}

void Scene::draw_static() {
  draw_backdrop(pen_, street_);
  for (const Actor& actor : world_.still()) {
    if (!view_.sees(actor.pose.at(0, 0, 1), actor.radius_m)) continue;
    Drawn drawn;
    drawn.actor = actor;
    drawn.depth_m = view_.depth_m(actor.pose.origin);
    if (drawn.depth_m < 1.5F) continue;
    still_drawn_.push_back(drawn);
  }
  std::stable_sort(still_drawn_.begin(), still_drawn_.end(),
                   [](const Drawn& a, const Drawn& b) { return a.depth_m > b.depth_m; });
  canvas_.begin_object(0);
  for (const Drawn& d : still_drawn_) {
    if (d.actor.kind == Kind::car) cast_car_shadow(pen_, make_car(d.actor.look_seed, d.actor.look_seed), d.actor.pose);
    if (d.actor.kind == Kind::truck)
      cast_truck_shadow(pen_, make_truck(d.actor.look_seed, d.actor.look_seed), d.actor.pose);
    if (d.actor.kind == Kind::two_wheeler)
      cast_two_wheeler_shadow(pen_, make_two_wheeler(d.actor.look_seed, false), d.actor.pose);
    if (d.actor.kind == Kind::furniture)
      cast_furniture_shadow(pen_, d.actor.furniture, d.actor.look_seed, d.actor.pose);
  }
  std::uint8_t next_owner = 1;
  for (Drawn& d : still_drawn_) {
    d.owner = d.actor.kind == Kind::furniture ? kSceneryOwner : next_owner++;
    draw_actor(d);
    measure(d);
    const auto depth_cm = static_cast<std::uint16_t>(std::min(d.depth_m * 100, 65000.0F));
    for (int y = static_cast<int>(d.box.y0); y < static_cast<int>(d.box.y1); ++y)
      for (int x = static_cast<int>(d.box.x0); x < static_cast<int>(d.box.x1); ++x) {
        const auto at = static_cast<std::size_t>(y * canvas_.width() + x);
        if (canvas_.owners[at] != d.owner) continue;
        canvas_.depths_cm[at] = depth_cm;
        if (d.owner == kSceneryOwner) canvas_.owners[at] = 0;
      }
  }
  std::erase_if(still_drawn_, [](const Drawn& d) { return d.actor.kind == Kind::furniture || d.claimed_px == 0; });
  background_.resize(canvas_.pixels.size());
  for (std::size_t at = 0; at < background_.size(); ++at)
    background_[at] = (canvas_.pixels[at] & kColour) | static_cast<std::uint32_t>(canvas_.owners[at]) << 24U;
  for (int ty = 0; ty < tiles_y_; ++ty)
    for (int tx = 0; tx < tiles_x_; ++tx) convert_tile(tx, ty, background_luma_.data(), background_chroma_.data());
  std::fill(dirty_tiles_.begin(), dirty_tiles_.end(), std::uint8_t{0});
}

void Scene::draw_actor(Drawn& d) {
  canvas_.begin_object(d.owner);
  const Actor& a = d.actor;
  pen_.grain_origin = view_.project(a.pose.origin);
  switch (a.kind) {
    case Kind::person: {
      const PersonLook look = make_person(a.look_seed, street_.light.rain > 0);
      draw_person(pen_, look, walking_figure(look, a.pose, a.travelled_m / kStepLength_m, a.still ? 0.0F : 1.0F));
      break;
    }
    case Kind::car: {
      const CarLook look = make_car(a.look_seed, a.look_seed);
      d.plate_look = look.plate;
      d.plate = draw_car(pen_, look, a.pose, -a.travelled_m / kWheelRound_m, a.still);
      break;
    }
    case Kind::truck: {
      const TruckLook look = make_truck(a.look_seed, a.look_seed);
      d.plate_look = look.plate;
      d.plate = draw_truck(pen_, look, a.pose, -a.travelled_m / kWheelRound_m, a.still);
      break;
    }
    case Kind::two_wheeler:
      draw_two_wheeler(pen_, make_two_wheeler(a.look_seed, !a.still), a.pose, a.travelled_m);
      break;
    case Kind::furniture: draw_furniture(pen_, a.furniture, a.look_seed, a.pose); break;
  }
}

void Scene::measure(Drawn& d) {
  const auto w = static_cast<float>(canvas_.width()), h = static_cast<float>(canvas_.height());
  const Bounds outline = canvas_.bounds();
  const Bounds clipped = intersection(outline, {0, 0, w, h});
  d.claimed_px = 0;
  d.box = {};
  if (clipped.empty()) return;
  d.in_frame = clipped.area() / outline.area();
  const int x0 = static_cast<int>(clipped.x0), x1 = std::min(canvas_.width(), static_cast<int>(clipped.x1) + 1);
  const int y0 = static_cast<int>(clipped.y0), y1 = std::min(canvas_.height(), static_cast<int>(clipped.y1) + 1);
  int left = x1, right = x0, top = y1, bottom = y0;
  for (int y = y0; y < y1; ++y) {
    const std::uint8_t* row = &canvas_.owners[static_cast<std::size_t>(y * canvas_.width())];
    int count = 0;
    for (int x = x0; x < x1; ++x) count += row[x] == d.owner;
    if (count == 0) continue;
    d.claimed_px += count;
    top = std::min(top, y);
    bottom = y + 1;
    int first = x0, last = x1;
    while (row[first] != d.owner) ++first;
    while (row[last - 1] != d.owner) --last;
    left = std::min(left, first);
    right = std::max(right, last);
  }
  if (d.claimed_px > 0)
    d.box = {static_cast<float>(left), static_cast<float>(top), static_cast<float>(right), static_cast<float>(bottom)};
}

void Scene::mark_tiles(const Bounds& bounds) {
  if (bounds.empty()) return;
  const int x0 = std::max(0, static_cast<int>(bounds.x0) / kTile_px),
            x1 = std::min(tiles_x_ - 1, static_cast<int>(bounds.x1) / kTile_px);
  const int y0 = std::max(0, static_cast<int>(bounds.y0) / kTile_px),
            y1 = std::min(tiles_y_ - 1, static_cast<int>(bounds.y1) / kTile_px);
  for (int y = y0; y <= y1; ++y)
    for (int x = x0; x <= x1; ++x) dirty_tiles_[static_cast<std::size_t>(y * tiles_x_ + x)] = 1;
}

void Scene::restore(std::size_t at) {
  canvas_.pixels[at] = background_[at] & kColour;
  canvas_.owners[at] = static_cast<std::uint8_t>(background_[at] >> 24U);
}

void Scene::restore_background() {
  for (int ty = 0; ty < tiles_y_; ++ty) {
    for (int tx = 0; tx < tiles_x_; ++tx) {
      std::uint8_t& dirty = dirty_tiles_[static_cast<std::size_t>(ty * tiles_x_ + tx)];
      if (dirty == 0) continue;
      dirty = 0;
      const int x0 = tx * kTile_px, count = std::min(kTile_px, canvas_.width() - x0);
      for (int y = ty * kTile_px; y < std::min((ty + 1) * kTile_px, canvas_.height()); ++y) {
        const auto at = static_cast<std::size_t>(y * canvas_.width() + x0);
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) restore(at + i);
      }
    }
  }
}

void Scene::draw_moving(double time_s, std::uint32_t only_id) {
  world_.moving(time_s, actors_);
  moving_drawn_.clear();
  std::uint8_t next_owner = kFirstMovingOwner;
  for (const Actor& actor : actors_) {
    if (only_id != 0 && actor.object_id != only_id) continue;
    if (!view_.sees(actor.pose.at(0, 0, 1), actor.radius_m)) continue;
    Drawn drawn;
    drawn.actor = actor;
    drawn.depth_m = view_.depth_m(actor.pose.origin);
    if (drawn.depth_m < actor.radius_m * 0.8F + 1) continue;  // would stand in the lens
    drawn.owner = next_owner++;
    moving_drawn_.push_back(drawn);
  }
  std::sort(moving_drawn_.begin(), moving_drawn_.end(), [](const Drawn& a, const Drawn& b) {
    return a.depth_m > b.depth_m || (a.depth_m == b.depth_m && a.owner < b.owner);
  });
  if (only_id == 0) {
    for (const Drawn& d : moving_drawn_) {
      canvas_.begin_shadow();
      if (d.actor.kind == Kind::person) {
        const PersonLook look = make_person(d.actor.look_seed, street_.light.rain > 0);
        cast_person_shadow(
            pen_, look,
            walking_figure(look, d.actor.pose, d.actor.travelled_m / kStepLength_m, d.actor.still ? 0.0F : 1.0F));
      } else if (d.actor.kind == Kind::car) {
        cast_car_shadow(pen_, make_car(d.actor.look_seed, d.actor.look_seed), d.actor.pose);
      } else if (d.actor.kind == Kind::truck) {
        cast_truck_shadow(pen_, make_truck(d.actor.look_seed, d.actor.look_seed), d.actor.pose);
      } else {
        cast_two_wheeler_shadow(pen_, make_two_wheeler(d.actor.look_seed, true), d.actor.pose);
      }
      mark_tiles(canvas_.touched());
    }
  }
  for (Drawn& d : moving_drawn_) {
    draw_actor(d);
    measure(d);
    mark_tiles(canvas_.touched());
    // What stands still and nearer hides it.
    const Bounds touched = intersection(
        canvas_.touched(), {0, 0, static_cast<float>(canvas_.width()), static_cast<float>(canvas_.height())});
    if (touched.empty()) continue;
    const auto depth_cm = static_cast<std::uint16_t>(std::min(d.depth_m * 100, 65000.0F));
    const int x0 = static_cast<int>(touched.x0), x1 = std::min(canvas_.width(), static_cast<int>(touched.x1) + 1);
    for (int y = static_cast<int>(touched.y0); y < std::min(canvas_.height(), static_cast<int>(touched.y1) + 1); ++y)
      restore_nearer(y, x0, x1, depth_cm);
  }
}

void Scene::restore_nearer(int y, int x0, int x1, std::uint16_t depth_cm) {
  const auto row = static_cast<std::size_t>(y * canvas_.width());
  const std::uint16_t* depths = canvas_.depths_cm.data() + row;
  unsigned nearer = 0;
  for (int x = x0; x < x1; ++x) nearer |= depths[x] < depth_cm;
  if (nearer == 0) return;
  for (int x = x0; x < x1; ++x) {
    if (depths[x] >= depth_cm) continue;
    restore(row + static_cast<std::size_t>(x));
  }
}

void Scene::collect_truth(std::vector<TruthBox>& truth) {
  truth.clear();
  plates_.clear();
  const auto seen_share = [&](const Drawn& d, const Bounds& area, std::int64_t whole) {
    std::int64_t seen = 0;
    for (int y = static_cast<int>(area.y0); y < static_cast<int>(area.y1); ++y) {
      const std::uint8_t* row = &canvas_.owners[static_cast<std::size_t>(y * canvas_.width())];
      int count = 0;
      for (int x = static_cast<int>(area.x0); x < static_cast<int>(area.x1); ++x) count += row[x] == d.owner;
      seen += count;
    }
    return whole > 0 ? std::min(1.0F, static_cast<float>(seen) / static_cast<float>(whole)) : 0.0F;
  };
  for (const auto* list : {&still_drawn_, &moving_drawn_}) {
    for (const Drawn& d : *list) {
      if (d.claimed_px == 0) continue;
      const float seen = seen_share(d, d.box, d.claimed_px) * d.in_frame;
      truth.push_back(
          {d.box.x0, d.box.y0, d.box.x1, d.box.y1, static_cast<std::uint8_t>(d.actor.kind), d.actor.object_id, seen});
    }
  }
  for (const auto* list : {&still_drawn_, &moving_drawn_}) {
    for (const Drawn& d : *list) {
      if (d.claimed_px == 0 || !d.plate.facing) continue;
      const Bounds box = intersection(
          d.plate.bounds, {0, 0, static_cast<float>(canvas_.width()), static_cast<float>(canvas_.height())});
      const Bounds whole_px{std::floor(box.x0), std::floor(box.y0), std::ceil(box.x1), std::ceil(box.y1)};
      if (box.empty()) continue;
      const float seen =
          seen_share(d, whole_px, static_cast<std::int64_t>(whole_px.area())) * box.area() / d.plate.bounds.area();
      if (seen < kPlateLeast) continue;
      constexpr std::uint8_t kPlateClass = 4;
      truth.push_back({box.x0, box.y0, box.x1, box.y1, kPlateClass, d.actor.object_id | 0x80000000U, seen});
      plates_.push_back({d.actor.object_id, d.plate_look.text});
    }
  }
}

void Scene::render(std::uint64_t number, const Picture& picture, std::vector<TruthBox>& truth) {
  restore_background();
  draw_moving(static_cast<double>(number) / options_.rate_hz, 0);
  collect_truth(truth);
  develop(number, picture);
}

TruthBox Scene::render_alone(std::uint64_t number, std::uint32_t object_id) {
  restore_background();
  TruthBox box{0, 0, 0, 0, 255, object_id, 0};
  if (object_id == 0) return box;
  draw_moving(static_cast<double>(number) / options_.rate_hz, object_id);
  for (const Drawn& d : moving_drawn_)
    if (d.claimed_px > 0)
      box = {d.box.x0, d.box.y0, d.box.x1, d.box.y1, static_cast<std::uint8_t>(d.actor.kind), object_id, d.in_frame};
  return box;
}

}  // namespace wayside::drivers::synthetic
