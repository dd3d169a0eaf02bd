// SPDX-License-Identifier: Apache-2.0
// Each decoder on tensors made by hand.
#include "agent/vision/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/agent/vision/fake_session.h"

namespace wayside::agent {
namespace {

using accel::DType;
using accel::TensorInfo;
using test::FakeSession;
using test::plain_mapping;
using ::testing::HasSubstr;

constexpr accel::Quantization kLogistic{1.0F / 256, -128};

std::unique_ptr<Decoder> make(const ModelCard& card, const FakeSession& session) {
  auto made = make_decoder(card, session);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return made ? std::move(*made) : nullptr;
}

std::string error_of(const ModelCard& card, const FakeSession& session) {
  const auto made = make_decoder(card, session);
  return made ? std::string() : made.error().message;
}

ModelCard card_of(DecoderType type, std::size_t label_count = 0) {
  ModelCard card;
  card.decoder.type = type;
  for (std::size_t i = 0; i < label_count; ++i) card.labels.push_back("label" + std::to_string(i));
  return card;
}

void expect_box(const Detection& got, float x0, float y0, float x1, float y1, float tolerance = 0.01F) {
  EXPECT_NEAR(got.x0, x0, tolerance);
  EXPECT_NEAR(got.y0, y0, tolerance);
  EXPECT_NEAR(got.x1, x1, tolerance);
  EXPECT_NEAR(got.y1, y1, tolerance);
}

/// Two levels (4x4 and 2x2 of a 64x64 input), 4 classes as in the shipped model, boxes in 1/8 strides.
struct AnchorFreeFixture {
  std::vector<float> fine_boxes = std::vector<float>(64), fine_scores = std::vector<float>(64);
  std::vector<float> coarse_boxes = std::vector<float>(16), coarse_scores = std::vector<float>(16);

  [[nodiscard]] FakeSession session(const char* box = "box", const char* score = "score",
                                    accel::Quantization score_quantization = kLogistic) const {
    FakeSession result(64, 64);
    const accel::Quantization eighths{0.125F, -128};
    const auto info = [](const char* name, int side, accel::Quantization q) {
      return TensorInfo{.name = name, .type = DType::i8, .shape = {1, side, side, 4}, .quantization = q};
    };
    result.add(info(score, 2, score_quantization), coarse_scores);
    result.add(info(box, 4, eighths), fine_boxes);
    result.add(info(box, 2, eighths), coarse_boxes);
    result.add(info(score, 4, score_quantization), fine_scores);
    return result;
  }
};

TEST(AnchorFree, DecodesBothLevels) {
  AnchorFreeFixture f;
  // Fine level, stride 16: cell (row 1, column 2), centre (40, 24).
  const std::size_t fine = 1 * 4 + 2;
  f.fine_scores[fine * 4 + 1] = 0.75F;
  const float fine_box[] = {1, 0.5F, 0.5F, 1};
  std::ranges::copy(fine_box, f.fine_boxes.begin() + fine * 4);
  // Coarse level, stride 32: cell (row 1, column 0), centre (16, 48).
  f.coarse_scores[2 * 4 + 3] = 0.875F;
  const float coarse_box[] = {0.25F, 0.5F, 1.5F, 0.25F};
  std::ranges::copy(coarse_box, f.coarse_boxes.begin() + 8);
  const auto session = f.session();
  const auto decoder = make(card_of(DecoderType::anchor_free, 4), session);
  const auto got = decoder->decode(session, plain_mapping(640, 640, 10));
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].class_id, 3);
  EXPECT_FLOAT_EQ(got[0].score, 0.875F);
  expect_box(got[0], 80, 320, 640, 560);
  EXPECT_EQ(got[1].class_id, 1);
  expect_box(got[1], 240, 160, 480, 400);
}

