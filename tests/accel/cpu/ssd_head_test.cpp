// SPDX-License-Identifier: Apache-2.0
// TFLite_Detection_PostProcess as a cut tail: parameters, anchors, outputs; damaged options.
#include "accel/cpu/ssd_head.h"

#include <flatbuffers/flexbuffers.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "accel/cpu/model_reader.h"
#include "tests/accel/model_builder.h"

namespace wayside::accel::cpu {
namespace {

using ::testing::HasSubstr;
using testing::ModelBuilder;

std::vector<std::uint8_t> options(int class_count = 2) {
  flexbuffers::Builder builder;
  builder.Map([&] {
    builder.Int("max_detections", 20);
    builder.Int("max_classes_per_detection", 1);
    builder.Float("nms_score_threshold", 0.25F);
    builder.Float("nms_iou_threshold", 0.5F);
    builder.Int("num_classes", class_count);
    builder.Float("y_scale", 10);
    builder.Float("x_scale", 10);
    builder.Float("h_scale", 5);
    builder.Float("w_scale", 5);
    builder.Bool("use_regular_nms", false);
  });
  builder.Finish();
  return builder.GetBuffer();
}

/// RELU on boxes [1,2,4] and on scores [1,2,3], then the post-process operator with two u8 anchors.
ModelBuilder ssd_model(std::vector<std::uint8_t> custom_options) {
  ModelBuilder model;
  const auto boxes_in = model.activation({1, 2, 4}), boxes = model.activation({1, 2, 4});
  const auto scores_in = model.activation({1, 2, 3}), scores = model.activation({1, 2, 3});
  const auto anchors = model.tensor({.name = "anchors",
                                     .type = schema::TensorType::UINT8,
                                     .shape = {2, 4},
                                     .scales = {0.01F},
                                     .zero_points = {10},
                                     .data = {10, 20, 30, 40, 50, 60, 70, 80}});
  const auto detections = model.tensor({.name = "d", .type = schema::TensorType::FLOAT32, .shape = {1, 20, 4}});
  const auto classes = model.tensor({.name = "c", .type = schema::TensorType::FLOAT32, .shape = {}});
  model.op(OpCode::relu, {boxes_in}, {boxes});
  model.op(OpCode::relu, {scores_in}, {scores});
  model.custom("TFLite_Detection_PostProcess", {boxes, scores, anchors}, {detections, classes},
               std::move(custom_options));
  model.inputs = {boxes_in, scores_in};
  model.outputs = {detections, classes};
  return model;
}

TEST(SsdHeadTest, IsReadFromACutTail) {
  const auto bytes = ssd_model(options()).build();
  const auto graph = read_model(bytes);
  ASSERT_TRUE(graph) << graph.error().message;
  ASSERT_TRUE(graph->ssd);
  const SsdHead& head = *graph->ssd;
  EXPECT_EQ(graph->outputs, (std::vector<std::int32_t>{1, 3}));
  EXPECT_EQ(head.box_output, 0U);
  EXPECT_EQ(head.score_output, 1U);
  EXPECT_EQ(head.max_detections, 20);
  EXPECT_EQ(head.class_count, 2);
  EXPECT_FLOAT_EQ(head.score_threshold, 0.25F);
  EXPECT_FLOAT_EQ(head.iou_threshold, 0.5F);
  EXPECT_FLOAT_EQ(head.h_scale, 5);
  ASSERT_EQ(head.anchors.size(), 8U);
  EXPECT_FLOAT_EQ(head.anchors[0], 0);
  EXPECT_FLOAT_EQ(head.anchors[7], 0.7F);
}

TEST(SsdHeadTest, WrongClassCountIsNamed) {
  const auto bytes = ssd_model(options(7)).build();
  const auto graph = read_model(bytes);
  ASSERT_FALSE(graph);
  EXPECT_THAT(graph.error().message, HasSubstr("scores [1,2,3] for 7 classes"));
}

TEST(SsdHeadTest, MissingOptionsAreNamed) {
  const auto bytes = ssd_model({}).build();
  const auto graph = read_model(bytes);
  ASSERT_FALSE(graph);
  EXPECT_THAT(graph.error().message, HasSubstr("needs 3 inputs and options"));
}

TEST(SsdHeadTest, DamagedOptionsNeverCrash) {
  constexpr std::uint32_t kSeed = 5;
  std::mt19937 random(kSeed);
  const auto good = options();
  for (std::size_t length = 1; length < good.size(); ++length) {
    const std::vector<std::uint8_t> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
    const auto bytes = ssd_model(cut).build();
    (void)read_model(bytes);
  }
  for (int round = 0; round < 2000; ++round) {
    auto damaged = good;
    damaged[random() % damaged.size()] ^= static_cast<std::uint8_t>(1U << (random() % 8));
    const auto bytes = ssd_model(damaged).build();
    (void)read_model(bytes);
  }
}

}  // namespace
}  // namespace wayside::accel::cpu
