// SPDX-License-Identifier: Apache-2.0
// Median background, threshold, closing (dilate, erode), connected regions.
#include "optimizer/label/motion.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <format>
#include <utility>

namespace wayside::optimizer {
namespace {

constexpr int kReduction = 4;  // two halvings

Picture quarter(const Picture& picture) { return halve(halve(picture)); }

/// Median of (frame - background) of one channel: what the camera's exposure changed.
int shift_of(const Picture& frame, const Picture& background, std::size_t channel) {
  std::array<std::size_t, 511> histogram{};
  for (std::size_t i = channel; i < frame.rgb.size(); i += 3) ++histogram[frame.rgb[i] - background.rgb[i] + 255];
  std::size_t seen = 0;
  const std::size_t half = frame.rgb.size() / 6;
  for (std::size_t v = 0; v < histogram.size(); ++v) {
    seen += histogram[v];
    if (seen > half) return static_cast<int>(v) - 255;
  }
  return 0;
}

/// Each cell becomes `wanted` when any cell within `radius` along the row or the column direction is: separable square.
std::vector<std::uint8_t> spread(const std::vector<std::uint8_t>& in, int width, int height, int radius,
                                 std::uint8_t wanted) {
  std::vector<std::uint8_t> rows = in, out = in;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int d = std::max(0, x - radius); d <= std::min(width - 1, x + radius); ++d) {
        if (in[static_cast<std::size_t>(y * width + d)] == wanted)
          rows[static_cast<std::size_t>(y * width + x)] = wanted;
      }
    }
  }
  out = rows;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int d = std::max(0, y - radius); d <= std::min(height - 1, y + radius); ++d) {
        if (rows[static_cast<std::size_t>(d * width + x)] == wanted)
          out[static_cast<std::size_t>(y * width + x)] = wanted;
      }
    }
  }
  return out;
}

struct Found {
  int x0, y0, x1, y1;
  int cells = 0;
};

/// The region that holds `start`, by flood fill; visited cells are cleared.
Found take_region(std::vector<std::uint8_t>& mask, int width, int height, std::pair<int, int> start) {
  Found found{start.first, start.second, start.first + 1, start.second + 1};
  std::vector<std::pair<int, int>> open{start};
  mask[static_cast<std::size_t>(start.second * width + start.first)] = 0;
  while (!open.empty()) {
    const auto [x, y] = open.back();
    open.pop_back();
    ++found.cells;
    found = {std::min(found.x0, x), std::min(found.y0, y), std::max(found.x1, x + 1), std::max(found.y1, y + 1),
             found.cells};
    for (const auto& [nx, ny] : {std::pair{x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}}) {
      if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
      auto& cell = mask[static_cast<std::size_t>(ny * width + nx)];
      if (cell == 0) continue;
      cell = 0;
      open.emplace_back(nx, ny);
    }
  }
  return found;
}

}  // namespace

base::Result<MotionLabeller> MotionLabeller::create(std::span<const Picture> frames, const MotionOptions& options) {
  const auto invalid = [](std::string text) { return base::fail(base::Code::invalid_argument, std::move(text)); };
  if (frames.size() < 3)
    return invalid(std::format("a background needs at least 3 frames, not {}; give a longer recording", frames.size()));
  const std::size_t used = std::min(frames.size(), kMaxBackgroundFrames);
  std::vector<Picture> small;
  for (std::size_t i = 0; i < used; ++i) {
    const Picture& frame = frames[i * frames.size() / used];
    if (frame.width_px < 16 || frame.height_px < 16 || frame.width_px != frames[0].width_px ||
        frame.height_px != frames[0].height_px) {
      return invalid(std::format("frame of {}x{} px: all frames must have one size of at least 16x16 px",
                                 frame.width_px, frame.height_px));
    }
    small.push_back(quarter(frame));
  }
  Picture background(small[0].width_px, small[0].height_px);
  std::vector<std::uint8_t> values(used);
  for (std::size_t i = 0; i < background.rgb.size(); ++i) {
    for (std::size_t f = 0; f < used; ++f) values[f] = small[f].rgb[i];
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(used / 2));
    background.rgb[i] = values[used / 2];
  }
  return MotionLabeller(std::move(background), options);
}

std::vector<std::uint8_t> MotionLabeller::mask(const Picture& small) const {
  std::array<int, 3> shift{};
  for (std::size_t c = 0; c < 3; ++c) shift[c] = shift_of(small, background_, c);
  std::vector<std::uint8_t> mask(small.rgb.size() / 3);
  for (std::size_t i = 0; i < small.rgb.size(); ++i) {
    if (std::abs(small.rgb[i] - background_.rgb[i] - shift[i % 3]) > options_.threshold) mask[i / 3] = 1;
  }
  const int radius = std::max(1, options_.closing_px / kReduction);
  return spread(spread(mask, small.width_px, small.height_px, radius, 1), small.width_px, small.height_px, radius, 0);
}

std::vector<LabelBox> MotionLabeller::label(const Picture& frame) const {
  const Picture small = quarter(frame);
  if (small.rgb.size() != background_.rgb.size()) return {};
  auto cells = mask(small);
  const double all = static_cast<double>(cells.size());
  std::vector<LabelBox> boxes;
  for (int y = 0; y < small.height_px; ++y) {
    for (int x = 0; x < small.width_px; ++x) {
      if (cells[static_cast<std::size_t>(y * small.width_px + x)] == 0) continue;
      const Found found = take_region(cells, small.width_px, small.height_px, {x, y});
      if (found.cells < options_.least_area * all) continue;
      const bool doubtful = found.cells < options_.doubtful_area * all;
      boxes.push_back({static_cast<float>(found.x0 * kReduction), static_cast<float>(found.y0 * kReduction),
                       static_cast<float>(std::min(found.x1 * kReduction, frame.width_px)),
                       static_cast<float>(std::min(found.y1 * kReduction, frame.height_px)),
                       doubtful ? kIgnoreClass : options_.class_id});
    }
  }
  return boxes;
}

Picture MotionLabeller::repaint(Picture frame, const std::array<double, 3>& colour) const {
  const Picture small = quarter(frame);
  if (small.rgb.size() != background_.rgb.size()) return frame;
  const auto cells = mask(small);
  for (int y = 0; y < frame.height_px; ++y) {
    const int row = std::min(y / kReduction, small.height_px - 1) * small.width_px;
    for (int x = 0; x < frame.width_px; ++x) {
      if (cells[static_cast<std::size_t>(row + std::min(x / kReduction, small.width_px - 1))] == 0) continue;
      for (std::size_t c = 0; c < 3; ++c) {
        auto& value = frame.row(y)[3 * static_cast<std::size_t>(x) + c];
        value = static_cast<std::uint8_t>(value * colour[c]);
      }
    }
  }
  return frame;
}

}  // namespace wayside::optimizer