TEST(AnchorFree, SuppressesNeighboursOfTheSameClass) {
  AnchorFreeFixture f;
  for (std::size_t i = 0; i < 64; ++i) f.fine_boxes[i] = 4;
  f.fine_scores[5 * 4 + 1] = 0.75F;
  f.fine_scores[6 * 4 + 1] = 0.5F;    // the same class next to it
  f.fine_scores[6 * 4 + 2] = 0.25F;   // not the best class of its cell
  f.fine_scores[9 * 4 + 2] = 0.625F;  // another class
  const auto session = f.session();
  auto card = card_of(DecoderType::anchor_free, 4);
  EXPECT_EQ(make(card, session)->decode(session, plain_mapping(64, 64)).size(), 2U);
  card.decoder.class_agnostic = true;
  EXPECT_EQ(make(card, session)->decode(session, plain_mapping(64, 64)).size(), 1U);
}

TEST(AnchorFree, TellsBoxesFromScoresByNameOrQuantisation) {
  AnchorFreeFixture f;
  f.fine_scores[0] = 0.5F;
  for (std::size_t i = 0; i < 4; ++i) f.fine_boxes[i] = 1;
  const auto unnamed = f.session("a", "b");
  EXPECT_EQ(make(card_of(DecoderType::anchor_free), unnamed)->decode(unnamed, plain_mapping(64, 64)).size(), 1U);
  const auto ambiguous = f.session("a", "b", {0.125F, -128});
  EXPECT_THAT(error_of(card_of(DecoderType::anchor_free), ambiguous), HasSubstr("cannot tell boxes from scores"));
}

TEST(AnchorFree, RejectsWhatDoesNotFit) {
  const auto session = AnchorFreeFixture().session();
  EXPECT_THAT(error_of(card_of(DecoderType::anchor_free, 7), session),
              HasSubstr("7 labels but the model has 4 classes"));
  auto card = card_of(DecoderType::anchor_free);
  card.decoder.strides = {8, 16};
  EXPECT_THAT(error_of(card, session), HasSubstr("stride 32"));
  FakeSession odd(64, 64);
  odd.add({.name = "x", .type = DType::i8, .shape = {1, 4, 4, 4}, .quantization = kLogistic}, {});
  EXPECT_THAT(error_of(card_of(DecoderType::anchor_free), odd), HasSubstr("needs two outputs"));
  odd.add({.name = "y", .type = DType::i32, .shape = {1, 4, 4, 4}, .quantization = {}}, {});
  EXPECT_THAT(error_of(card_of(DecoderType::anchor_free), odd), HasSubstr("'y' i32"));
}

/// Three anchors, two classes and a background class.
FakeSession ssd_session(const std::vector<float>& boxes, const std::vector<float>& scores, DType type = DType::f32) {
  FakeSession session(300, 300);
  accel::SsdHead head;
  head.box_output = session.add({.name = "boxes", .type = DType::f32, .shape = {1, 3, 4}, .quantization = {}}, boxes);
  head.score_output =
      session.add({.name = "scores", .type = type, .shape = {1, 3, 3}, .quantization = {1.0F / 256, 0}}, scores);
  head.anchors = {0.5F, 0.5F, 0.2F, 0.4F, 0.25F, 0.25F, 0.1F, 0.1F, 0.75F, 0.75F, 0.5F, 0.5F};
  head.class_count = 2;
  session.info_.ssd = head;
  return session;
}

TEST(Ssd, DecodesAnchorsAsTfliteDoes) {
  for (const auto type : {DType::f32, DType::u8}) {
    // y, x, h, w over the scales 10, 10, 5, 5.
    const auto session = ssd_session({1, -2, 5 * std::log(2.0F), 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                     {0.9F, 0.1F, 0.75F, 0.9F, 0.2F, 0.3F, 0, 0.5F, 0.25F}, type);
    const auto decoder = make(card_of(DecoderType::ssd, 2), session);
    const auto got = decoder->decode(session, plain_mapping(300, 300));
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[0].class_id, 1);
    EXPECT_NEAR(got[0].score, 0.75F, 0.002F);
    // Centre y = 0.1 * 0.2 + 0.5, x = -0.2 * 0.4 + 0.5; height 0.4, width 0.4.
    expect_box(got[0], (0.42F - 0.2F) * 300, (0.52F - 0.2F) * 300, (0.42F + 0.2F) * 300, (0.52F + 0.2F) * 300);
    EXPECT_EQ(got[1].class_id, 0);
    expect_box(got[1], 150, 150, 300, 300);
  }
}

