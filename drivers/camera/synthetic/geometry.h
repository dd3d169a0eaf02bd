// SPDX-License-Identifier: Apache-2.0
// Vectors, angles and random numbers of the synthetic street; the same bits on every machine.
//
// Why not <cmath> and <random>: their results differ between C libraries. Only + - * / and sqrt are used here (exact by
// IEEE 754), and the target is compiled with -ffp-contract=off, so that no machine fuses a multiply with an add.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace wayside::drivers::synthetic {

struct Vec2 {
  float x = 0, y = 0;
};
/// World, in metres: x along the road, y across it (to the left when looking along +x), z up; the ground is z = 0.
struct Vec3 {
  float x = 0, y = 0, z = 0;
};

constexpr Vec2 operator+(Vec2 a, Vec2 b) { return {a.x + b.x, a.y + b.y}; }
constexpr Vec2 operator-(Vec2 a, Vec2 b) { return {a.x - b.x, a.y - b.y}; }
constexpr Vec2 operator*(Vec2 a, float k) { return {a.x * k, a.y * k}; }
constexpr Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
constexpr Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
constexpr Vec3 operator*(Vec3 a, float k) { return {a.x * k, a.y * k, a.z * k}; }
constexpr float dot(Vec2 a, Vec2 b) { return a.x * b.x + a.y * b.y; }
constexpr float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
constexpr Vec3 cross(Vec3 a, Vec3 b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
constexpr Vec3 lerp(Vec3 a, Vec3 b, float k) { return a + (b - a) * k; }
inline float length(Vec2 a) { return std::sqrt(dot(a, a)); }
inline float length(Vec3 a) { return std::sqrt(dot(a, a)); }
inline Vec3 normalised(Vec3 a) {
  const float size = length(a);
  return size > 0 ? a * (1.0F / size) : Vec3{0, 0, 1};
}

/// Sine of an angle in turns (1 = full circle). Odd polynomial (Taylor to x^9 in a quarter turn: error below 4e-6).
inline float sine(float turns) {
  float t = turns - std::floor(turns);  // 0..1
  t = t > 0.75F ? t - 1.0F : t > 0.25F ? 0.5F - t : t;
  const float x = t * 6.2831853F;
  const float x2 = x * x;
  return x * (1.0F + x2 * (-1.0F / 6 + x2 * (1.0F / 120 + x2 * (-1.0F / 5040 + x2 * (1.0F / 362880)))));
}
inline float cosine(float turns) { return sine(turns + 0.25F); }
inline Vec2 direction(float turns) { return {cosine(turns), sine(turns)}; }

/// Finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
constexpr std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return mix(mix(a) ^ (b * 0xD1B54A32D192ED03ULL)); }

/// A stream of random numbers that depends on its seed alone.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) : state_(mix(seed)) {}
  constexpr std::uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15ULL); }
  constexpr float unit() { return static_cast<float>(next() >> 40) * 0x1p-24F; }  ///< 0 <= u < 1
  constexpr float range(float low, float high) { return low + (high - low) * unit(); }
  constexpr int below(int count) { return static_cast<int>((next() >> 33) % static_cast<std::uint64_t>(count)); }
  constexpr bool chance(float probability) { return unit() < probability; }
  template <class T, std::size_t N>
  constexpr const T& pick(const T (&from)[N]) {
    return from[below(static_cast<int>(N))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace wayside::drivers::synthetic
