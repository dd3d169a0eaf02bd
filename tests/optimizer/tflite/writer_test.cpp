// SPDX-License-Identifier: Apache-2.0
// The written file: passes the flatbuffers verifier, says what the graph says, is refused nowhere by our engine.
#include "optimizer/tflite/writer.h"

#include <flatbuffers/flatbuffers.h>
#include <gtest/gtest.h>
#include <tflite_generated.h>

#include <filesystem>
#include <vector>

#include "accel/accelerator.h"
#include "optimizer/quantize/minmax.h"
#include "tests/optimizer/small_graph.h"

namespace wayside::optimizer {
namespace {

namespace schema = accel::cpu::schema;

std::vector<std::uint8_t> written() {
  ir::Graph graph = small_graph(3);
  ir::append_logistic(graph, graph.outputs[1]);
  const std::vector<Range> ranges(graph.tensors.size(), Range{-4, 4});
  const auto quantized = quantize(graph, choose_scales(graph, ranges, {1.0F / 255, -128}));
  EXPECT_TRUE(quantized);
  const auto bytes = write_tflite(*quantized, "small");
  EXPECT_TRUE(bytes);
  return *bytes;
}

TEST(WriteTflite, PassesTheVerifier) {
  const auto bytes = written();
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  ASSERT_TRUE(schema::VerifyModelBuffer(verifier));
  const auto* model = schema::GetModel(bytes.data());
  EXPECT_EQ(model->version(), 3U);
  EXPECT_EQ(model->description()->str(), "small");
  const auto* graph = model->subgraphs()->Get(0);
  EXPECT_EQ(graph->inputs()->size(), 1U);
  EXPECT_EQ(graph->outputs()->size(), 2U);
  const auto* scores = graph->tensors()->Get(static_cast<unsigned>(graph->outputs()->Get(1)));
  EXPECT_EQ(scores->name()->str(), "scores_2");
  EXPECT_FLOAT_EQ(scores->quantization()->scale()->Get(0), 1.0F / 256);
  EXPECT_EQ(scores->quantization()->zero_point()->Get(0), -128);
}

TEST(WriteTflite, TruncationsFailTheVerifier) {
  const auto bytes = written();
  for (std::size_t length = 0; length < bytes.size(); length += 97) {
    flatbuffers::Verifier verifier(bytes.data(), length);
    EXPECT_FALSE(schema::VerifyModelBuffer(verifier)) << length;
  }
}

TEST(WriteTflite, LoadsAndRunsInTheEngine) {
  const auto path = std::filesystem::temp_directory_path() / "wayside_writer_test.tflite";
  ASSERT_TRUE(save_file(path, written()));
  const auto engine = accel::make_cpu_accelerator();
  auto session = engine->load(path, {});
  std::filesystem::remove(path);
  ASSERT_TRUE(session) << session.error().message;
  ASSERT_EQ((*session)->outputs().size(), 2U);
  EXPECT_EQ((*session)->outputs()[0].name, "boxes_2");
  EXPECT_EQ((*session)->outputs()[0].shape, (std::vector<std::int32_t>{1, 8, 8, 4}));
  EXPECT_TRUE((*session)->run());
}

/// Types of all tensors of a name's beginning.
std::vector<schema::TensorType> types_of(const std::vector<std::uint8_t>& bytes, const std::string& name) {
  std::vector<schema::TensorType> out;
  for (const auto* tensor : *schema::GetModel(bytes.data())->subgraphs()->Get(0)->tensors()) {
    if (tensor->name()->str().starts_with(name)) out.push_back(tensor->type());
  }
  return out;
}

TEST(WriteWeightOnly, KeepsActivationsInFloat) {
  using enum schema::TensorType;
  const ir::Graph graph = small_graph(3);
  const auto half = write_weight_only(graph, WeightFormat::float16, "half");
  const auto whole = write_weight_only(graph, WeightFormat::int8, "whole");
  ASSERT_TRUE(half && whole);
  for (const auto& bytes : {*half, *whole}) {
    flatbuffers::Verifier verifier(bytes.data(), bytes.size());
    EXPECT_TRUE(schema::VerifyModelBuffer(verifier));
    EXPECT_EQ(types_of(bytes, "picture"), std::vector{FLOAT32});
    EXPECT_EQ(types_of(bytes, "stem/bias"), std::vector{FLOAT32});
  }
  EXPECT_EQ(types_of(*half, "stem/weight"), (std::vector{FLOAT16, FLOAT32}));
  EXPECT_EQ(types_of(*whole, "stem/weight"), (std::vector{INT8, FLOAT32}));
}

TEST(WriteWeightOnly, RefusesWhatItCannotSay) {
  EXPECT_FALSE(write_weight_only(small_graph(3), WeightFormat::int4, "four bits"));
  ir::Graph graph = small_graph(3);
  graph.ops.back().kind = ir::OpKind::clip;
  graph.ops.back().weight.clear();
  const auto refused = write_weight_only(graph, WeightFormat::float16, "clip");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("scores_2"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace wayside::optimizer
