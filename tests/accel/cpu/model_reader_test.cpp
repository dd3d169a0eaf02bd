// SPDX-License-Identifier: Apache-2.0
// The reader's and the operators' answers to wrong models: each names what is wrong.
#include "accel/cpu/model_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <ostream>
#include <vector>

#include "accel/cpu/cpu_session.h"
#include "tests/accel/model_builder.h"

namespace wayside::accel::cpu {
namespace {

using base::Code;
using ::testing::HasSubstr;
using testing::ModelBuilder;
using testing::small_model;

std::string error_of(const ModelBuilder& model, Code expected) {
  const auto bytes = model.build();
  const auto session = CpuSession::create(bytes, {}, Level::reference);
  if (session) return "loaded";
  EXPECT_EQ(session.error().code, expected) << session.error().message;
  EXPECT_EQ(session.error().message.find('\n'), std::string::npos);
  return session.error().message;
}

TEST(ModelReaderTest, ReadsTheSmallModel) {
  const auto bytes = small_model().build();
  const auto graph = read_model(bytes);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->nodes.size(), 5U);
  EXPECT_EQ(graph->inputs, std::vector<std::int32_t>{0});
  EXPECT_EQ(graph->outputs, std::vector<std::int32_t>{9});
  EXPECT_EQ(graph->tensors[1].scales.size(), 4U);
  EXPECT_EQ(graph->tensors[0].quantization.zero_point, -1);
  EXPECT_EQ(graph->nodes[0].options.activation, Activation::relu6);
  EXPECT_FALSE(graph->nodes[2].options.present);
}

TEST(ModelReaderTest, RefusesOtherFiles) {
  const std::string text = "this is not a model at all, but long enough";
  const auto graph = read_model(std::as_bytes(std::span(text)));
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, Code::corrupt);
  EXPECT_THAT(graph.error().message, HasSubstr("TFL3"));
  EXPECT_FALSE(read_model({}));
}

struct WrongModel {
  const char* name;
  std::function<void(ModelBuilder&)> change;
  Code code;
  const char* message;
};

void PrintTo(const WrongModel& model, std::ostream* out) { *out << model.name; }

class WrongModels : public ::testing::TestWithParam<WrongModel> {};

TEST_P(WrongModels, AreNamed) {
  ModelBuilder model = small_model();
  GetParam().change(model);
  EXPECT_THAT(error_of(model, GetParam().code), HasSubstr(GetParam().message));
}

