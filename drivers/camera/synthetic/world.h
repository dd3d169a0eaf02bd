// SPDX-License-Identifier: Apache-2.0
// World: who is where at a given time. Everything moves by closed formulas, so that any moment can be asked directly.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/camera/synthetic/furniture.h"
#include "drivers/camera/synthetic/street.h"

namespace wayside::drivers::synthetic {

/// The first four are indices into kTruthClasses.
enum class Kind : std::uint8_t { person = 0, car = 1, truck = 2, two_wheeler = 3, furniture = 4 };

/// Something that stands on the ground, as it is at one moment.
struct Actor {
  Kind kind = Kind::person;
  Furniture furniture = Furniture::tree;
  bool still = false;  ///< parked, or standing
  Pose pose;
  std::uint64_t look_seed = 0;  ///< decides shape and colours
  std::uint32_t object_id = 0;  ///< stable while it is in the street; 0 for furniture
  float travelled_m = 0;        ///< turns wheels, moves legs
  float radius_m = 1;           ///< of a ball around its middle, for culling
};

class World {
 public:
  explicit World(const Street& street, Variety variety);
  /// Furniture, parked vehicles: the same at all times.
  [[nodiscard]] const std::vector<Actor>& still() const { return still_; }
  /// Writes what moves at `time_s` to `actors` (cleared first; never more than kMaxMoving).
  void moving(double time_s, std::vector<Actor>& actors) const;

  static constexpr std::size_t kMaxMoving = 150;
  static constexpr std::size_t kMaxStill = 70;

 private:
  /// A belt that runs along a line: its slots come round again, each time with somebody else on it.
  struct Belt {
    Vec2 start;        ///< ground point where the belt begins
    Vec2 ahead{1, 0};  ///< direction of motion
    float length_m = 0;
    float speed_mps = 0;
    int slots = 0;
    float fill = 1;  ///< share of slots taken
    enum class Traffic : std::uint8_t { road, cycles, walkers } traffic = Traffic::road;
    float scatter_m = 0;  ///< sideways and along
  };
  void add_belts(Random& random);
  void add_still(Random& random, Variety variety);
  void add_still_actor(Kind kind, Furniture furniture, Vec2 at, Vec2 ahead, std::uint64_t seed);
  void board(const Belt& belt, std::size_t index, int slot, double time_s, std::vector<Actor>& actors) const;

  Street street_;
  std::vector<Belt> belts_;
  std::vector<Actor> still_;
  std::vector<Actor> standing_;  ///< people who wait: drawn with what moves, because they sway
};

}  // namespace wayside::drivers::synthetic
