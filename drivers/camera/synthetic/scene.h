// SPDX-License-Identifier: Apache-2.0
// Scene: the street drawn for one moment, with the truth about what is in the picture.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "drivers/camera/camera.h"
#include "drivers/camera/synthetic/world.h"

namespace wayside::drivers::synthetic {

struct SceneOptions {
  std::uint64_t seed = 1;
  int width_px = 1280;  ///< even
  int height_px = 720;  ///< even
  double rate_hz = 15;  ///< frame number / rate = time in the scene
  Variety variety = Variety::live;
};

/// What a plate says; `vehicle_id` is the object_id of the car or truck that carries it.
struct PlateText {
  std::uint32_t vehicle_id = 0;
  std::array<char, 8> text{};  ///< zero-terminated, e.g. "WY 1234"
};

/// The picture depends on the options and the frame number alone: the same bytes on every machine.
class Scene {
 public:
  explicit Scene(const SceneOptions& options);
  ~Scene();

  struct Picture {
    std::uint8_t* luma = nullptr;    ///< [height,width], stride width_px
    std::uint8_t* chroma = nullptr;  ///< [height/2,width/2,2], stride width_px
  };
  /// Renders frame `number` as NV12, limited range; allocates nothing. `truth` is replaced; reserve kMaxTruth.
  /// Boxes enclose the whole object as far as it lies in the frame, whether hidden by others or not; riders belong to
  /// the box of their two_wheeler and have none of their own.
  void render(std::uint64_t number, const Picture& picture, std::vector<TruthBox>& truth);
  /// Texts of the plates in the last rendered frame, in the order of the plate boxes in its truth.
  [[nodiscard]] std::span<const PlateText> plates() const { return plates_; }

  /// For tests: draws the background and only the object `object_id` (0: only the background) as RGB, without noise;
  /// returns its box, class_id 255 if it is not in the picture.
  TruthBox render_alone(std::uint64_t number, std::uint32_t object_id);
  [[nodiscard]] const Canvas& canvas() const { return canvas_; }

  static constexpr std::size_t kMaxTruth = 2 * (World::kMaxMoving + World::kMaxStill);

 private:
  struct Drawn;
  void draw_static();
  void restore_background();
  void restore(std::size_t at);
  void draw_moving(double time_s, std::uint32_t only_id);
  void draw_actor(Drawn& drawn);
  void measure(Drawn& drawn);
  void restore_nearer(int y, int x0, int x1, std::uint16_t depth_cm);
  void collect_truth(std::vector<TruthBox>& truth);
  void develop(std::uint64_t number, const Picture& picture);
  void convert_tile(int tile_x, int tile_y, std::uint8_t* luma, std::uint8_t* chroma) const;
  void draw_rain(std::uint64_t number, const Picture& picture) const;
  void mark_tiles(const Bounds& bounds);

  SceneOptions options_;
  Street street_;
  World world_;
  View view_;
  Canvas canvas_;
  Pen pen_;
  std::vector<std::uint32_t> background_;  ///< pixels of the canvas, their owners in the highest byte
  std::vector<std::uint8_t> background_luma_, background_chroma_;
  std::vector<std::uint8_t> sharp_rows_;  ///< two
  std::vector<std::int8_t> sensor_noise_;
  std::vector<std::uint8_t> dirty_tiles_;
  int tiles_x_, tiles_y_;
  std::vector<Actor> actors_;
  std::vector<Drawn> still_drawn_, moving_drawn_;
  std::vector<PlateText> plates_;
};

}  // namespace wayside::drivers::synthetic
