// SPDX-License-Identifier: Apache-2.0
// After creation, decoders allocate nothing, even when every cell passes the threshold.
#include <gtest/gtest.h>

#include <vector>

#include "agent/vision/decoder.h"
#include "tests/agent/vision/fake_session.h"
#include "tests/allocation_counter.h"

namespace wayside::agent {
namespace {

using accel::DType;

void expect_no_allocation(DecoderType type, const test::FakeSession& session) {
  ModelCard card;
  card.decoder.type = type;
  auto decoder = make_decoder(card, session);
  ASSERT_TRUE(decoder.has_value()) << decoder.error().message;
  const std::size_t before = wayside::test::allocation_count();
  const auto count = (*decoder)->decode(session, test::plain_mapping(640, 640, 10)).size();
  const std::size_t after = wayside::test::allocation_count();
  EXPECT_EQ(after, before) << to_string(type);
  EXPECT_GT(count, 0U) << to_string(type);
}

TEST(Decoder, AllocatesNothingAfterCreation) {
  const std::vector<float> many(4UL * 900, 0.9F);
  test::FakeSession anchor_free(240, 240);
  anchor_free.add({.name = "box", .type = DType::f32, .shape = {1, 30, 30, 4}, .quantization = {}}, many);
  anchor_free.add({.name = "score", .type = DType::f32, .shape = {1, 30, 30, 4}, .quantization = {}}, many);
  expect_no_allocation(DecoderType::anchor_free, anchor_free);

  test::FakeSession yolov8(64, 64);
  yolov8.add({.name = "out", .type = DType::f32, .shape = {1, 6, 600}, .quantization = {}}, many);
  expect_no_allocation(DecoderType::yolov8, yolov8);

  test::FakeSession yolox(64, 64);
  yolox.add({.name = "out", .type = DType::f32, .shape = {1, 84, 7}, .quantization = {}}, many);
  expect_no_allocation(DecoderType::yolox, yolox);

  test::FakeSession classifier(64, 64);
  classifier.add({.name = "out", .type = DType::f32, .shape = {1, 900}, .quantization = {}}, {9});
  expect_no_allocation(DecoderType::classification, classifier);

  test::FakeSession ssd(64, 64);
  accel::SsdHead head;
  head.box_output = ssd.add({.name = "box", .type = DType::f32, .shape = {1, 500, 4}, .quantization = {}}, many);
  head.score_output = ssd.add({.name = "score", .type = DType::f32, .shape = {1, 500, 4}, .quantization = {}}, many);
  head.anchors.assign(2000, 0.5F);
  head.class_count = 3;
  ssd.info_.ssd = head;
  expect_no_allocation(DecoderType::ssd, ssd);
}

}  // namespace
}  // namespace wayside::agent
