// SPDX-License-Identifier: Apache-2.0
// What ONNX Runtime makes of written files: the float interpreter's results, and those of simulated INT8.
#include "optimizer/emit/onnx_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <print>
#include <random>
#include <vector>

#include "optimizer/import/onnx_import.h"
#include "optimizer/ir/assembler.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/passes/passes.h"
#include "optimizer/quantize/calibration.h"
#include "optimizer/quantize/ptq.h"
#include "tests/optimizer/onnx_order.h"
#include "tests/optimizer/onnx_reference.h"

namespace wayside::optimizer {
namespace {

using emit::QdqForm;
using ir::Op;
using ir::OpKind;
using ir::TensorId;

struct Sample {
  std::vector<std::vector<float>> onnx;
  std::vector<ir::Values> graph;
};
Sample draw_sample(const ir::Graph& graph, std::mt19937& random) {
  Sample out;
  for (const TensorId id : graph.inputs) {
    out.onnx.push_back(random_input(graph.tensors[id].shape, random));
    out.graph.push_back(to_graph_order(out.onnx.back(), graph.tensors[id].shape));
  }
  return out;
}

/// INT8 from the extremes of a few samples: enough to compare two ways of running it.
base::Result<Quantized> quantized_by(const ir::Graph& graph, const std::vector<Sample>& samples) {
  std::vector<TensorStatistics> statistics(graph.tensors.size());
  ir::Interpreter interpreter(graph);
  interpreter.observe([&](TensorId id, std::span<const float> values) { statistics[id].widen(values); });
  for (const auto& sample : samples) static_cast<void>(interpreter.run(sample.graph));
  std::vector<Range> ranges;
  for (const auto& one : statistics) ranges.push_back(one.range(RangeMethod::min_max));
  const auto scales = scales_for(graph, ranges, {0, 0});
  WAYSIDE_TRY(auto integer, quantize(graph, scales));
  return Quantized{.graph = graph, .scheme = {scales, {}}, .integer = std::move(integer)};
}

struct Difference {
  double near = 0;                            ///< share of the outputs within one step of the simulation's
  double sqnr_db = 0, simulated_sqnr_db = 0;  ///< against float: of the file, and of the simulation
};
/// Outputs of the written file against simulated INT8 with the same scales, and of both against float.
Difference compare(const std::vector<std::uint8_t>& file, const Quantized& quantized,
                   const std::vector<TensorQuantization>& scales, const Sample& sample) {
  auto session = open_reference(file);
  const auto got = run_reference(session, sample.onnx);
  ir::Interpreter interpreter(quantized.graph);
  const auto exact = interpreter.run(sample.graph);
  interpreter.simulate({scales, quantized.scheme.weights});
  const auto simulated = interpreter.run(sample.graph);
  double near = 0, total = 0, signal = 1e-20, noise = 1e-20, simulated_noise = 1e-20;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const TensorId id = quantized.graph.outputs[i];
    const auto values = to_graph_order(got[i], quantized.graph.tensors[id].shape);
    EXPECT_EQ(values.size(), exact[i].size());
    const auto step = static_cast<double>(scales[id].scale);
    for (std::size_t k = 0; k < std::min(values.size(), exact[i].size()); ++k) {
      near += static_cast<double>(std::abs(values[k] - simulated[i][k])) <= 1.01 * step ? 1 : 0;
      const auto real = static_cast<double>(exact[i][k]);
      signal += std::pow(real / step, 2);
      noise += std::pow((static_cast<double>(values[k]) - real) / step, 2);
      simulated_noise += std::pow((static_cast<double>(simulated[i][k]) - real) / step, 2);
      ++total;
    }
  }
  return {.near = near / total,
          .sqnr_db = 10 * std::log10(signal / noise),
          .simulated_sqnr_db = 10 * std::log10(signal / simulated_noise)};
}

double worst_of(const std::vector<std::uint8_t>& file, const ir::Graph& graph, const Sample& sample) {
  auto session = open_reference(file);
  const auto got = run_reference(session, sample.onnx);
  const auto expected = ir::Interpreter(graph).run(sample.graph);
  double worst = got.size() == expected.size() ? 0 : 1e9;
  for (std::size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    const auto values = to_graph_order(got[i], graph.tensors[graph.outputs[i]].shape);
    if (values.size() != expected[i].size()) return 1e9;
    double largest = 1e-2;
    for (const float value : expected[i]) largest = std::max(largest, static_cast<double>(std::abs(value)));
    for (std::size_t k = 0; k < values.size(); ++k)
      worst = std::max(worst, static_cast<double>(std::abs(values[k] - expected[i][k])) / largest);
  }
  return worst;
}

/// The graph of one operator, which reads what the whole graph computed.
QuantizedGraph alone(const QuantizedGraph& whole, std::size_t index) {
  const Op& op = whole.graph.ops[index];
  QuantizedGraph out{
      .graph = {.ops = {op}, .outputs = {op.output}}, .tensors = whole.tensors, .weights = {whole.weights[index]}};
  out.graph.tensors = whole.graph.tensors;
  for (TensorId id = 0; id < out.graph.tensors.size(); ++id) {
    const bool read = std::ranges::contains(op.inputs, id);
    if (!read) out.graph.tensors[id].constant.clear();
    if (read && out.graph.tensors[id].constant.empty()) out.graph.inputs.push_back(id);
  }
  return out;
}

/// Each operator by itself, on what simulated INT8 gives it: share of the outputs within one step. (Over a whole deep
/// network single steps that fall the other way add up to more, on any two programs.)
double near_by_operator(const Quantized& quantized, const Sample& sample) {
  ir::Interpreter simulated(quantized.graph);
  simulated.simulate(quantized.scheme);
  std::vector<std::vector<float>> values(quantized.graph.tensors.size());
  simulated.observe([&](TensorId id, std::span<const float> x) { values[id].assign(x.begin(), x.end()); });
  static_cast<void>(simulated.run(sample.graph));
  double least = 1;
  for (std::size_t i = 0; i < quantized.graph.ops.size(); ++i) {
    const QuantizedGraph one = alone(quantized.integer, i);
    const auto file = emit::write_onnx(one, QdqForm::integer);
    EXPECT_TRUE(file);
    std::vector<std::vector<float>> inputs;
    for (const TensorId id : one.graph.inputs) inputs.push_back(to_onnx_order(values[id], one.graph.tensors[id].shape));
    auto session = open_reference(*file);
    const TensorId out = one.graph.outputs[0];
    const auto got = to_graph_order(run_reference(session, inputs)[0], one.graph.tensors[out].shape);
    const TensorQuantization& q = one.tensors[out];
    double near = 0;
    for (std::size_t k = 0; k < got.size(); ++k) {
      const float wanted = std::clamp(values[out][k], q.scale * static_cast<float>(-128 - q.zero_point),
                                      q.scale * static_cast<float>(127 - q.zero_point));
      near += std::abs(got[k] - wanted) <= 1.01F * q.scale ? 1 : 0;
    }
    near /= static_cast<double>(got.size());
    EXPECT_GE(near, 0.99) << ir::to_string(one.graph.ops[0].kind) << " " << one.graph.tensors[out].name;
    least = std::min(least, near);
  }
  return least;
}

class OnnxWriterModels : public testing::TestWithParam<std::filesystem::path> {};

/// The float file and both quantised ones, of each real model cut for INT8.
TEST_P(OnnxWriterModels, OnnxRuntimeAgrees) {
  auto graph = import_onnx(GetParam());
  ASSERT_TRUE(graph) << graph.error().message;
  constexpr std::uint64_t kMostMacs = 150'000'000;  // minutes of the float interpreter otherwise
  if (ir::cost(*graph).mac_count > kMostMacs) GTEST_SKIP() << "too large for a quick test";
  passes::simplify(*graph, [](const ir::Graph& constants) { return ir::Interpreter(constants).run({}); });
  ir::Graph body = passes::split_head(*graph).body;
  ASSERT_TRUE(passes::to_tflite_forms(body));
  std::mt19937 random(5);
  std::vector<Sample> samples;
  for (int i = 0; i < 3; ++i) samples.push_back(draw_sample(body, random));
  const auto plain = emit::write_onnx(body);
  ASSERT_TRUE(plain) << plain.error().message;
  const double error = worst_of(*plain, body, samples[0]);
  EXPECT_LE(error, 1e-4);
  const auto quantized = quantized_by(body, samples);
  ASSERT_TRUE(quantized) << quantized.error().message;
  const double least = near_by_operator(*quantized, samples[0]);
  const auto integer = emit::write_onnx(quantized->integer, QdqForm::integer);
  ASSERT_TRUE(integer);
  const Difference same = compare(*integer, *quantized, quantized->scheme.activations, samples[0]);
  const auto symmetric = emit::write_onnx(quantized->integer, QdqForm::symmetric);
  ASSERT_TRUE(symmetric);
  const Difference wide =
      compare(*symmetric, *quantized, emit::symmetric_scales(quantized->scheme.activations), samples[0]);
  std::println(
      "{}: float {:.1e}; least operator {:.2f} % within a step; whole network {:.2f} % ({:.1f} dB), symmetric {:.2f} % "
      "({:.1f} dB)",
      GetParam().filename().string(), error, 100 * least, 100 * same.near, same.sqnr_db, 100 * wide.near, wide.sqnr_db);
  EXPECT_GE(same.sqnr_db, same.simulated_sqnr_db - 6) << "as near to float as the simulation is";
  // Symmetric scales are twice as coarse where nothing is negative, which alone costs 20 log 2 = 6.02 dB; the rest is
  // chance.
  EXPECT_GE(wide.sqnr_db, wide.simulated_sqnr_db - 8);
}

INSTANTIATE_TEST_SUITE_P(Models, OnnxWriterModels, testing::ValuesIn(onnx_models()),
                         [](const auto& entry) { return test_name(entry.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnnxWriterModels);

/// Every operator once, on its own.
class OnnxWriterOps : public testing::Test {
 protected:
  float draw() { return std::uniform_real_distribution<float>(-1, 1)(random); }
  TensorId add(Op op, const ir::Shape& wanted = {}) {
    auto id = assembler.append(std::move(op), "t" + std::to_string(assembler.graph().tensors.size()), wanted);
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(0);
  }
  Op layer(OpKind kind, TensorId in, int out, ir::SlidingWindow window = {}) {
    Op op{.kind = kind, .inputs = {in}, .window = window};
    const int per_output = kind == OpKind::depthwise_conv ? 1 : assembler.shape(in).back();
    op.weight.resize(static_cast<std::size_t>(out * per_output * window.kernel_h * window.kernel_w));
    op.bias.resize(static_cast<std::size_t>(out));
    for (float& weight : op.weight) weight = draw();
    for (float& bias : op.bias) bias = draw();
    return op;
  }
  /// Makes `tensor` the output and compares with ONNX Runtime, in float and with the pairs.
  void agrees(TensorId tensor) {
    assembler.output(tensor);
    const ir::Graph graph = assembler.take();
    std::vector<Sample> samples(3);
    for (auto& sample : samples) {
      for (const TensorId id : graph.inputs) {
        std::vector<float> values(ir::element_count(graph.tensors[id].shape));
        for (float& value : values) value = 2 * draw() + 2.5F;
        sample.onnx.push_back(values);
        sample.graph.push_back(to_graph_order(values, graph.tensors[id].shape));
      }
    }
    const auto plain = emit::write_onnx(graph);
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_LE(worst_of(*plain, graph, samples[0]), 1e-5);
    const auto quantized = quantized_by(graph, samples);
    ASSERT_TRUE(quantized);
    for (const auto form : {QdqForm::integer, QdqForm::symmetric}) {
      const auto file = emit::write_onnx(quantized->integer, form);
      ASSERT_TRUE(file);
      const auto& own = quantized->scheme.activations;
      const auto difference =
          compare(*file, *quantized, form == QdqForm::integer ? own : emit::symmetric_scales(own), samples[0]);
      EXPECT_EQ(difference.near, 1) << ir::to_string(graph.ops.back().kind);
    }
    assembler = {};
  }
  TensorId picture() { return assembler.input("in", {1, 6, 5, 4}); }

  std::mt19937 random{7};
  ir::Assembler assembler;
};

TEST_F(OnnxWriterOps, Layers) {
  const ir::SlidingWindow odd{.kernel_h = 3,
                              .kernel_w = 2,
                              .stride_h = 2,
                              .stride_w = 1,
                              .dilation_h = 1,
                              .dilation_w = 2,
                              .top = 1,
                              .left = 0,
                              .bottom = 0,
                              .right = 2};
  for (const auto activation : {ir::Activation::none, ir::Activation::relu, ir::Activation::relu6}) {
    Op conv = layer(OpKind::conv, picture(), 5, odd);
    conv.activation = activation;
    agrees(add(std::move(conv)));
  }
  agrees(add(layer(OpKind::conv, picture(), 1)));
  agrees(add(layer(OpKind::depthwise_conv, picture(), 4, odd)));
  agrees(add(layer(OpKind::depthwise_conv, picture(), 8, odd)));  // two outputs for each input
  agrees(add(layer(OpKind::fully_connected, picture(), 3)));
  agrees(add(layer(OpKind::fully_connected, assembler.input("in", {1, 9}), 3)));
  agrees(add(layer(OpKind::fully_connected, assembler.input("in", {1, 7, 9}), 3)));
}

TEST_F(OnnxWriterOps, PoolsResizesAndPads) {
  const ir::SlidingWindow window{
      .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .top = 0, .left = 1, .bottom = 1, .right = 1};
  agrees(add({.kind = OpKind::max_pool, .inputs = {picture()}, .window = window}));
  agrees(add({.kind = OpKind::average_pool, .inputs = {picture()}, .window = window}));
  agrees(add({.kind = OpKind::resize_nearest, .inputs = {picture()}}, {1, 12, 15, 4}));
  agrees(add({.kind = OpKind::resize_nearest, .inputs = {picture()}}, {1, 9, 8, 4}));
  agrees(add({.kind = OpKind::resize_bilinear, .inputs = {picture()}}, {1, 12, 10, 4}));
  agrees(add({.kind = OpKind::resize_bilinear, .inputs = {picture()}, .align_corners = true}, {1, 11, 9, 4}));
  const std::vector<int> border{0, 0, 1, 2, 0, 1, 0, 0}, narrow{0, 0, 1, 1, 0, 1, 0, 0};
  agrees(add({.kind = OpKind::pad, .inputs = {picture()}, .axes = border, .alpha = 0.5F}));
  agrees(add(layer(OpKind::conv, add({.kind = OpKind::pad, .inputs = {picture()}, .axes = border}), 3,
                   {.kernel_h = 3, .kernel_w = 3})));
  agrees(add({.kind = OpKind::max_pool,
              .inputs = {add({.kind = OpKind::pad,
                              .inputs = {picture()},
                              .axes = border,
                              .alpha = std::numeric_limits<float>::lowest()})},
              .window = {.kernel_h = 2, .kernel_w = 3}}));
}

TEST_F(OnnxWriterOps, Arithmetic) {
  for (const OpKind kind : {OpKind::add, OpKind::sub, OpKind::mul, OpKind::div}) {
    const auto in = picture();
    std::vector<float> values;
    for (int i = 0; i < 4; ++i) values.push_back(2 + draw());
    const auto constant = assembler.constant("c", {1, 1, 1, 4}, values);
    agrees(add({.kind = kind, .inputs = {in, constant}, .activation = ir::Activation::relu}));
    agrees(add({.kind = kind, .inputs = {picture(), assembler.input("other", {1, 6, 5, 4})}}));
  }
  for (const OpKind kind : {OpKind::relu, OpKind::leaky_relu, OpKind::elu, OpKind::logistic, OpKind::tanh,
                            OpKind::hard_swish, OpKind::exp, OpKind::sqrt, OpKind::abs}) {
    // Square roots want what is not negative.
    const auto in =
        add({.kind = OpKind::clip, .inputs = {picture()}, .alpha = kind == OpKind::sqrt ? 0.25F : -1, .beta = 3});
    agrees(add({.kind = kind, .inputs = {in}, .alpha = 0.3F}));
  }
  for (const bool flat : {false, true}) {
    const auto in = flat ? assembler.input("in", {1, 4}) : picture();
    agrees(add({.kind = OpKind::prelu, .inputs = {in, assembler.constant("slopes", {4}, {0.1F, -0.4F, 0.3F, 0.9F})}}));
  }
}

TEST_F(OnnxWriterOps, AxesAndMovement) {
  for (int axis = 0; axis < 4; ++axis) {
    // Along a single element it is always 1, which ONNX Runtime's integer kernel lets wrap to 0.
    if (axis > 0) agrees(add({.kind = OpKind::softmax, .inputs = {picture()}, .axes = {axis}}));
    agrees(add({.kind = OpKind::mean, .inputs = {picture()}, .axes = {axis}}));
    agrees(add({.kind = OpKind::sum, .inputs = {picture()}, .axes = {axis}}));
    const auto in = picture();
    agrees(add({.kind = OpKind::concat, .inputs = {in, add({.kind = OpKind::tanh, .inputs = {in}})}, .axes = {axis}}));
  }
  agrees(add({.kind = OpKind::transpose, .inputs = {picture()}, .axes = {2, 0, 3, 1}}));
  agrees(add({.kind = OpKind::transpose, .inputs = {assembler.input("in", {2, 3, 4})}, .axes = {2, 0, 1}}));
  for (const ir::Shape& shape : {ir::Shape{1, 5, 6, 4}, {1, 120}, {3, 40}, {1, 2, 3, 20}})
    agrees(add({.kind = OpKind::reshape, .inputs = {picture()}}, shape));
  agrees(add({.kind = OpKind::reshape, .inputs = {assembler.input("in", {12, 10})}}, {1, 5, 6, 4}));
  agrees(
      add({.kind = OpKind::slice, .inputs = {picture()}, .axes = {0, 1, 4, 1}, .steps = {1, 2, -1, 1}}, {1, 2, 5, 3}));
  agrees(
      add({.kind = OpKind::slice, .inputs = {picture()}, .axes = {0, 0, 0, 0}, .steps = {1, 1, 1, 1}}, {1, 6, 5, 4}));
}

TEST(OnnxWriter, GivesEveryTensorItsOwnName) {
  ir::Graph graph;
  graph.tensors = {{"a", {1}}, {"a", {1}}, {"", {1}}};
  const auto names = emit::onnx_names(graph);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "a#1", "tensor_2"}));
}

TEST(OnnxWriter, SymmetricScalesCoverTheLargerEnd) {
  const auto wide = emit::symmetric_scales({{0.5F, -128}, {0.5F, 0}, {0.5F, 127}});
  EXPECT_FLOAT_EQ(wide[0].scale * 127, 0.5F * 255);
  EXPECT_FLOAT_EQ(wide[1].scale * 127, 0.5F * 128);
  EXPECT_FLOAT_EQ(wide[2].scale * 127, 0.5F * 255);
  for (const auto& q : wide) EXPECT_EQ(q.zero_point, 0);
}

TEST(OnnxWriter, RefusesABatchNormThatIsNotFolded) {
  ir::Builder builder;
  builder.output(builder.conv(builder.input("in", {1, 4, 4, 3}), "stem", 2, 1, 1, ir::Activation::none, true));
  const auto refused = emit::write_onnx(builder.take());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("stem"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace wayside::optimizer
