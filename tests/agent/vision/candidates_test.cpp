// SPDX-License-Identifier: Apache-2.0
// The bounded candidate list against a full sort, and suppression against a brute-force definition.
#include "agent/vision/candidates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "tests/agent/vision/fake_session.h"

namespace wayside::agent {
namespace {

using test::plain_mapping;

TEST(CandidateList, KeepsTheBestOnes) {
  std::mt19937 random(11);
  std::vector<Candidate> all;
  CandidateList list;
  for (int round = 0; round < 3; ++round) {
    all.clear();
    list.clear();
    for (std::uint32_t cell = 0; cell < 3000; ++cell) {
      // Few distinct scores, as quantised tensors have: ties are the rule.
      all.push_back({static_cast<float>(random() % 40) / 40, cell, static_cast<std::int32_t>(random() % 3)});
    }
    std::ranges::shuffle(all, random);
    for (const auto& candidate : all) list.offer(candidate);
    std::ranges::sort(
        all, [](const auto& a, const auto& b) { return a.score != b.score ? a.score > b.score : a.cell < b.cell; });
    const auto got = list.sorted();
    ASSERT_EQ(got.size(), kMaxDetections);
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i].cell, all[i].cell) << i;
  }
}

TEST(CandidateList, IgnoresScoresThatAreNotFinite) {
  CandidateList list;
  list.offer({std::numeric_limits<float>::quiet_NaN(), 0, 0});
  list.offer({std::numeric_limits<float>::infinity(), 1, 0});
  list.offer({0.5F, 2, 0});
  ASSERT_EQ(list.sorted().size(), 1U);
  EXPECT_EQ(list.sorted()[0].cell, 2U);
}

/// A box survives when no surviving better box of its class overlaps it by more than the threshold.
std::vector<Detection> brute_force(const std::vector<Detection>& sorted, const DecoderCard& card) {
  std::vector<bool> alive(sorted.size(), true);
  std::vector<Detection> result;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const auto &a = sorted[i], &b = sorted[j];
      if (!alive[j] || (a.class_id != b.class_id && !card.class_agnostic)) continue;
      const double width = std::max(0.0F, std::min(a.x1, b.x1) - std::max(a.x0, b.x0));
      const double height = std::max(0.0F, std::min(a.y1, b.y1) - std::max(a.y0, b.y0));
      const double area = [](const Detection& d) { return (d.x1 - d.x0) * (d.y1 - d.y0); }(a) +
                          static_cast<double>((b.x1 - b.x0) * (b.y1 - b.y0));
      if (width * height / (area - width * height) > card.iou_threshold) alive[i] = false;
    }
    if (alive[i] && result.size() < card.max_detections) result.push_back(sorted[i]);
  }
  return result;
}

TEST(BoxFilter, EqualsBruteForce) {
  std::mt19937 random(20260902);
  const auto coordinate = [&](unsigned limit) { return static_cast<float>(random() % limit); };
  for (int round = 0; round < 60; ++round) {
    const DecoderCard card{.iou_threshold = 0.3F + 0.1F * static_cast<float>(round % 5) + 0.003F,
                           .max_detections = static_cast<std::uint32_t>(20 + random() % 200),
                           .class_agnostic = round % 2 == 1};
    BoxFilter filter(card);
    filter.begin(plain_mapping(2000, 2000));
    std::vector<Detection> boxes;
    for (int i = 0; i < 300; ++i) {
      const float x = coordinate(300), y = coordinate(300);
      boxes.push_back({x, y, x + 1 + coordinate(90), y + 1 + coordinate(90), 1 - static_cast<float>(i) / 300,
                       static_cast<std::int32_t>(random() % 3)});
      const auto& box = boxes.back();
      filter.add({box.score, 0, box.class_id}, box.x0, box.y0, box.x1, box.y1);
    }
    const auto expected = brute_force(boxes, card);
    const auto got = filter.result();
    ASSERT_EQ(got.size(), expected.size()) << round;
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i].score, expected[i].score) << round << ' ' << i;
      ASSERT_EQ(got[i].x0, expected[i].x0);
    }
  }
}

TEST(BoxFilter, MapsClipsAndDropsDegenerateBoxes) {
  BoxFilter filter(DecoderCard{});
  accel::FrameMapping mapping{
      .scale_x = 2, .scale_y = 2, .offset_x = -10, .x0_px = 0, .y0_px = 0, .x1_px = 100, .y1_px = 80};
  filter.begin(mapping);
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  filter.add({0.9F, 0, 0}, 0, 30, 20, 50);  // -10..30, 60..100: clipped
  filter.add({0.8F, 0, 1}, 60, 0, 70, 10);  // 110..130: outside
  filter.add({0.8F, 0, 1}, nan, 0, 70, 10);
  filter.add({0.8F, 0, 1}, 0, 0, inf, 10);
  filter.add({0.8F, 0, 1}, 20, 20, 20, 30);  // empty
  filter.add({0.8F, 0, 1}, 25, 20, 20, 30);  // inside out
  filter.add({1.2F, 0, 2}, 20, 20, 30, 30);
  ASSERT_EQ(filter.result().size(), 2U);
  const auto& box = filter.result()[0];
  EXPECT_FLOAT_EQ(box.x0, 0);
  EXPECT_FLOAT_EQ(box.x1, 30);
  EXPECT_FLOAT_EQ(box.y0, 60);
  EXPECT_FLOAT_EQ(box.y1, 80);
  EXPECT_FLOAT_EQ(filter.result()[1].score, 1);
}

}  // namespace
}  // namespace wayside::agent
