// SPDX-License-Identifier: Apache-2.0
// End to end on a YOLOX-like network that finds bright squares: pictures and labels in, measured INT8 out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <format>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "accel/accelerator.h"
#include "accel/preprocess/preprocess.h"
#include "agent/vision/decoder.h"
#include "agent/vision/model_card.h"
#include "base/storage.h"
#include "optimizer/data/dataset.h"
#include "optimizer/data/labels.h"
#include "optimizer/emit/onnx_writer.h"
#include "optimizer/import/import_model.h"
#include "optimizer/ir/assembler.h"
#include "optimizer/report/optimize.h"
#include "ota/package/container.h"
#include "ota/package/manifest.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;
using ir::Op;
using ir::OpKind;

constexpr int kSide = 32;

/// Cells of `stride` px: objectness from the brightness, the box is the cell, two classes told by red and blue.
ir::TensorId level(ir::Assembler& assembler, ir::TensorId picture, int stride) {
  const auto append = [&](Op op, const std::string& name, const ir::Shape& wanted = {}) {
    const auto made = assembler.append(std::move(op), std::format("{}_{}", name, stride), wanted);
    EXPECT_TRUE(made) << name;
    return made.value_or(0);
  };
  const auto px = static_cast<std::size_t>(stride) * static_cast<std::size_t>(stride);
  const auto layer = [&](const std::vector<std::array<float, 3>>& colours, std::vector<float> bias) {
    Op op{.kind = OpKind::conv,
          .inputs = {picture},
          .window = {.kernel_h = stride, .kernel_w = stride, .stride_h = stride, .stride_w = stride},
          .bias = std::move(bias)};
    for (const auto& colour : colours) {
      for (std::size_t i = 0; i < 3 * px; ++i) op.weight.push_back(colour[i % 3] / static_cast<float>(255 * px));
    }
    return op;
  };
  // Neither the grey of the letterbox (114) nor a larger cell with a square in it.
  const float least = stride == 8 ? -20 : -60;
  const auto box = append(layer(std::vector(4, std::array<float, 3>{}), {0.5F, 0.5F, 0, 0}), "box");
  const auto object =
      append({.kind = OpKind::logistic, .inputs = {append(layer({{12, 12, 12}}, {least}), "object")}}, "object_score");
  const auto classes =
      append({.kind = OpKind::logistic, .inputs = {append(layer({{-10, 0, 10}, {10, 0, -10}}, {0, 0}), "class")}},
             "class_score");
  const auto all = append({.kind = OpKind::concat, .inputs = {box, object, classes}, .axes = {3}}, "level");
  const int cells = kSide / stride * (kSide / stride);
  return append({.kind = OpKind::reshape, .inputs = {all}}, "cells", {1, cells, 7});
}

ir::Graph network() {
  ir::Assembler assembler;
  const auto picture = assembler.input("images", {1, kSide, kSide, 3});
  std::vector<ir::TensorId> levels;
  for (const int stride : {8, 16, 32}) levels.push_back(level(assembler, picture, stride));
  const auto out = assembler.append({.kind = OpKind::concat, .inputs = levels, .axes = {1}}, "output");
  EXPECT_TRUE(out);
  assembler.output(out.value_or(0));
  return assembler.take();
}

/// A dim noisy picture of 64x32 px with a red or blue square of 16 px: the letterbox halves it.
void put(const fs::path& folder, int number, std::mt19937& random) {
  constexpr int kWidth = 64, kHeight = 32;
  const int column = static_cast<int>(random() % 4), row = static_cast<int>(random() % 2);
  const bool red = random() % 2 == 0;
  std::string bmp = "BM";
  const auto u32 = [&](std::uint32_t value) {
    for (int i = 0; i < 4; ++i) bmp += static_cast<char>(value >> (8 * i));
  };
  for (const std::uint32_t value :
       {54U + 3 * kWidth * kHeight, 0U, 54U, 40U, 1U * kWidth, 1U * kHeight, 1U | 24U << 16U, 0U, 0U, 0U, 0U, 0U, 0U})
    u32(value);
  for (int y = kHeight - 1; y >= 0; --y) {  // from the last row to the first, blue first
    for (int x = 0; x < kWidth; ++x) {
      const bool inside = x / 16 == column && y / 16 == row;
      const char dim = static_cast<char>(random() % 40);
      bmp += inside && !red ? '\xff' : dim;
      bmp += inside ? '\xf0' : dim;
      bmp += inside && red ? '\xff' : dim;
    }
  }
  std::ofstream(folder / std::format("{:03}.bmp", number), std::ios::binary) << bmp;
  const auto x = static_cast<float>(16 * column), y = static_cast<float>(16 * row);
  EXPECT_TRUE(
      write_yolo(folder / std::format("{:03}.txt", number), {{x, y, x + 16, y + 16, red ? 1 : 0}}, kWidth, kHeight));
}

class OptimizeDetector : public testing::Test {
 protected:
  void SetUp() override {
    ir::set_interpreter_threads(1);
    fs::create_directories(folder / "pictures");
    std::mt19937 random(7);
    for (int i = 0; i < 120; ++i) put(folder / "pictures", i, random);
    const auto onnx = emit::write_onnx(network());
    ASSERT_TRUE(onnx) << onnx.error().message;
    options.model = folder / "squares.onnx";
    std::ofstream(options.model, std::ios::binary)
        .write(reinterpret_cast<const char*>(onnx->data()), static_cast<std::streamsize>(onnx->size()));
    options.calibration = options.evaluation = folder / "pictures";
    options.out = folder / "out";
    options.task = {.kind = TaskKind::detect, .bgr = false, .head = {.kind = HeadKind::yolox}};
    options.chains = {{.method = RangeMethod::average}};
  }
  void TearDown() override { fs::remove_all(folder); }
  static bool go_on(const std::string& /*what*/, double /*done*/) { return true; }

