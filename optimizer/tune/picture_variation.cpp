// SPDX-License-Identifier: Apache-2.0
// Shift, mirror, contrast, brightness.
#include "optimizer/tune/picture_variation.h"

#include <random>

namespace wayside::optimizer {
namespace {

/// Mild: what another hour or another place of the camera does.
constexpr std::int64_t kShiftPart = 8;
constexpr double kContrast = 0.2, kBrightness = 0.1;

}  // namespace

bool is_picture(const ir::Shape& shape) {
  return shape.size() == 4 && (shape[3] == 1 || shape[3] == 3) && shape[1] >= kShiftPart && shape[2] >= kShiftPart;
}

torch::Tensor varied(const torch::Tensor& picture, const ValueRange& range, std::uint64_t seed) {
  const torch::NoGradGuard no_grad;
  std::mt19937_64 random(seed);
  const auto between = [&random](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  const std::int64_t height = picture.size(2), width = picture.size(3);
  const std::int64_t most_y = height / kShiftPart, most_x = width / kShiftPart;
  const auto y = std::uniform_int_distribution<std::int64_t>(0, 2 * most_y)(random);
  const auto x = std::uniform_int_distribution<std::int64_t>(0, 2 * most_x)(random);
  auto out =
      torch::replication_pad2d(picture, {most_x, most_x, most_y, most_y}).narrow(2, y, height).narrow(3, x, width);
  if (std::bernoulli_distribution(0.5)(random)) out = out.flip(3);
  const double contrast = between(1 - kContrast, 1 + kContrast);
  const double brightness = between(-kBrightness, kBrightness) * static_cast<double>(range.high - range.low);
  const auto mean = out.mean();
  out = ((out - mean) * contrast + mean + brightness).clamp(range.low, range.high);
  return out.contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace wayside::optimizer