TEST(Ssd, SurvivesValuesThatAreNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const auto session =
      ssd_session({nan, 0, 0, 0, 0, 0, 1e30F, 0, 0, 0, 0, 0}, {0, 0.9F, 0, 0, 0.9F, nan, 0, inf, 0.25F});
  const auto decoder = make(card_of(DecoderType::ssd), session);
  for (const auto& box : decoder->decode(session, plain_mapping(300, 300))) {
    EXPECT_TRUE(std::isfinite(box.x0) && std::isfinite(box.y1) && std::isfinite(box.score));
  }
}

TEST(Ssd, RejectsModelsWithoutHeadOrWithWrongShapes) {
  FakeSession none(300, 300);
  EXPECT_THAT(error_of(card_of(DecoderType::ssd), none), HasSubstr("TFLite_Detection_PostProcess"));
  auto session = ssd_session({}, {});
  session.info_.ssd->anchors.resize(8);
  EXPECT_THAT(error_of(card_of(DecoderType::ssd), session), HasSubstr("2 anchors"));
}

TEST(Yolox, DecodesGridAndLogSizes) {
  FakeSession session(64, 64);
  const std::size_t cells = 64 + 16 + 4, fields = 7;
  std::vector<float> values(cells * fields);
  auto* row = values.data() + (64 + 1 * 4 + 2) * fields;  // stride 16, row 1, column 2
  row[0] = 0.5F, row[1] = 0.25F, row[2] = std::log(2.0F), row[3] = 0, row[4] = 0.9F, row[5] = 0.2F, row[6] = 0.8F;
  auto* weak = values.data();  // 0.6 * 0.6 < 0.4
  weak[4] = 0.6F, weak[5] = 0.6F;
  session.add({.name = "out",
               .type = DType::f32,
               .shape = {1, static_cast<int>(cells), static_cast<int>(fields)},
               .quantization = {}},
              values);
  const auto decoder = make(card_of(DecoderType::yolox, 2), session);
  const auto got = decoder->decode(session, plain_mapping(64, 64));
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].class_id, 1);
  EXPECT_NEAR(got[0].score, 0.72F, 1e-5F);
  expect_box(got[0], 40 - 16, 20 - 8, 40 + 16, 20 + 8);
  EXPECT_THAT(error_of(card_of(DecoderType::yolox, 3), session), HasSubstr("3 labels"));
}

/// Levels 8x8, 4x4 and 2x2 in any order, boxes, objectness and classes as quantised tensors of their own.
TEST(Yolox, ReadsLevelsWithOutputsOfTheirOwn) {
  for (const int classes : {1, 2, 4}) {
    FakeSession session(64, 64);
    for (const int side : {2, 8, 4}) {
      const auto cells = static_cast<std::size_t>(side * side);
      const auto count = static_cast<std::size_t>(classes);
      std::vector<float> box(4 * cells), object(cells), scores(count * cells);
      if (side == 4) {
        const std::size_t cell = 1 * 4 + 2;  // stride 16, row 1, column 2
        box[4 * cell] = 0.5F, box[4 * cell + 1] = 0.25F, box[4 * cell + 2] = 0.6875F;
        object[cell] = 0.75F, scores[count * cell + count - 1] = 0.8125F;
        object[0] = 0.5F, scores[0] = 0.5F;  // 0.25 < 0.4
      }
      const auto shape = [&](int channels) { return std::vector<std::int32_t>{1, side, side, channels}; };
      session.add({.name = "box", .type = DType::i8, .shape = shape(4), .quantization = {1.0F / 16, 0}}, box);
      session.add({.name = "object", .type = DType::i8, .shape = shape(1), .quantization = kLogistic}, object);
      session.add({.name = "classes", .type = DType::i8, .shape = shape(classes), .quantization = kLogistic}, scores);
    }
    const auto decoder = make(card_of(DecoderType::yolox, static_cast<std::size_t>(classes)), session);
    const auto got = decoder->decode(session, plain_mapping(64, 64));
    ASSERT_EQ(got.size(), 1U) << classes;
    EXPECT_EQ(got[0].class_id, classes - 1);
    EXPECT_NEAR(got[0].score, 0.75F * 0.8125F, 1e-5F);
    const float half = 8 * std::exp(0.6875F);
    expect_box(got[0], 40 - half, 20 - 8, 40 + half, 20 + 8);
  }
}

