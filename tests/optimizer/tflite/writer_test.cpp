// SPDX-License-Identifier: Apache-2.0
// The written file: passes the flatbuffers verifier, says what the graph says, is refused nowhere by our engine.
#include "optimizer/tflite/writer.h"

#include <flatbuffers/flatbuffers.h>
#include <gtest/gtest.h>
#include <tflite_generated.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "accel/accelerator.h"
#include "optimizer/quantize/scales.h"
#include "tests/optimizer/own_path.h"
#include "tests/optimizer/small_graph.h"

namespace wayside::optimizer {
namespace {

namespace schema = accel::cpu::schema;

std::vector<std::uint8_t> written() {
  ir::Graph graph = small_graph(3);
  ir::append_logistic(graph, graph.outputs[1]);
  const std::vector<Range> ranges(graph.tensors.size(), Range{-4, 4});
  const auto quantized = quantize(graph, scales_for(graph, ranges, {1.0F / 255, -128}));
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
  const auto path = own_path("writer_test.tflite");
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

const schema::SubGraph& graph_of(const std::vector<std::uint8_t>& bytes) {
  return *schema::GetModel(bytes.data())->subgraphs()->Get(0);
}

/// The tensor that operator `op` reads as its input `input`.
const schema::Tensor& input_of(const std::vector<std::uint8_t>& bytes, unsigned op, unsigned input) {
  const auto& graph = graph_of(bytes);
  return *graph.tensors()->Get(static_cast<unsigned>(graph.operators()->Get(op)->inputs()->Get(input)));
}

int code_of(const std::vector<std::uint8_t>& bytes, unsigned op) {
  const auto index = graph_of(bytes).operators()->Get(op)->opcode_index();
  return schema::GetModel(bytes.data())->operator_codes()->Get(index)->builtin_code();
}

TEST(WriteTflite, StoresEqualPartsOnce) {
  const auto bytes = written();  // operators 0 and 2 are convolutions with eight channels
  const auto &stem = *input_of(bytes, 0, 1).quantization(), &mixed = *input_of(bytes, 2, 1).quantization();
  EXPECT_EQ(stem.zero_point(), mixed.zero_point());
  EXPECT_NE(stem.scale(), mixed.scale());
  std::set<std::string> names;
  for (const auto* tensor : *graph_of(bytes).tensors()) EXPECT_TRUE(names.insert(tensor->name()->str()).second);
  for (const auto* buffer : *schema::GetModel(bytes.data())->buffers()) {
    if (buffer->data() == nullptr) continue;
    EXPECT_EQ((buffer->data()->data() - bytes.data()) % 16, 0);
  }
}

/// One fully connected layer of 40 numbers, and a join of two values.
QuantizedGraph rows_and_join(WeightFormat format) {
  ir::Graph graph{.tensors = {{.name = "rows", .shape = {3, 40}},
                              {.name = "dense", .shape = {3, 8}},
                              {.name = "joined", .shape = {3, 48}}},
                  .ops = {{.kind = ir::OpKind::fully_connected, .inputs = {0}, .output = 1},
                          {.kind = ir::OpKind::concat, .inputs = {0, 1}, .output = 2, .axes = {1}}},
                  .inputs = {0},
                  .outputs = {1, 2}};
  for (int i = 0; i < 320; ++i) graph.ops[0].weight.push_back(0.01F * static_cast<float>(i % 29 - 14));
  for (int i = 0; i < 8; ++i) graph.ops[0].bias.push_back(0.1F * static_cast<float>(i));
  const std::vector<TensorQuantization> scales{{.scale = 0.02F, .zero_point = 3}, {.scale = 0.03F}, {.scale = 0.03F}};
  const auto quantized = quantize(graph, scales, std::vector{format, WeightFormat::int8});
  EXPECT_TRUE(quantized);
  return *quantized;
}

/// TFLite refuses fully connected layers with four-bit weights and scales per channel, and joins of unlike scales.
TEST(WriteTflite, AvoidsWhatTfliteRefuses) {
  constexpr int kConcatenation = 2, kConvolution = 3, kFullyConnected = 9, kReshape = 22, kQuantize = 114;
  const auto codes = [](const std::vector<std::uint8_t>& bytes) {
    std::vector<int> out;
    for (unsigned i = 0; i < graph_of(bytes).operators()->size(); ++i) out.push_back(code_of(bytes, i));
    return out;
  };
  const auto eight = write_tflite(rows_and_join(WeightFormat::int8), "eight");
  const auto four = write_tflite(rows_and_join(WeightFormat::int4), "four");
  ASSERT_TRUE(eight && four);
  EXPECT_EQ(codes(*eight), (std::vector{kFullyConnected, kQuantize, kConcatenation}));
  EXPECT_EQ(codes(*four), (std::vector{kReshape, kConvolution, kReshape, kQuantize, kConcatenation}));
  for (unsigned i = 0; i < 2; ++i) EXPECT_FLOAT_EQ(input_of(*four, 4, i).quantization()->scale()->Get(0), 0.03F);
  EXPECT_NE(input_of(*eight, 0, 2).quantization(), nullptr) << "XNNPACK asks for the scales of biases";
  EXPECT_EQ(input_of(*four, 1, 2).quantization(), nullptr);
}

/// The same weights in both formats give the same outputs.
TEST(WriteTflite, FourBitRowsComputeWhatEightBitRowsCompute) {
  auto eight = rows_and_join(WeightFormat::int4);
  const auto four = eight;
  eight.weights[0].format = WeightFormat::int8;
  const auto engine = accel::make_cpu_accelerator();
  std::vector<std::vector<std::byte>> outputs;
  for (const auto& graph : {eight, four}) {
    const auto path = own_path("writer_rows_test.tflite");
    const auto bytes = write_tflite(graph, "rows");
    ASSERT_TRUE(bytes && save_file(path, *bytes));
    auto session = engine->load(path, {});
    std::filesystem::remove(path);
    ASSERT_TRUE(session) << session.error().message;
    const auto input = (*session)->input(0);
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i * 37);
    ASSERT_TRUE((*session)->run());
    for (std::size_t i = 0; i < 2; ++i) {
      const auto output = (*session)->output(i);
      outputs.emplace_back(output.begin(), output.end());
    }
  }
  EXPECT_EQ(outputs[0], outputs[2]);
  EXPECT_EQ(outputs[1], outputs[3]);
  EXPECT_GT(std::set(outputs[0].begin(), outputs[0].end()).size(), 10U) << "different numbers";
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
    for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(input_of(bytes, 1, i).type(), FLOAT32);  // what the stem reads
  }
  EXPECT_EQ(input_of(*half, 0, 0).type(), FLOAT16);
  EXPECT_EQ(input_of(*whole, 0, 0).type(), INT8);
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
