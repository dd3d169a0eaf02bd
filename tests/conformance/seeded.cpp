// SPDX-License-Identifier: Apache-2.0
// Picture-like seeded inputs.
#include "tests/conformance/seeded.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace wayside::conformance {

namespace {

constexpr std::int64_t kUnit = 1024;  ///< coordinates are 0..kUnit across the picture
constexpr std::size_t kMaxChannels = 4;
constexpr std::size_t kMaxShapes = 12;

struct Shape {
  bool disc = false;
  std::int64_t x = 0, y = 0, width = 0, height = 0;  ///< centre and half sizes in units
  std::array<std::int64_t, kMaxChannels> colour{};
};

Shape random_shape(Random& random) {
  Shape shape;
  shape.disc = random.between(0, 1) == 1;
  shape.x = random.between(0, kUnit);
  shape.y = random.between(0, kUnit);
  shape.width = random.between(40, 320);
  shape.height = random.between(40, 320);
  for (auto& value : shape.colour) value = random.between(0, 255);
  return shape;
}

bool covers(const Shape& shape, std::int64_t x, std::int64_t y) {
  const auto dx = (x - shape.x) * kUnit / shape.width;
  const auto dy = (y - shape.y) * kUnit / shape.height;
  if (shape.disc) return dx * dx + dy * dy <= kUnit * kUnit;
  return std::max(dx < 0 ? -dx : dx, dy < 0 ? -dy : dy) <= kUnit;
}

}  // namespace

void fill_picture(std::span<std::uint8_t> pixels, std::int32_t height, std::int32_t width, std::int32_t channels,
                  std::uint64_t seed) {
  Random random(seed);
  std::array<std::array<std::int64_t, kMaxChannels>, 3> background{};  // at the top left, more to the right, downwards
  for (auto& corner : background) {
    for (auto& value : corner) value = random.between(0, 255);
  }
  std::array<Shape, kMaxShapes> shapes;
  for (auto& shape : shapes) shape = random_shape(random);
  std::size_t at = 0;
  for (std::int32_t row = 0; row < height; ++row) {
    for (std::int32_t column = 0; column < width; ++column) {
      const auto x = column * kUnit / width;
      const auto y = row * kUnit / height;
      for (std::int32_t channel = 0; channel < channels; ++channel) {
        const auto c = static_cast<std::size_t>(channel) % kMaxChannels;
        auto value =
            (background[0][c] * (2 * kUnit - x - y) + background[1][c] * x + background[2][c] * y) / (2 * kUnit);
        for (const auto& shape : shapes) {
          if (covers(shape, x, y)) value = (value + 3 * shape.colour[c]) / 4;
        }
        value += random.between(-6, 6);
        pixels[at++] = static_cast<std::uint8_t>(std::clamp<std::int64_t>(value, 0, 255));
      }
    }
  }
}

void fill_model_input(std::span<std::uint8_t> bytes, std::span<const std::int32_t> shape, bool is_signed,
                      std::uint64_t seed) {
  if (shape.size() != 4) {
    fill_picture(bytes, 1, static_cast<std::int32_t>(bytes.size()), 1, seed);
  } else if (shape[1] <= 4 && shape[3] > 4) {
    std::vector<std::uint8_t> pixels(bytes.size());
    fill_picture(pixels, shape[2], shape[3], shape[1], seed);
    const auto channels = static_cast<std::size_t>(shape[1]);
    const auto plane = bytes.size() / channels;
    for (std::size_t i = 0; i < pixels.size(); ++i) bytes[i % channels * plane + i / channels] = pixels[i];
  } else {
    fill_picture(bytes, shape[1], shape[2], shape[3], seed);
  }
  if (!is_signed) return;
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(byte ^ 0x80U);
}

}  // namespace wayside::conformance