TEST(Yolox, RefusesLevelsThatDoNotFit) {
  const auto error = [](std::vector<std::vector<std::int32_t>> shapes) {
    FakeSession session(64, 64);
    for (const auto& shape : shapes) {
      const auto size = static_cast<std::size_t>(shape[1] * shape[2] * shape[3]);
      session.add({.name = "out", .type = DType::i8, .shape = shape, .quantization = kLogistic},
                  std::vector<float>(size));
    }
    return error_of(card_of(DecoderType::yolox, 2), session);
  };
  EXPECT_THAT(error({{1, 8, 8, 4}, {1, 8, 8, 1}}), HasSubstr("level 8x8 needs three outputs"));
  EXPECT_THAT(error({{1, 8, 8, 4}, {1, 8, 8, 3}, {1, 8, 8, 2}}), HasSubstr("no output of 4 or of 1"));
  EXPECT_THAT(error({{1, 16, 16, 4}, {1, 16, 16, 1}, {1, 16, 16, 2}}), HasSubstr("stride 4"));
  EXPECT_THAT(error({{1, 8, 8, 4}, {1, 8, 8, 1}, {1, 8, 8, 2}, {1, 4, 4, 4}, {1, 4, 4, 1}, {1, 4, 4, 3}}),
              HasSubstr("differ in their number of classes"));
}

TEST(Yolov8, ReadsBothLayoutsInPixelsAndFractions) {
  const std::size_t cells = 20, fields = 6;
  for (const bool fields_first : {true, false}) {
    for (const float unit : {1.0F, 1.0F / 64}) {
      FakeSession session(64, 64);
      std::vector<float> values(cells * fields);
      const float row[] = {32 * unit, 16 * unit, 20 * unit, 8 * unit, 0.1F, 0.7F};
      for (std::size_t i = 0; i < fields; ++i) values[fields_first ? i * cells + 7 : 7 * fields + i] = row[i];
      const int first = static_cast<int>(fields_first ? fields : cells),
                second = static_cast<int>(fields_first ? cells : fields);
      session.add({.name = "out", .type = DType::f32, .shape = {1, first, second}, .quantization = {}}, values);
      const auto decoder = make(card_of(DecoderType::yolov8, 2), session);
      const auto got = decoder->decode(session, plain_mapping(64, 64));
      ASSERT_EQ(got.size(), 1U);
      EXPECT_EQ(got[0].class_id, 1);
      expect_box(got[0], 22, 12, 42, 20);
    }
  }
}

TEST(Classification, GivesTheBestClassesOverTheCrop) {
  FakeSession session(64, 64);
  session.add({.name = "out", .type = DType::i8, .shape = {1, 5}, .quantization = kLogistic},
              {0.0625F, 0.5F, 0, 0.25F, 0.1875F});
  auto card = card_of(DecoderType::classification, 5);
  card.decoder.score_threshold = 0.2F;
  card.decoder.max_detections = 3;
  const auto decoder = make(card, session);
  const auto got = decoder->decode(session, plain_mapping(640, 480));
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].class_id, 1);
  EXPECT_FLOAT_EQ(got[0].score, 0.5F);
  EXPECT_EQ(got[1].class_id, 3);
  expect_box(got[1], 0, 0, 640, 480);
}

TEST(Classification, TurnsLogitsIntoProbabilities) {
  FakeSession session(64, 64);
  session.add({.name = "out", .type = DType::f32, .shape = {1, 1, 1, 3}, .quantization = {}},
              {1, 3, std::numeric_limits<float>::quiet_NaN()});
  auto card = card_of(DecoderType::classification);
  card.decoder.score_threshold = 0;
  const auto decoder = make(card, session);
  const auto got = decoder->decode(session, plain_mapping(10, 10));
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0].class_id, 1);
  EXPECT_NEAR(got[0].score, 1 / (1 + std::exp(-2.0F)), 1e-5F);
  EXPECT_FLOAT_EQ(got[2].score, 0);
}

}  // namespace
}  // namespace wayside::agent
