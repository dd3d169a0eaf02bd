// SPDX-License-Identifier: Apache-2.0
// Where to look for faces, and the similarity of two sets of points.
#include "optimizer/label/face_crops.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

#include "optimizer/import/import_model.h"
#include "optimizer/label/tiles.h"

namespace wayside::optimizer {
namespace {

/// The part of `picture` that a square has, side_px * side_px; grey where nothing lies.
Picture square_of(const Picture& picture, int x0_px, int y0_px, int source_px, int side_px) {
  Picture from = picture;
  double x0 = x0_px, y0 = y0_px, step = static_cast<double>(source_px) / side_px;
  while (step >= 2) {
    from = halve(from);
    x0 /= 2;
    y0 /= 2;
    step /= 2;
  }
  Picture out(side_px, side_px);
  resample(from, {.x0_px = x0, .y0_px = y0, .step_x = step, .step_y = step}, {0, 0, side_px, side_px}, 0, out);
  return out;
}

/// x' = a x - b y + tx, y' = b x + a y + ty.
struct Similarity {
  double a = 1, b = 0, tx = 0, ty = 0;
};

/// From `to` back to `from`: least squares over the points. Source: Umeyama 1991, in two dimensions without reflection.
Similarity similarity(const Landmarks& from, const Landmarks& to) {
  Point from_mean, to_mean;
  for (std::size_t i = 0; i < from.size(); ++i) {
    constexpr double kCount = std::tuple_size_v<Landmarks>;
    from_mean.x_px += from[i].x_px / kCount;
    from_mean.y_px += from[i].y_px / kCount;
    to_mean.x_px += to[i].x_px / kCount;
    to_mean.y_px += to[i].y_px / kCount;
  }
  double along = 0, across = 0, spread = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const double x = to[i].x_px - to_mean.x_px, y = to[i].y_px - to_mean.y_px;
    const double u = from[i].x_px - from_mean.x_px, v = from[i].y_px - from_mean.y_px;
    along += x * u + y * v;
    across += x * v - y * u;
    spread += x * x + y * y;
  }
  Similarity out{.a = along / spread, .b = across / spread};
  out.tx = from_mean.x_px - out.a * to_mean.x_px + out.b * to_mean.y_px;
  out.ty = from_mean.y_px - out.b * to_mean.x_px - out.a * to_mean.y_px;
  return out;
}

std::uint8_t pixel(const Picture& picture, double x_px, double y_px, int channel) {
  const double x = std::clamp(x_px - 0.5, 0.0, static_cast<double>(picture.width_px - 1)),
               y = std::clamp(y_px - 0.5, 0.0, static_cast<double>(picture.height_px - 1));
  const int x0 = static_cast<int>(x), y0 = static_cast<int>(y);
  const int x1 = std::min(x0 + 1, picture.width_px - 1), y1 = std::min(y0 + 1, picture.height_px - 1);
  const double fx = x - x0, fy = y - y0;
  const auto at = [&](int column, int row) { return static_cast<double>(picture.row(row)[3 * column + channel]); };
  const double top = at(x0, y0) * (1 - fx) + at(x1, y0) * fx, bottom = at(x0, y1) * (1 - fx) + at(x1, y1) * fx;
  return static_cast<std::uint8_t>(std::lround(top * (1 - fy) + bottom * fy));
}

}  // namespace

base::Result<FaceFinder> FaceFinder::create(const std::filesystem::path& model) {
  WAYSIDE_TRY(const auto graph, import_model(model));
  FaceFinder finder;
  const auto& in = graph.tensors[graph.inputs[0]].shape;
  if (graph.inputs.size() != 1 || in.size() != 4 || in[1] != in[2] || in[3] != 3 || in[1] % 32 != 0)
    return base::fail(base::Code::unsupported, std::format("{}: not YuNet with a square input", model.string()));
  finder.side_px_ = in[1];
  auto levels = yunet_levels(graph);
  if (!levels) return std::unexpected(std::move(levels.error().context(model.string())));
  finder.levels_ = std::move(*levels);
  finder.network_ = std::make_shared<ir::Interpreter>(graph);
  return finder;
}

void FaceFinder::look(const Picture& picture, int x0_px, int y0_px, int source_px, float least_score,
                      std::vector<Face>& found) {
  const Picture square = square_of(picture, x0_px, y0_px, source_px, side_px_);
  ir::Values input(square.rgb.begin(), square.rgb.end());
  for (std::size_t i = 0; i + 2 < input.size(); i += 3) std::swap(input[i], input[i + 2]);  // BGR
  const auto outputs = network_->run({input});
  const float scale = static_cast<float>(source_px) / static_cast<float>(side_px_);
  const auto left = static_cast<float>(x0_px), top = static_cast<float>(y0_px);
  for (Face& face : decode_yunet(levels_, outputs, least_score)) {
    face.box = {left + face.box.x0 * scale, top + face.box.y0 * scale, left + face.box.x1 * scale,
                top + face.box.y1 * scale, 0};
    for (Point& point : face.landmarks)
      point = {static_cast<double>(left + static_cast<float>(point.x_px) * scale),
               static_cast<double>(top + static_cast<float>(point.y_px) * scale)};
    found.push_back(face);
  }
}

std::vector<Face> FaceFinder::find(const Picture& picture, float least_score, bool small_too) {
  std::vector<Face> found;
  look(picture, 0, 0, std::max(picture.width_px, picture.height_px), least_score, found);
  const bool whole_suffices = !small_too && !found.empty();
  for (const int size : {2 * side_px_, side_px_}) {
    if (whole_suffices || size > std::min(picture.width_px, picture.height_px)) continue;
    for (const int y : tile_starts(picture.height_px, size)) {
      for (const int x : tile_starts(picture.width_px, size)) look(picture, x, y, size, least_score, found);
    }
  }
  std::ranges::stable_sort(found, std::greater(), &Face::score);
  std::vector<Face> kept;
  for (const Face& face : found) {
    constexpr float kSame = 0.3F;
    if (std::ranges::none_of(kept, [&](const Face& better) { return overlap(better.box, face.box) > kSame; }))
      kept.push_back(face);
  }
  return kept;
}

Picture cut_face(const Picture& picture, const Landmarks& landmarks, int side_px, Point moved) {
  constexpr Landmarks kPlaces{{{30.2946 / 96, 51.6963 / 112},
                               {65.5318 / 96, 51.5014 / 112},
                               {48.0252 / 96, 71.7366 / 112},
                               {33.5493 / 96, 92.3655 / 112},
                               {62.7299 / 96, 92.2041 / 112}}};  // shares of the crop
  Landmarks to = kPlaces;
  for (auto& place : to) place = {place.x_px * side_px + moved.x_px, place.y_px * side_px + moved.y_px};
  Picture from = picture;
  Landmarks points = landmarks;
  Similarity back = similarity(points, to);
  while (std::hypot(back.a, back.b) >= 2 && std::min(from.width_px, from.height_px) >= 2) {
    from = halve(from);
    for (auto& point : points) point = {point.x_px / 2, point.y_px / 2};
    back = similarity(points, to);
  }
  Picture out(side_px, side_px);
  for (int y = 0; y < side_px; ++y) {
    for (int x = 0; x < side_px; ++x) {
      const double u = x + 0.5, v = y + 0.5;
      for (int c = 0; c < 3; ++c)
        out.row(y)[3 * x + c] = pixel(from, back.a * u - back.b * v + back.tx, back.b * u + back.a * v + back.ty, c);
    }
  }
  return out;
}

}  // namespace wayside::optimizer
