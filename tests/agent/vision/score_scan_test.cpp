// SPDX-License-Identifier: Apache-2.0
// The quantised threshold against the definition, for every value of the type.
#include "agent/vision/score_scan.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace wayside::agent {
namespace {

template <class T>
void check_threshold(const accel::Quantization& q, float threshold) {
  const auto limit = quantised_threshold<T>(q, threshold);
  for (int value = std::numeric_limits<T>::min(); value <= std::numeric_limits<T>::max(); ++value) {
    const bool passes = q.scale * static_cast<float>(value - q.zero_point) >= threshold;
    ASSERT_EQ(limit.has_value() && value >= *limit, passes) << value << " at " << threshold;
  }
}

TEST(ScoreScan, QuantisedThresholdIsExact) {
  for (const float threshold : {-1.0F, 0.0F, 0.001F, 0.25F, 0.3F, 0.5F, 0.999F, 0.99609375F, 1.0F, 7.0F}) {
    for (const accel::Quantization q :
         {accel::Quantization{1.0F / 256, -128}, accel::Quantization{0.1F, 3}, accel::Quantization{0.0371F, -17}}) {
      check_threshold<std::int8_t>(q, threshold);
    }
    check_threshold<std::uint8_t>({1.0F / 256, 0}, threshold);
    check_threshold<std::uint8_t>({0.0123F, 111}, threshold);
  }
}

TEST(ScoreScan, FindsTheBestClassOfEachCell) {
  const std::vector<std::int8_t> scores = {-128, 5, 7, 7, /**/ -1, -2, -3, -4, /**/ 0, 127, -128, 1};
  const ScoreLayout layout{.cell_count = 3, .cell_stride = 4, .class_count = 4};
  std::vector<std::size_t> found;
  scan_cells<std::int8_t>(scores.data(), layout, 0,
                          [&](std::uint32_t cell, std::int32_t class_id, std::size_t element) {
                            EXPECT_EQ(element, cell * 4U + static_cast<std::size_t>(class_id));
                            found.push_back(element);
                          });
  EXPECT_EQ(found, (std::vector<std::size_t>{2, 9}));
}

TEST(ScoreScan, TheBestClassIsSoughtAmongTheWanted) {
  const std::vector<std::int8_t> scores = {90, 5, 70, 7, /**/ 90, -2, -3, -4};
  const std::vector<std::uint16_t> wanted = {1, 2};
  const ScoreLayout layout{.cell_count = 2, .cell_stride = 4, .class_count = 4, .wanted = wanted};
  std::vector<std::size_t> found;
  scan_cells<std::int8_t>(scores.data(), layout, 0,
                          [&](std::uint32_t, std::int32_t, std::size_t element) { found.push_back(element); });
  EXPECT_EQ(found, (std::vector<std::size_t>{2})) << "an unwanted class must not hide a wanted one, nor pass alone";
}

TEST(ScoreScan, NanNeverPasses) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> scores = {nan, nan, /**/ nan, 0.9F};
  const ScoreLayout layout{.cell_count = 2, .cell_stride = 2, .class_count = 2};
  std::vector<std::size_t> found;
  scan_cells<float>(scores.data(), layout, 0.5F,
                    [&](std::uint32_t, std::int32_t, std::size_t element) { found.push_back(element); });
  EXPECT_EQ(found, (std::vector<std::size_t>{3}));
}

TEST(ScoreScan, ReadsEveryType) {
  const std::vector<std::byte> bytes = {std::byte{0xFE}, std::byte{0xFF}, std::byte{0}, std::byte{0}};
  const accel::Quantization q{0.5F, 2};
  EXPECT_FLOAT_EQ(real_at({.name = "", .type = accel::DType::i8, .shape = {}, .quantization = q}, bytes, 0), -2);
  EXPECT_FLOAT_EQ(real_at({.name = "", .type = accel::DType::u8, .shape = {}, .quantization = q}, bytes, 0), 126);
  EXPECT_FLOAT_EQ(real_at({.name = "", .type = accel::DType::i16, .shape = {}, .quantization = q}, bytes, 0), -2);
}

}  // namespace
}  // namespace wayside::agent
