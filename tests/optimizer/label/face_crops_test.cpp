// SPDX-License-Identifier: Apache-2.0
// Faces come to lie where recognisers want them, whatever their size and turn; YuNet finds a real one.
#include "optimizer/label/face_crops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace wayside::optimizer {
namespace {

/// Red dots at points that a turn by `angle`, a scale and a shift made of the wanted ones.
class Turned : public testing::TestWithParam<double> {};

TEST_P(Turned, LandmarksComeToTheirPlaces) {
  constexpr double kPlaces[5][2] = {{40.39, 59.08}, {87.38, 58.86}, {64.03, 81.98}, {44.73, 105.56}, {83.64, 105.38}};
  const double scale = 3, cosine = scale * std::cos(GetParam()), sine = scale * std::sin(GetParam());
  Picture picture(900, 900);
  Landmarks landmarks;
  for (std::size_t i = 0; i < landmarks.size(); ++i) {
    const double x = kPlaces[i][0] - 64, y = kPlaces[i][1] - 64;
    landmarks[i] = {450 + cosine * x - sine * y, 430 + sine * x + cosine * y};
    for (int dy = -3; dy <= 3; ++dy) {
      for (int dx = -3; dx <= 3; ++dx)
        picture.row(static_cast<int>(landmarks[i].y_px) + dy)[3 * (static_cast<int>(landmarks[i].x_px) + dx)] = 255;
    }
  }
  const Picture crop = cut_face(picture, landmarks, 128);
  for (const auto& place : kPlaces) {
    const auto red = crop.row(static_cast<int>(place[1]))[3 * static_cast<int>(place[0])];
    EXPECT_GT(red, 150) << place[0] << "," << place[1];
  }
  EXPECT_EQ(crop.row(10)[30], 0);
  const Picture moved = cut_face(picture, landmarks, 128, {6, 0});
  EXPECT_GT(moved.row(59)[3 * 46], 150) << "six px to the right";
}

INSTANTIATE_TEST_SUITE_P(Angles, Turned, testing::Values(0.0, 0.5, -1.2, 3.1));

TEST(FaceFinder, FindsOneFaceInAPortrait) {
  const char* shared = std::getenv("WAYSIDE_SHARED");
  const auto data = std::filesystem::path(shared == nullptr ? "../shared" : shared) / "data";
  if (!std::filesystem::exists(data / "models/onnx/yunet_n_320_320.onnx"))
    GTEST_SKIP() << "no shared data; set WAYSIDE_SHARED";
  auto finder = FaceFinder::create(data / "models/onnx/yunet_n_320_320.onnx");
  ASSERT_TRUE(finder) << finder.error().message;
  const auto picture = read_picture(data / "eval/coral_images/grace_hopper.bmp");
  ASSERT_TRUE(picture);
  const auto faces = finder->find(*picture, 0.8F, false);
  ASSERT_EQ(faces.size(), 1U);
  EXPECT_LT(faces[0].landmarks[0].x_px, faces[0].landmarks[1].x_px) << "eyes from left to right";
  EXPECT_LT(faces[0].landmarks[0].y_px, faces[0].landmarks[3].y_px) << "the mouth is below";
  EXPECT_FALSE(FaceFinder::create(data / "models/onnx/lprnet_cn.onnx"));
}

}  // namespace
}  // namespace wayside::optimizer
