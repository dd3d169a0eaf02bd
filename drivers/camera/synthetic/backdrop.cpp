// SPDX-License-Identifier: Apache-2.0
// Sky and skyline, then the ground in zones with markings and texture, then the two rows of houses.
#include "drivers/camera/synthetic/backdrop.h"

#include <algorithm>
#include <array>

namespace wayside::drivers::synthetic {
namespace {

constexpr float kEnd_m = 140;  // the street reaches this far to both sides
constexpr std::uint8_t kWallOwner = 255;

std::uint32_t packed(Rgb c) {
  const auto byte = [](float v) { return static_cast<std::uint32_t>(std::clamp(v, 0.0F, 255.0F)); };
  return byte(c.r) | byte(c.g) << 8 | byte(c.b) << 16;
}

/// Brightens (noise > 0) or darkens a pixel by noise/256 of itself.
std::uint32_t modulated(std::uint32_t pixel, int noise) {
  std::uint32_t result = 0;
  for (const int shift : {0, 8, 16}) {
    const int level = static_cast<int>((pixel >> shift) & 255);
    result |= static_cast<std::uint32_t>(std::clamp(level + level * noise / 256, 0, 255)) << shift;
  }
  return result;
}

void draw_sky(const Pen& pen, const Street& street, Random& random) {
  Canvas& canvas = pen.canvas;
  const int w = canvas.width();
  const float horizon = pen.view.horizon_px();
  const int end = std::clamp(static_cast<int>(horizon) + 2, 0, canvas.height());
  const std::int8_t* clouds = cloud_noise();
  const int shift_x = random.below(kNoiseSize), shift_y = random.below(kNoiseSize);
  const float cover = street.light.cloudiness;
  const Rgb cloud = street.light.night ? Rgb{50, 48, 52} : mixed(street.light.sky_bottom, gray(255), 0.45F);
  for (int y = 0; y < end; ++y) {
    const float k = std::clamp(1.0F - (horizon - static_cast<float>(y)) / (static_cast<float>(canvas.height()) * 0.55F),
                               0.0F, 1.0F);
    const Rgb base = mixed(street.light.sky_top, street.light.sky_bottom, k);
    std::array<std::uint32_t, 32> shades;  // from clear to cloud
    for (std::size_t i = 0; i < shades.size(); ++i)
      shades[i] = packed(mixed(base, cloud, static_cast<float>(i) / 31 * 0.75F));
    const int row = ((y + shift_y) & (kNoiseSize - 1)) * kNoiseSize;
    std::uint32_t* to = &canvas.pixels[static_cast<std::size_t>(y * w)];
    const int threshold = static_cast<int>(90 - 130 * cover);
    for (int x = 0; x < w; ++x) {
      const int n = clouds[row + (((x >> 1) + shift_x) & (kNoiseSize - 1))] - threshold;
      to[x] = shades[static_cast<std::size_t>(std::clamp(n / 3, 0, 31))];
    }
  }
}

void draw_skyline(const Pen& pen, const Street& street, Random& random) {
  const float horizon = pen.view.horizon_px() + 2;
  const auto w = static_cast<float>(pen.canvas.width());
  const float unit = w / 640;
  Paint paint;
  for (float x = -20 * unit; x < w;) {
    const float width = random.range(15, 70) * unit, height = random.range(4, 34) * unit;
    const bool trees = random.chance(0.5F);
    paint.color =
        mixed(trees ? Rgb{70, 95, 70} * street.light.ambient : gray(random.range(90, 160)) * street.light.ambient,
              street.light.haze, 0.55F);
    if (trees) {
      pen.canvas.ellipse({x + width * 0.5F, horizon}, {width * 0.7F, height * 0.7F}, paint);
    } else {
      const Vec2 block[] = {{x, horizon}, {x, horizon - height}, {x + width, horizon - height}, {x + width, horizon}};
      pen.canvas.fill(block, paint);
    }
    x += width * 0.8F;
  }
}

void zone(const Pen& pen, float y0, float y1, Rgb color, float z = 0.0F, float x0 = -kEnd_m, float x1 = kEnd_m) {
  pen.quad({x0, y0, z}, {x1, y0, z}, {x1, y1, z}, {x0, y1, z}, color);
}

void draw_markings(const Pen& pen, const Street& street, Random& random) {
  const Rgb white = Rgb{205, 205, 200} * random.range(0.75F, 1.1F);
  const float edge = street.road_half_m - street.parking_m;
  if (random.chance(0.8F))
    for (float x = -90; x < 90; x += 6) zone(pen, -0.07F, 0.07F, white, 0, x, x + 3);
  for (int lane = 1; lane < street.lanes_each_way; ++lane)
    for (const float side : {1.0F, -1.0F}) {
      const float y = side * street.lane_m * static_cast<float>(lane);
      for (float x = -90; x < 90; x += 9) zone(pen, y - 0.06F, y + 0.06F, white, 0, x, x + 3);
    }
  if (street.parking_m > 0)
    for (const float side : {1.0F, -1.0F})
      for (float x = -90; x < 90; x += 2.5F)
        zone(pen, side * edge - 0.05F, side * edge + 0.05F, white * 0.9F, 0, x, x + 1.2F);
  if (street.zebra)
    for (float y = -street.road_half_m + 0.3F; y < street.road_half_m - 0.3F; y += 1.0F)
      zone(pen, y, y + 0.5F, white * 1.1F, 0, street.zebra_x_m - 1.6F, street.zebra_x_m + 1.6F);
  for (int i = 0; i < 14; ++i) {  // repairs and manholes
    const float x = random.range(-30, 30), y = random.range(-edge, edge);
    if (random.chance(0.6F))
      zone(pen, y, y + random.range(0.4F, 1.8F), gray(random.range(55, 95)), 0, x, x + random.range(0.5F, 6));
    else
      pen.disc({x, y, 0}, {0.35F, 0, 0}, {0, 0.35F, 0}, gray(60));
  }
}

/// Everything below the horizon in one colour; what nearer zones leave free.
void fill_far_ground(const Pen& pen, Rgb color) {
  Canvas& canvas = pen.canvas;
  const int first = std::clamp(static_cast<int>(pen.view.horizon_px()), 0, canvas.height());
  const auto at = static_cast<std::ptrdiff_t>(first) * canvas.width();
  std::fill(canvas.pixels.begin() + at, canvas.pixels.end(), packed(pen.lit(color, {0, 0, 1}, 0)));
}

void draw_ground(const Pen& pen, const Street& street, Random& random) {
  static constexpr Rgb kPaving[] = {
      {158, 152, 145}, {140, 138, 138}, {172, 160, 146}, {150, 120, 104}, {182, 180, 176}};
  static constexpr Rgb kYard[] = {{92, 116, 62}, {110, 126, 76}, {150, 146, 140}, {128, 118, 100}, {104, 108, 84}};
  const float wet = 1.0F - 0.25F * street.light.rain;
  const Rgb asphalt = (gray(random.range(78, 128)) + Rgb{random.range(-4, 6), 0, random.range(-4, 8)}) * wet;
  const Rgb paving = random.pick(kPaving) * random.range(0.85F, 1.15F) * wet;
  const Rgb yard = random.pick(kYard) * random.range(0.85F, 1.1F) * wet;
  const float r = street.road_half_m, p = r + street.pavement_m;
  fill_far_ground(pen, yard);
  zone(pen, -p, p, paving);
  zone(pen, -r - 0.18F, r + 0.18F, paving * 1.18F);
  zone(pen, -r, r, asphalt);
  zone(pen, -r, -r + 0.3F, asphalt * 0.8F);
  zone(pen, r - 0.3F, r, asphalt * 0.8F);
  const bool slabs = random.chance(0.7F);
  if (slabs) {
    const float step = random.range(0.6F, 1.2F);
    for (const float side : {1.0F, -1.0F})
      for (float x = -35; x < 35; x += step)
        zone(pen, side > 0 ? r + 0.2F : -p, side > 0 ? p : -r - 0.2F, paving * 0.86F, 0, x, x + 0.035F);
  }
  draw_markings(pen, street, random);
}

void haze_row(const Pen& pen, std::uint32_t* row, int width, float depth_m) {
  const auto weight = static_cast<int>(std::clamp(depth_m * pen.light.haze_per_m, 0.0F, 0.8F) * 256);
  if (weight < 4) return;
  const Rgb haze = pen.light.haze;
  const int add[] = {static_cast<int>(haze.r) * weight, static_cast<int>(haze.g) * weight,
                     static_cast<int>(haze.b) * weight};
  for (int x = 0; x < width; ++x) {
    std::uint32_t result = 0;
    for (int c = 0; c < 3; ++c)
      result |= static_cast<std::uint32_t>((static_cast<int>((row[x] >> (8 * c)) & 255) * (256 - weight) + add[c]) >> 8)
                << (8 * c);
    row[x] = result;
  }
}

/// Stains and grit, fixed to the ground; finer detail fades out where a pixel covers more than it.
void texture_ground(const Pen& pen, Random& random) {
  Canvas& canvas = pen.canvas;
  const std::int8_t* coarse = cloud_noise();
  const std::int8_t* fine = white_noise();
  const float strength = random.range(0.5F, 1.6F);
  constexpr int kMask = kNoiseSize - 1;
  for (int y = 0; y < canvas.height(); ++y) {
    Vec2 base, step;
    float depth = 0;
    const auto row = static_cast<std::size_t>(y * canvas.width());
    if (!pen.view.ground_row(y, base, step, depth)) continue;
    std::fill_n(canvas.depths_cm.begin() + static_cast<std::ptrdiff_t>(row), canvas.width(), kGroundDepth);
    haze_row(pen, &canvas.pixels[row], canvas.width(), depth);
    if (depth > 120) continue;
    const float footprint_m = length(step);
    const int fine_gain = static_cast<int>(strength * 110 * std::min(1.0F, 0.012F / std::max(footprint_m, 1e-4F)));
    const int coarse_gain = static_cast<int>(strength * 60 * std::min(1.0F, 0.15F / std::max(footprint_m, 1e-4F)));
    // 16.16 fixed point: one coarse cell is 8 cm, one fine cell 2 cm.
    constexpr float kCoarse = 12.5F * 65536, kFine = 50.0F * 65536;
    auto cx = static_cast<std::int64_t>(base.x * kCoarse), cy = static_cast<std::int64_t>(base.y * kCoarse);
    auto fx = static_cast<std::int64_t>(base.x * kFine), fy = static_cast<std::int64_t>(base.y * kFine);
    const auto cdx = static_cast<std::int64_t>(step.x * kCoarse), cdy = static_cast<std::int64_t>(step.y * kCoarse);
    const auto fdx = static_cast<std::int64_t>(step.x * kFine), fdy = static_cast<std::int64_t>(step.y * kFine);
    for (int x = 0; x < canvas.width(); ++x) {
      const int a = coarse[((cy >> 16) & kMask) * kNoiseSize + ((cx >> 16) & kMask)];
      const int b = fine[((fy >> 16) & kMask) * kNoiseSize + ((fx >> 16) & kMask)];
      std::uint32_t& pixel = canvas.pixels[row + static_cast<std::size_t>(x)];
      pixel = modulated(pixel, (a * coarse_gain + b * fine_gain) >> 8);
      cx += cdx, cy += cdy, fx += fdx, fy += fdy;
    }
  }
}

struct House {
  float x0, x1, height;
  std::uint64_t seed;
};

/// `side`: 1 = the wall faces -y (opposite side), -1 = it faces +y.
void draw_house(const Pen& pen, const Street& street, const House& house, float wall_y, float side) {
  static constexpr Rgb kWalls[] = {{150, 88, 68}, {186, 168, 138}, {205, 198, 184}, {140, 136, 130}, {172, 120, 92},
                                   {120, 72, 58}, {214, 190, 140}, {168, 184, 190}, {196, 150, 128}};
  Random random(house.seed);
  const Rgb wall = random.pick(kWalls) * random.range(0.75F, 1.15F);
  const float back_y = wall_y + side * 12;
  const float x0 = house.x0, x1 = house.x1, h = house.height;
  const float left = side > 0 ? x0 : x1, right = side > 0 ? x1 : x0;
  const Finish plaster{.grain = random.range(2, 9)};
  for (const float x : {x0, x1}) {
    const float outer = x == x0 ? -1.0F : 1.0F;
    const float ya = outer * side > 0 ? wall_y : back_y, yb = outer * side > 0 ? back_y : wall_y;
    const float a = outer > 0 ? std::min(ya, yb) : std::max(ya, yb),
                b = outer > 0 ? std::max(ya, yb) : std::min(ya, yb);
    pen.quad({x, a, 0}, {x, b, 0}, {x, b, h}, {x, a, h}, wall * 0.85F, plaster);
  }
  pen.quad({x0, std::min(wall_y, back_y), h}, {x1, std::min(wall_y, back_y), h}, {x1, std::max(wall_y, back_y), h},
           {x0, std::max(wall_y, back_y), h}, gray(95), plaster);
  const Vec3 front[4] = {{left, wall_y, 0}, {right, wall_y, 0}, {right, wall_y, h}, {left, wall_y, h}};
  if (!pen.face(front, wall, plaster)) return;
  const bool shop = random.chance(0.4F);
  const float floor_m = 3.1F;
  const int floors = std::max(1, static_cast<int>(h / floor_m));
  const float width = x1 - x0;
  const int columns = std::max(1, static_cast<int>(width / random.range(1.9F, 3.2F)));
  const float window_w = random.range(0.4F, 0.66F), window_h = random.range(0.42F, 0.66F);
  const Rgb frame = random.chance(0.6F) ? gray(220) : wall * 0.5F;
  const Rgb glass = Rgb{58, 70, 84} * random.range(0.6F, 1.6F);
  const float frame_px = pen.view.px_per_m({(x0 + x1) * 0.5F, wall_y, 3});
  if (random.chance(0.5F)) pen.patch(front, 0, 1, 0, 0.5F / h, wall * 0.6F);  // plinth
  for (int f = 0; f < floors; ++f) {
    const float v0 = (static_cast<float>(f) + 0.28F) * floor_m / h, v1 = v0 + window_h * floor_m / h;
    if (v1 > 0.97F) break;
    if (f == 0 && shop) {
      Rgb sign = gray(40);
      sign = Rgb{random.range(30, 220), random.range(30, 200), random.range(30, 200)};
      pen.patch(front, 0.04F, 0.96F, 0.35F / h, 2.5F / h, street.light.night ? Rgb{230, 215, 170} : glass * 1.2F,
                {.gloss = 12, .glow = street.light.night});
      for (float u = 0.2F; u < 0.9F; u += 0.2F) pen.patch(front, u, u + 0.01F, 0.35F / h, 2.5F / h, frame);
      pen.patch(front, 0.03F, 0.97F, 2.55F / h, 3.05F / h, sign, {.glow = street.light.night});
      continue;
    }
    for (int c = 0; c < columns; ++c) {
      const float middle = (static_cast<float>(c) + 0.5F) / static_cast<float>(columns),
                  half = window_w * 0.5F / static_cast<float>(columns);
      const bool door = f == 0 && c == columns / 2;
      const float low = door ? 0.02F : v0, high = door ? 2.2F / h : v1;
      if (frame_px * width / static_cast<float>(columns) > 10)
        pen.patch(front, middle - half * 1.14F, middle + half * 1.14F, low - 0.008F, high + 0.008F, frame);
      const bool lamp = street.light.night && random.chance(0.35F);
      const Rgb color = door ? wall * 0.45F : lamp ? Rgb{240, 205, 130} : glass * random.range(0.75F, 1.3F);
      pen.patch(front, middle - half, middle + half, low, high, color, {.gloss = door ? 0.0F : 14.0F, .glow = lamp});
      if (!door && frame_px > 22) pen.patch(front, middle - half * 0.07F, middle + half * 0.07F, low, high, frame);
    }
  }
  pen.patch(front, 0, 1, 1 - 0.3F / h, 1, wall * 0.7F);  // cornice
}

void draw_houses(const Pen& pen, const Street& street, float wall_y, float side, Random& random) {
  constexpr std::size_t kMost = 24;
  std::array<House, kMost> houses{};
  std::size_t n = 0;
  for (float x = -kEnd_m + random.range(0, 10); x < kEnd_m && n < kMost;) {
    const float width = random.range(7, 20);
    houses[n++] = {x, x + width, random.range(5.5F, 17), random.next()};
    x += width + (random.chance(0.25F) ? random.range(1, 8) : 0.0F);
  }
  const auto distance = [&](const House& house) { return std::abs((house.x0 + house.x1) * 0.5F - pen.view.eye().x); };
  std::stable_sort(houses.begin(), houses.begin() + static_cast<std::ptrdiff_t>(n),
                   [&](const House& a, const House& b) { return distance(a) > distance(b); });
  for (std::size_t i = 0; i < n; ++i) {
    const House& house = houses[i];
    const Vec3 middle{(house.x0 + house.x1) * 0.5F, wall_y, house.height * 0.5F};
    if (pen.view.sees(middle, house.x1 - house.x0 + house.height)) draw_house(pen, street, house, wall_y, side);
  }
}

}  // namespace

void draw_backdrop(const Pen& pen, const Street& street) {
  Random random(mix(street.seed, 0xBAC4));
  Canvas& canvas = pen.canvas;
  canvas.begin_object(0);
  draw_sky(pen, street, random);
  draw_skyline(pen, street, random);
  draw_ground(pen, street, random);
  texture_ground(pen, random);
  canvas.begin_object(kWallOwner);
  draw_houses(pen, street, street.near_wall_y_m, -1, random);
  if (!street.far_park) draw_houses(pen, street, street.far_wall_y_m, 1, random);
  for (std::size_t i = 0; i < canvas.owners.size(); ++i) {
    if (canvas.owners[i] != kWallOwner) continue;
    canvas.owners[i] = 0;
    canvas.depths_cm[i] = kFarDepth;
  }
}

}  // namespace wayside::drivers::synthetic