  fs::path folder = fs::path(testing::TempDir()) / ("detector." + std::to_string(::getpid()));
  OptimizeOptions options;
};

TEST_F(OptimizeDetector, BoxesAndScoresHaveScalesOfTheirOwn) {
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->metric, "mAP50");
  ASSERT_EQ(report->chosen, 0);
  EXPECT_EQ(report->variants[0].float_score, 1) << "it finds every square, where it is and of its class";
  EXPECT_EQ(report->variants[0].engine_score, 1);
  const auto written = import_model(options.out / report->variants[0].file);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(written->outputs.size(), 9U) << "box, objectness and classes of three levels";
  EXPECT_EQ(report->tail_ops, 7U) << "they are joined in float";
}

/// File and card as written, in the agent's preprocessing and decoder.
TEST_F(OptimizeDetector, TheAgentFindsWhatTheReportSays) {
  options.package.name = "squares";
  options.package.role = "detector";
  options.package.labels = {"blue", "red"};
  options.package.out = folder / "squares.wmp";
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  auto storage = base::DiskStorage::open(folder);
  const auto head = ota::read_head(*storage, "squares.wmp");
  ASSERT_TRUE(head) << head.error().message;
  const auto manifest = ota::Manifest::parse(head->manifest);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->postprocess.decoder, "yolox");
  EXPECT_EQ(manifest->postprocess.score_permille, 400U);
  EXPECT_TRUE(manifest->card.has_value());

  const auto file = options.out / report->variants[0].file;
  const auto engine = accel::make_cpu_accelerator();
  const auto session = engine->load(file, {});
  ASSERT_TRUE(session) << session.error().message;
  const auto card = agent::load_model_card(fs::path(file).replace_extension(".yaml"), /*other_files=*/false);
  ASSERT_TRUE(card) << card.error().message;
  EXPECT_EQ(card->labels, options.package.labels);
  const auto spec = agent::preprocess_spec(*card, **session);
  ASSERT_TRUE(spec) << spec.error().message;
  auto preprocessor = accel::Preprocessor::create(*spec);
  ASSERT_TRUE(preprocessor) << preprocessor.error().message;
  const auto decoder = agent::make_decoder(*card, **session);
  ASSERT_TRUE(decoder) << decoder.error().message;
  const auto set = load_folder({.folder = folder / "pictures", .limit = 20});
  ASSERT_TRUE(set) << set.error().message;
  for (const auto& sample : set->samples) {
    const auto& picture = sample.picture;
    const auto width = static_cast<std::uint32_t>(picture.width_px),
               height = static_cast<std::uint32_t>(picture.height_px);
    base::ImageView view{.format = base::PixelFormat::rgb24, .width_px = width, .height_px = height};
    view.planes[0] = {.data = picture.rgb.data(), .stride_bytes = 3 * width, .size_bytes = picture.rgb.size()};
    const auto mapping = preprocessor->run(view, {}, (*session)->input(0));
    ASSERT_TRUE(mapping) << mapping.error().message;
    ASSERT_TRUE((*session)->run());
    const auto found = (*decoder)->decode(**session, *mapping);
    ASSERT_EQ(found.size(), 1U) << sample.name;
    const auto& box = sample.boxes[0];
    EXPECT_EQ(found[0].class_id, box.class_id);
    EXPECT_NEAR(found[0].x0, box.x0, 1);
    EXPECT_NEAR(found[0].y1, box.y1, 1);
  }
  options.package.labels = {"one"};
  const auto refused = optimize(options, go_on);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("1 names, the network 2 classes")) << refused.error().message;
}

TEST_F(OptimizeDetector, CountsTheClassesThatAreAskedFor) {
  options.task.classes = {{1, 0}};
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->metric, "AP50");
  EXPECT_EQ(report->variants[0].engine_score, 1);
  options.task.classes = {{0, 1}, {1, 0}};
  EXPECT_TRUE(optimize(options, go_on)) << "both sides are renamed";
  options.task.classes = {{2, 0}};
  const auto unknown = optimize(options, go_on);
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().message.contains("class 2=0: the network has the classes 0 to 1"))
      << unknown.error().message;
}

TEST_F(OptimizeDetector, RefusesLabelsThatTheNetworkDoesNotKnow) {
  std::ofstream(options.evaluation / "000.txt") << "7 0.5 0.5 0.25 0.5\n";
  const auto report = optimize(options, go_on);
  ASSERT_FALSE(report);
  EXPECT_TRUE(report.error().message.contains("labels of class 7, but the network has the classes 0 to 1"))
      << report.error().message;
  for (const auto& entry : fs::directory_iterator(options.evaluation)) {
    if (entry.path().extension() == ".txt") fs::remove(entry.path());
  }
  const auto unlabelled = optimize(options, go_on);
  ASSERT_FALSE(unlabelled);
  EXPECT_TRUE(unlabelled.error().message.contains("no labels")) << unlabelled.error().message;
}

}  // namespace
}  // namespace wayside::optimizer
