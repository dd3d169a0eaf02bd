// SPDX-License-Identifier: Apache-2.0
// Chooses camera, cross-section and weather of a scene.
#include "drivers/camera/synthetic/street.h"

#include <algorithm>

namespace wayside::drivers::synthetic {
namespace {

Light make_light(Weather weather, Random& random) {
  Light light;
  const Vec2 azimuth = direction(random.unit());
  const float height = weather == Weather::dusk ? random.range(0.25F, 0.5F) : random.range(0.6F, 1.6F);
  light.to_sun = normalised({azimuth.x, azimuth.y, height});
  switch (weather) {
    case Weather::sunny:
      light.ambient = Rgb{0.52F, 0.55F, 0.62F} * random.range(0.85F, 1.15F);
      light.sun = Rgb{0.62F, 0.58F, 0.50F} * random.range(0.8F, 1.15F);
      light.shadow = random.range(0.4F, 0.62F);
      light.sky_top = {95, 145, 205};
      light.sky_bottom = {190, 212, 232};
      light.haze = {195, 208, 222};
      light.cloudiness = random.range(0, 0.7F);
      break;
    case Weather::overcast:
      light.ambient = Rgb{0.80F, 0.81F, 0.83F} * random.range(0.8F, 1.1F);
      light.sun = gray(0.12F);
      light.shadow = 0.1F;
      light.sky_top = gray(random.range(165, 205));
      light.sky_bottom = gray(random.range(205, 230));
      light.haze = gray(205);
      light.haze_per_m = random.range(0.002F, 0.006F);
      light.cloudiness = 0.9F;
      break;
    case Weather::dusk:
      light.ambient = Rgb{0.46F, 0.42F, 0.48F} * random.range(0.85F, 1.2F);
      light.sun = Rgb{0.5F, 0.32F, 0.16F} * random.range(0.6F, 1.1F);
      light.shadow = 0.35F;
      light.sky_top = {88, 92, 138};
      light.sky_bottom = {240, 170, 120};
      light.haze = {190, 150, 135};
      light.lamps = random.chance(0.7F);
      break;
    case Weather::night:
      light.ambient =
          (random.chance(0.5F) ? Rgb{0.36F, 0.32F, 0.27F} : Rgb{0.29F, 0.32F, 0.38F}) * random.range(0.75F, 1.3F);
      light.sun = gray(0.08F);
      light.to_sun = normalised({azimuth.x, azimuth.y, 2.0F});  // the street lamps
      light.shadow = 0.2F;
      light.sky_top = {14, 16, 28};
      light.sky_bottom = {46, 42, 50};
      light.haze = {38, 36, 42};
      light.night = true;
      light.lamps = true;
      break;
    case Weather::rain:
      light.ambient = Rgb{0.58F, 0.61F, 0.66F} * random.range(0.8F, 1.1F);
      light.sun = gray(0.06F);
      light.shadow = 0.06F;
      light.sky_top = gray(130);
      light.sky_bottom = gray(175);
      light.haze = {165, 170, 178};
      light.haze_per_m = random.range(0.004F, 0.01F);
      light.cloudiness = 1;
      light.lamps = random.chance(0.6F);
      light.rain = random.range(0.4F, 1.0F);
      break;
  }
  return light;
}

Weather pick_weather(Random& random) {
  const float k = random.unit();
  return k < 0.42F   ? Weather::sunny
         : k < 0.65F ? Weather::overcast
         : k < 0.78F ? Weather::dusk
         : k < 0.9F  ? Weather::rain
                     : Weather::night;
}

View::Setup live_camera(const Street& street, Random& random) {
  View::Setup camera;
  const float kerb = -street.road_half_m;
  switch (random.below(4)) {
    case 0:  // on a lamp post, along the road
      camera = {kerb - random.range(0.3F, 1.5F), random.range(4.0F, 5.5F), random.range(0.035F, 0.07F),
                random.range(0.025F, 0.04F), 0.9F};
      break;
    case 1:  // on a house, diagonally over the road
      camera = {kerb - street.pavement_m - random.range(0.5F, 2.0F), random.range(3.6F, 5.0F),
                random.range(0.11F, 0.15F), random.range(0.03F, 0.045F), 0.8F};
      break;
    case 2:  // from a first floor straight across
      camera = {kerb - street.pavement_m - random.range(2.0F, 5.0F), random.range(3.4F, 4.6F), random.range(0.2F, 0.3F),
                random.range(0.025F, 0.04F), 0.72F};
      break;
    default:  // high mast, looking down
      camera = {kerb - random.range(1.0F, 3.0F), random.range(7.0F, 9.0F), random.range(0.07F, 0.12F),
                random.range(0.06F, 0.08F), 0.85F};
      break;
  }
  return camera;
}

/// True if the middle of the picture shows the road or the pavements (or the camera looks nearly level).
bool aims_at_street(const Street& street, const View::Setup& camera) {
  const Vec2 tilt = direction(camera.tilt_turns);
  if (tilt.y < 0.06F) return true;
  const float hit_y = camera.y_m + direction(camera.yaw_turns).y * camera.height_m * tilt.x / tilt.y;
  return std::abs(hit_y) < street.road_half_m + street.pavement_m * 0.7F;
}

View::Setup any_camera(const Street& street, Random& random) {
  View::Setup camera = live_camera(street, random);
  const float kind = random.unit();
  if (kind < 0.3F) return camera;
  camera.y_m = random.range(-street.road_half_m - street.pavement_m - 5, street.road_half_m * 0.3F);
  camera.height_m = random.range(1.2F, 6.0F);
  camera.yaw_turns = random.range(0.02F, 0.32F);
  camera.tilt_turns = std::clamp(camera.height_m * 0.007F + random.range(-0.015F, 0.02F), 0.0F, 0.1F);
  camera.focal = random.range(0.6F, 1.7F);
  if (kind > 0.82F) {  // steeply from above
    camera.height_m = random.range(6.0F, 14.0F);
    camera.tilt_turns = random.range(0.07F, 0.17F);
    camera.focal = random.range(0.7F, 1.5F);
  }
  return camera;
}

View::Setup varied_camera(const Street& street, Random& random) {
  View::Setup camera = any_camera(street, random);
  for (int attempt = 0; attempt < 8 && !aims_at_street(street, camera); ++attempt) camera = any_camera(street, random);
  return camera;
}

}  // namespace

Street make_street(std::uint64_t seed, Variety variety, int width_px, int height_px) {
  Random random(mix(seed, 0x57EE7));
  const bool live = variety == Variety::live;
  Street street;
  street.seed = seed;
  street.weather = pick_weather(random);
  if (live && street.weather == Weather::night && random.chance(0.5F)) street.weather = Weather::dusk;
  street.light = make_light(street.weather, random);
  if (!live) {  // white balance and contrast of some other camera
    const Rgb tint{random.range(0.9F, 1.1F), random.range(0.95F, 1.05F), random.range(0.88F, 1.12F)};
    const float contrast = random.range(0.7F, 1.25F);
    street.light.ambient = street.light.ambient * tint * random.range(0.9F, 1.2F);
    street.light.sun = street.light.sun * tint * contrast;
    street.light.shadow *= contrast;
    street.light.haze_per_m *= random.range(0.4F, 1.8F);
  }
  street.lanes_each_way = random.chance(0.7F) ? 1 : 2;
  street.lane_m = random.range(3.0F, 3.5F);
  street.parking_m = random.chance(0.65F) ? 2.2F : 0;
  street.road_half_m = street.lane_m * static_cast<float>(street.lanes_each_way) + street.parking_m + 0.4F;
  street.pavement_m = random.range(2.5F, 4.5F);
  street.camera = live ? live_camera(street, random) : varied_camera(street, random);
  if (random.chance(0.5F)) street.camera.yaw_turns = 0.5F - street.camera.yaw_turns;
  street.camera.width_px = width_px;
  street.camera.height_px = height_px;
  const float edge = street.road_half_m + street.pavement_m;
  street.far_wall_y_m = edge + random.range(0.2F, 7.0F);
  street.near_wall_y_m = std::min(-edge - random.range(0.2F, 3.0F), street.camera.y_m - 1.5F);
  street.far_park = random.chance(0.25F);
  street.zebra = random.chance(0.6F);
  street.zebra_x_m = (street.camera.yaw_turns < 0.25F ? 1.0F : -1.0F) * random.range(6, 26);
  street.traffic = random.range(0.35F, 1.0F);
  street.crowd = random.range(0.25F, 1.0F);
  street.blur = live ? random.range(0.03F, 0.08F) : random.range(0, 0.14F);
  street.noise_levels = random.range(0.8F, live ? 2.5F : 4.5F) * (street.light.night ? 1.8F : 1.0F);
  street.gain = live ? random.range(0.95F, 1.05F) : random.range(0.75F, 1.25F);
  return street;
}

}  // namespace wayside::drivers::synthetic