const WrongModel kWrongModels[] = {
    {"version", [](auto& m) { m.version = 2; }, Code::unsupported, "schema version 2"},
    {"subgraphs", [](auto& m) { m.subgraph_count = 2; }, Code::unsupported, "2 subgraphs"},
    {"no_subgraph", [](auto& m) { m.subgraph_count = 0; }, Code::unsupported, "0 subgraphs"},
    {"no_operators", [](auto& m) { m.ops.clear(); }, Code::corrupt, "no operators"},
    {"no_inputs", [](auto& m) { m.inputs.clear(); }, Code::corrupt, "no model inputs"},
    {"no_outputs", [](auto& m) { m.outputs.clear(); }, Code::corrupt, "no model outputs"},
    {"input_index", [](auto& m) { m.inputs = {99}; }, Code::corrupt, "tensor 99 of 10"},
    {"op_tensor_index", [](auto& m) { m.ops[1].inputs = {-2}; }, Code::corrupt, "operator 1: input 0 is tensor -2"},
    {"missing_output", [](auto& m) { m.ops[1].outputs = {-1}; }, Code::corrupt, "operator 1: output 0 is tensor -1"},
    {"opcode_index", [](auto& m) { m.ops[3].opcode_index = 77; }, Code::corrupt, "operator 3: operator code 77"},
    {"unknown_op", [](auto& m) { m.ops[4].code = 16; }, Code::unsupported, "builtin code 16"},
    {"buffer_index", [](auto& m) { m.tensors[3].buffer = 1000; }, Code::corrupt, "buffer 1000"},
    {"negative_dim", [](auto& m) { m.tensors[3].shape[1] = -4; }, Code::corrupt, "dimension 1 is -4"},
    {"zero_dim", [](auto& m) { m.tensors[3].shape[1] = 0; }, Code::corrupt, "dimension 1 is 0"},
    {"huge_tensor", [](auto& m) { m.tensors[3].shape = {1, 65536, 65536, 65536}; }, Code::exhausted, "larger than"},
    {"rank", [](auto& m) { m.tensors[3].shape = {1, 1, 1, 1, 1, 1, 1}; }, Code::unsupported, "7 dimensions"},
    {"type", [](auto& m) { m.tensors[3].type = schema::TensorType::STRING; }, Code::unsupported, "element type 5"},
    {"float_type", [](auto& m) { m.tensors[0].type = schema::TensorType::FLOAT32; }, Code::unsupported,
     "operator 0 CONV_2D: input tensor 0 is f32"},
    {"data_size", [](auto& m) { m.tensors[1].data.pop_back(); }, Code::corrupt, "71 bytes of data for shape [4,3,3,2]"},
    {"int4_data_size",
     [](auto& m) {
       m.tensors[1].type = schema::TensorType::INT4;
       m.tensors[1].data.resize(37);
     },
     Code::corrupt, "37 bytes of data for shape [4,3,3,2] of INT4"},
    {"int4_activation", [](auto& m) { m.tensors[3].type = schema::TensorType::INT4; }, Code::unsupported,
     "INT4 activations; quantise them to INT8"},
    {"scale_count",
     [](auto& m) {
       m.tensors[1].scales.pop_back();
       m.tensors[1].zero_points.pop_back();
     },
     Code::corrupt, "3 scales for 4 channels"},
    {"zero_point_count", [](auto& m) { m.tensors[1].zero_points = {0, 0}; }, Code::corrupt,
     "4 scales but 2 zero points"},
    {"scale_zero", [](auto& m) { m.tensors[3].scales = {0}; }, Code::corrupt, "tensor 3 \"t3\": scale 0 is 0"},
    {"scale_nan", [](auto& m) { m.tensors[3].scales = {std::nanf("")}; }, Code::corrupt, "scale 0 is nan"},
    {"scale_negative", [](auto& m) { m.tensors[3].scales = {-1}; }, Code::corrupt, "scale 0 is -1"},
    {"zero_point_range", [](auto& m) { m.tensors[3].zero_points = {128}; }, Code::corrupt, "zero point 128 of i8"},
    {"channel_dimension", [](auto& m) { m.tensors[1].quantized_dimension = 9; }, Code::corrupt, "along dimension 9"},
    {"wrong_channel_dimension",
     [](auto& m) {
       m.tensors[1].shape = {4, 3, 2, 3};
       m.tensors[1].quantized_dimension = 1;
       m.tensors[1].scales.resize(3);
       m.tensors[1].zero_points.resize(3);
     },
     Code::unsupported, "operator 0 CONV_2D"},
    {"no_scale",
     [](auto& m) {
       m.tensors[3].scales.clear();
       m.tensors[3].zero_points.clear();
     },
     Code::corrupt, "output tensor 3 has 0 scales"},
    {"weights_not_constant",
     [](auto& m) {
       m.tensors[1].data.clear();
       m.inputs.push_back(1);
     },
     Code::unsupported, "operator 0 CONV_2D: weight tensor 1 is not a constant"},
    {"bias_size",
     [](auto& m) {
       m.tensors[2].shape = {3};
       m.tensors[2].data.resize(12);
     },
     Code::corrupt, "bias tensor 2 has shape [3] for 4 channels"},
    {"bias_overflow",
     [](auto& m) { m.tensors[2].data = ModelBuilder::bytes_of(std::span<const int>(std::vector(4, INT32_MAX))); },
     Code::corrupt, "overflow a 32-bit sum"},
    {"conv_output_shape", [](auto& m) { m.tensors[3].shape = {1, 4, 4, 5}; }, Code::corrupt,
     "output tensor 3 has shape [1,4,4,5], computed [1,4,4,4]"},
    {"no_options",
     [](auto& m) {
       m.ops[0].options_type = schema::BuiltinOptions::NONE;
       m.ops[0].options = nullptr;
     },
     Code::corrupt, "operator 0 CONV_2D: its options table is missing"},
    {"stride_zero",
     [](auto& m) {
       m.ops[0].options = [](auto& fbb) {
         return schema::CreateConv2DOptions(fbb, schema::Padding::SAME, 0, 1).Union();
       };
     },
     Code::corrupt, "stride 1x0"},
    {"dilation_huge",
     [](auto& m) {
       m.ops[0].options = [](auto& fbb) {
         return schema::CreateConv2DOptions(fbb, schema::Padding::SAME, 1, 1, schema::ActivationFunctionType::NONE,
                                            2'000'000'000)
             .Union();
       };
     },
     Code::corrupt, "dilation"},
    {"fused_tanh",
     [](auto& m) {
       m.ops[0].options = [](auto& fbb) {
         return schema::CreateConv2DOptions(fbb, schema::Padding::SAME, 1, 1, schema::ActivationFunctionType::TANH)
             .Union();
       };
     },
     Code::unsupported, "fused activation 4"},
    {"padding_value",
     [](auto& m) {
       m.ops[0].options = [](auto& fbb) {
         return schema::CreateConv2DOptions(fbb, static_cast<schema::Padding>(9), 1, 1).Union();
       };
     },
     Code::corrupt, "padding 9"},
    {"order", [](auto& m) { std::swap(m.ops[0], m.ops[1]); }, Code::corrupt,
     "operator 0 AVERAGE_POOL_2D: reads tensor 3 before"},
    {"produced_twice", [](auto& m) { m.ops[4].outputs = {8}; }, Code::corrupt,
     "operator 4 SOFTMAX: writes tensor 8 again"},
    {"output_unknown", [](auto& m) { m.outputs = {m.activation({1, 3})}; }, Code::corrupt,
     "output 10 is never computed"},
    {"constant_input", [](auto& m) { m.inputs = {0, 1}; }, Code::corrupt, "model input 1 is a constant"},
    {"input_twice", [](auto& m) { m.inputs = {0, 0}; }, Code::corrupt, "listed twice"},
    {"arity", [](auto& m) { m.ops[4].inputs = {8, 8}; }, Code::corrupt, "operator 4 SOFTMAX: 2 inputs, expected 1"},
    {"reshape_count", [](auto& m) { m.tensors[6].shape = {1, 17}; }, Code::corrupt, "operator 2 RESHAPE"},
    {"reshape_wanted",
     [](auto& m) { m.tensors[5].data = ModelBuilder::bytes_of(std::span<const int>(std::vector{-1, 5})); },
     Code::corrupt, "do not divide"},
    {"softmax_scale", [](auto& m) { m.tensors[9].scales = {0.1F}; }, Code::unsupported, "expected 1/256"},
    {"dense_depth", [](auto& m) { m.tensors[7].shape = {16, 3}; }, Code::corrupt, "does not divide into rows of 3"},
    {"variable",
     [](auto& m) {
       m.tensors[m.activation({1, 3})].is_variable = true;
       m.ops[4].inputs = {10};
     },
     Code::unsupported, "keeps state"},
    {"custom_inside",
     [](auto& m) {
       m.ops[1].code = 32;
       m.ops[1].custom_name = "Mystery";
     },
     Code::unsupported, "operator 1 custom Mystery"},
};

INSTANTIATE_TEST_SUITE_P(All, WrongModels, ::testing::ValuesIn(kWrongModels),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(ModelReaderTest, TakesTheLargerOfTheTwoOperatorCodes) {
  ModelBuilder model;
  const auto in = model.activation({1, 8}, 0.05F), out = model.activation({1, 8}, 0.05F);
  model.op(OpCode::hard_swish, {in}, {out});  // 117
  model.inputs = {in};
  model.outputs = {out};
  const auto bytes = model.build();
  const auto graph = read_model(bytes);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->nodes[0].entry->name, "HARD_SWISH");
}

TEST(ModelReaderTest, UnpacksInt4ConstantsFromTheLowerHalf) {
  ModelBuilder model;
  const auto in = model.activation({5});
  const auto constant = model.tensor({.name = "c",
                                      .type = schema::TensorType::INT4,
                                      .shape = {5},
                                      .scales = {0.5F},
                                      .zero_points = {0},
                                      .data = {0x81, 0x7F, 0xF0}});  // an odd count: the last upper half is unused
  const auto out = model.activation({5});
  model.op(OpCode::add, {in, constant}, {out});
  model.inputs = {in};
  model.outputs = {out};
  const auto bytes = model.build();
  auto read = read_model(bytes);
  ASSERT_TRUE(read) << read.error().message;
  const Graph graph = std::move(*read);  // the contents move along
  const Tensor& tensor = graph.tensors[static_cast<std::size_t>(constant)];
  EXPECT_EQ(tensor.type, DType::i8);
  std::vector<int> values;
  for (const std::byte value : tensor.data) values.push_back(std::to_integer<std::int8_t>(value));
  EXPECT_EQ(values, (std::vector<int>{1, -8, -1, 7, 0}));
}

TEST(ModelReaderTest, CutsACustomTailAndItsChain) {
  ModelBuilder model = small_model();
  const auto middle = model.tensor({.name = "m", .type = schema::TensorType::STRING, .shape = {0}});
  const auto last = model.tensor({.name = "l", .type = schema::TensorType::FLOAT32, .shape = {}});
  model.custom("First", {8, 9, 2}, {middle});
  model.custom("Second", {middle}, {last});
  model.outputs = {last};
  const auto bytes = model.build();
  const auto graph = read_model(bytes);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_EQ(graph->cut_ops, (std::vector<std::string>{"First", "Second"}));
  EXPECT_EQ(graph->outputs, (std::vector<std::int32_t>{8, 9}));  // tensor 2 is a constant
  EXPECT_FALSE(graph->ssd);
}

TEST(ModelReaderTest, NothingLeftAfterCutting) {
  ModelBuilder model;
  const auto in = model.activation({1, 8});
  const auto constant = model.constant_i32({1, 2});
  const auto out = model.activation({1, 8});
  model.custom("All", {constant}, {out});
  model.inputs = {in};
  model.outputs = {out};
  EXPECT_THAT(error_of(model, Code::unsupported), HasSubstr("nothing is left"));
}

}  // namespace
}  // namespace wayside::accel::cpu
