// SPDX-License-Identifier: Apache-2.0
// Model cards: reading, defaults, and messages that name file, line and remedy.
#include "agent/vision/model_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "agent/vision/coco.h"
#include "tests/agent/vision/fake_session.h"

namespace wayside::agent {
namespace {

using accel::DType;
using test::FakeSession;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelCardTest : public ::testing::Test {
 protected:
  ModelCardTest()
      : folder_(::testing::TempDir() + "model_card_" +
                ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_);
  }
  ~ModelCardTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  std::string error_of(const std::string& text) const {
    const auto card = load_model_card(write("card.yaml", text));
    return card ? std::string() : card.error().message;
  }

  std::filesystem::path folder_;
};

TEST_F(ModelCardTest, ReadsEverything) {
  const auto card = load_model_card(write("street.yaml", R"(name: street
version: "1"
license: Apache-2.0
input: {width_px: 320, height_px: 192, letterbox: false, pad_value: 7, color: bgr, mean: [1, 2, 3], std: [4]}
decoder: {type: anchor_free, strides: [8, 16, 32], score_threshold: 0.35, iou_threshold: 0.6, max_detections: 20, class_agnostic: true}
labels: [person, car, truck, two_wheeler]
)"));
  ASSERT_TRUE(card.has_value()) << card.error().message;
  EXPECT_EQ(card->name, "street");
  EXPECT_EQ(card->version, "1");
  EXPECT_EQ(card->width_px, 320U);
  EXPECT_EQ(card->height_px, 192U);
  EXPECT_EQ(card->fit, accel::Fit::stretch);
  EXPECT_EQ(card->pad_value, 7);
  EXPECT_EQ(card->color, accel::ColorOrder::bgr);
  ASSERT_TRUE(card->normalization.has_value());
  EXPECT_THAT(card->normalization->mean, ElementsAre(1, 2, 3));
  EXPECT_THAT(card->normalization->standard_deviation, ElementsAre(4, 4, 4));
  EXPECT_EQ(card->decoder.type, DecoderType::anchor_free);
  EXPECT_THAT(card->decoder.strides, ElementsAre(8, 16, 32));
  EXPECT_FLOAT_EQ(card->decoder.score_threshold, 0.35F);
  EXPECT_FLOAT_EQ(card->decoder.iou_threshold, 0.6F);
  EXPECT_EQ(card->decoder.max_detections, 20U);
  EXPECT_TRUE(card->decoder.class_agnostic);
  EXPECT_EQ(label_of(*card, 3), "two_wheeler");
  EXPECT_EQ(label_of(*card, 4), "class_4");
  EXPECT_EQ(label_of(*card, -1), "class_-1");
}

TEST_F(ModelCardTest, ReadsLabelsFromAFileBesideTheCard) {
  write("names.txt", "cat\r\ndog\n");
  const auto card = load_model_card(write("card.yaml", "decoder: {type: classification}\nlabels_file: names.txt\n"));
  ASSERT_TRUE(card.has_value()) << card.error().message;
  EXPECT_THAT(card->labels, ElementsAre("cat", "dog"));
  EXPECT_EQ(card->name, "card");
  EXPECT_FALSE(card->normalization.has_value());
}

TEST_F(ModelCardTest, SaysWhatIsWrong) {
  EXPECT_THAT(error_of("name: x\n"), HasSubstr("decoder"));
  EXPECT_THAT(error_of("decoder: {type: ssd}\ninputs: {}\n"), AllOf(HasSubstr(":2:"), HasSubstr("input")));
  EXPECT_THAT(error_of("decoder:\n  type: anchorfree\n"), AllOf(HasSubstr(":2:"), HasSubstr("anchor_free")));
  EXPECT_THAT(error_of("decoder:\n  type: ssd\n  score_treshold: 0.5\n"), HasSubstr("score_threshold"));
  EXPECT_THAT(error_of("decoder: {type: ssd, score_threshold: 1.5}\n"), HasSubstr("score_threshold"));
  EXPECT_THAT(error_of("decoder: {type: ssd, strides: [8.5]}\n"), HasSubstr("whole numbers"));
  EXPECT_THAT(error_of("decoder: {type: ssd}\ninput: {std: [1, 0, 1]}\n"), HasSubstr("must not be 0"));
  EXPECT_THAT(error_of("decoder: {type: ssd}\ninput: {mean: [1, 2]}\n"), HasSubstr("give 1 or 3"));
  EXPECT_THAT(error_of("decoder: {type: ssd}\nlabels: [a]\nlabels_file: b.txt\n"),
              HasSubstr("either labels or labels_file"));
  EXPECT_THAT(error_of("decoder: {type: ssd}\nlabels_file: none.txt\n"), HasSubstr("none.txt"));
}

TEST_F(ModelCardTest, DerivesSsdWithCocoNames) {
  FakeSession session(300, 300);
  session.info_.ssd = accel::SsdHead{.anchors = {}, .class_count = 90};
  const auto card = model_card_for(folder_ / "ssd.tflite", session);
  ASSERT_TRUE(card.has_value()) << card.error().message;
  EXPECT_EQ(card->decoder.type, DecoderType::ssd);
  EXPECT_TRUE(card->decoder.class_agnostic);
  EXPECT_EQ(card->fit, accel::Fit::stretch);
  EXPECT_EQ(label_of(*card, 0), "person");
  EXPECT_EQ(label_of(*card, 2), "car");
  EXPECT_EQ(label_of(*card, 89), "toothbrush");
}

TEST_F(ModelCardTest, DerivesClassificationAndAnchorFree) {
  FakeSession classifier(96, 96);
  classifier.add({.name = "out", .type = DType::i8, .shape = {1, 2}, .quantization = {1.0F / 256, -128}}, {});
  const auto first = model_card_for(folder_ / "vww.tflite", classifier);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first->decoder.type, DecoderType::classification);
  EXPECT_EQ(first->name, "vww");

  FakeSession detector(64, 64);
  detector.add({.name = "box", .type = DType::i8, .shape = {1, 4, 4, 4}, .quantization = {0.1F, 0}}, {});
  detector.add({.name = "score", .type = DType::i8, .shape = {1, 4, 4, 80}, .quantization = {0.1F, 0}}, {});
  const auto second = model_card_for(folder_ / "detector.tflite", detector);
  ASSERT_TRUE(second.has_value()) << second.error().message;
  EXPECT_EQ(second->decoder.type, DecoderType::anchor_free);
  EXPECT_EQ(second->labels.size(), 80U);

  FakeSession strange(64, 64);
  strange.add({.name = "x", .type = DType::f32, .shape = {1, 7, 9}, .quantization = {}}, {});
  const auto third = model_card_for(folder_ / "strange.tflite", strange);
  ASSERT_FALSE(third.has_value());
  EXPECT_THAT(third.error().message, HasSubstr("strange.yaml"));
}

TEST_F(ModelCardTest, ChecksTheCardAgainstTheModel) {
  FakeSession session(96, 96);
  write("model.yaml", "input: {width_px: 320}\ndecoder: {type: classification}\n");
  const auto wrong_size = model_card_for(folder_ / "model.tflite", session);
  ASSERT_FALSE(wrong_size.has_value());
  EXPECT_THAT(wrong_size.error().message, AllOf(HasSubstr("model.yaml"), HasSubstr("96x96")));
  write("model.yaml", "input: {color: gray}\ndecoder: {type: classification}\n");
  const auto wrong_color = model_card_for(folder_ / "model.tflite", session);
  ASSERT_FALSE(wrong_color.has_value());
  EXPECT_THAT(wrong_color.error().message, HasSubstr("needs 1 channels"));
}

TEST(Coco, NamesFitTheirNumbers) {
  EXPECT_EQ(coco_labels(80).size(), 80U);
  EXPECT_EQ(coco_labels(80)[79], "toothbrush");
  EXPECT_EQ(coco_labels(80)[56], "chair");
  EXPECT_EQ(coco_labels(90).size(), 90U);
  EXPECT_EQ(coco_labels(90)[61], "chair");
  EXPECT_EQ(coco_labels(91).size(), 91U);
  EXPECT_TRUE(coco_labels(4).empty());
}

}  // namespace
}  // namespace wayside::agent
