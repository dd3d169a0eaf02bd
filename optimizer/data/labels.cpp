// SPDX-License-Identifier: Apache-2.0
// YOLO text files and box overlap.
#include "optimizer/data/labels.h"

#include <algorithm>
#include <format>
#include <fstream>
#include <sstream>
#include <string>

namespace wayside::optimizer {
namespace {

float area(const LabelBox& box) { return std::max(0.0F, width(box)) * std::max(0.0F, height(box)); }

float intersection(const LabelBox& a, const LabelBox& b) {
  const float w = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  const float h = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  return w > 0 && h > 0 ? w * h : 0;
}

}  // namespace

float overlap(const LabelBox& a, const LabelBox& b) {
  const float common = intersection(a, b);
  const float all = area(a) + area(b) - common;
  return all > 0 ? common / all : 0;
}

float covered(const LabelBox& inner, const LabelBox& outer) {
  const float own = area(inner);
  return own > 0 ? intersection(inner, outer) / own : 0;
}

base::Result<std::vector<LabelBox>> parse_yolo(std::string_view text, int width_px, int height_px,
                                               const ClassMap& classes) {
  std::vector<LabelBox> boxes;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    std::istringstream words(line);
    int class_id = 0;
    float x = 0, y = 0, w = 0, h = 0;
    if (!(words >> class_id >> x >> y >> w >> h) || class_id < kIgnoreClass || !(w > 0) || !(h > 0)) {
      return base::fail(
          base::Code::corrupt,
          std::format("line {}: expected \"class x_center y_center width height\", found \"{}\"", number, line));
    }
    if (class_id != kIgnoreClass && !classes.empty()) {
      const auto mapped = classes.find(class_id);
      if (mapped == classes.end()) continue;
      class_id = mapped->second;
    }
    const auto wide = static_cast<float>(width_px), high = static_cast<float>(height_px);
    boxes.push_back({(x - w / 2) * wide, (y - h / 2) * high, (x + w / 2) * wide, (y + h / 2) * high, class_id});
  }
  return boxes;
}

base::Result<void> write_yolo(const std::filesystem::path& path, const std::vector<LabelBox>& boxes, int width_px,
                              int height_px) {
  std::ofstream file(path, std::ios::trunc);
  for (const auto& box : boxes) {
    const auto wide = static_cast<float>(width_px), high = static_cast<float>(height_px);
    file << std::format("{} {:.6f} {:.6f} {:.6f} {:.6f}\n", box.class_id, (box.x0 + box.x1) / 2 / wide,
                        (box.y0 + box.y1) / 2 / high, width(box) / wide, height(box) / high);
  }
  file.close();
  if (!file) return base::fail(base::Code::io, std::format("write {}: failed", path.string()));
  return {};
}

}  // namespace wayside::optimizer
