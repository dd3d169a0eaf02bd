// SPDX-License-Identifier: Apache-2.0
// Each pass: the graph before and after computes the same, with fewer operators or in the wanted form.
#include "optimizer/passes/passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "optimizer/ir/assembler.h"
#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;
using ir::TensorId;

class Passes : public testing::Test {
 protected:
  TensorId add(Op op, const std::string& name, const ir::Shape& wanted = {}) {
    auto id = assembler.append(std::move(op), name, wanted);
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(0);
  }
  std::vector<float> draw(std::size_t count) {
    std::vector<float> out(count);
    for (float& value : out) value = std::uniform_real_distribution<float>(-1, 1)(random);
    return out;
  }
  TensorId constant(ir::Shape shape) {
    auto values = draw(ir::element_count(shape));
    return assembler.constant("constant", std::move(shape), std::move(values));
  }
  TensorId conv(TensorId in, int out, ir::SlidingWindow window, const std::string& name) {
    const auto channels = static_cast<std::size_t>(assembler.shape(in)[3]);
    const auto taps = static_cast<std::size_t>(window.kernel_h * window.kernel_w);
    return add({.kind = OpKind::conv,
                .inputs = {in},
                .window = window,
                .weight = draw(static_cast<std::size_t>(out) * taps * channels),
                .bias = draw(static_cast<std::size_t>(out))},
               name);
  }
  /// Runs `pass` and compares the outputs of both graphs on random inputs.
  template <class Pass>
  ir::Graph check(Pass pass) {
    const ir::Graph before = assembler.take();
    ir::Graph after = before;
    pass(after);
    std::vector<ir::Values> inputs;
    for (const auto id : before.inputs) inputs.push_back(draw(ir::element_count(before.tensors[id].shape)));
    const auto expected = ir::Interpreter(before).run(inputs), got = ir::Interpreter(after).run(inputs);
    EXPECT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(before.tensors[before.outputs[i]].name, after.tensors[after.outputs[i]].name);
      EXPECT_EQ(got[i].size(), expected[i].size());
      for (std::size_t k = 0; k < got[i].size(); ++k) EXPECT_NEAR(got[i][k], expected[i][k], 1e-4) << i << " " << k;
    }
    return after;
  }

  ir::Assembler assembler;
  std::mt19937 random{11};
};

std::vector<OpKind> kinds(const ir::Graph& graph) {
  std::vector<OpKind> out;
  for (const auto& op : graph.ops) out.push_back(op.kind);
  return out;
}

TEST_F(Passes, FusesNormalisationAndActivation) {
  const auto in = assembler.input("in", {1, 5, 6, 3});
  const auto first = conv(in, 4, {.kernel_h = 3, .kernel_w = 3, .top = 1, .left = 1, .bottom = 1, .right = 1}, "conv");
  const auto scaled = add({.kind = OpKind::mul, .inputs = {first, constant({1, 1, 1, 4})}}, "scaled");
  const auto moved = add({.kind = OpKind::sub, .inputs = {constant({1, 1, 1, 4}), scaled}}, "moved");
  const auto relu = add({.kind = OpKind::clip, .inputs = {moved}, .alpha = 0, .beta = 6}, "relu6");
  assembler.output(relu);
  const auto after = check([](ir::Graph& graph) { EXPECT_EQ(passes::fuse(graph), 3U); });
  ASSERT_EQ(kinds(after), std::vector{OpKind::conv});
  EXPECT_EQ(after.ops[0].activation, ir::Activation::relu6);
}

TEST_F(Passes, FusesWhatComesBeforeALayer) {
  const auto in = assembler.input("in", {1, 5, 6, 3});
  const auto scaled = add({.kind = OpKind::mul, .inputs = {in, constant({1, 1, 1, 3})}}, "scaled");
  const auto moved = add({.kind = OpKind::add, .inputs = {scaled, constant({1, 1, 1, 3})}}, "moved");
  assembler.output(conv(moved, 2, {.kernel_h = 2, .kernel_w = 2}, "conv"));
  const auto after = check([](ir::Graph& graph) {
    while (passes::fuse(graph) > 0) {
    }
  });
  EXPECT_EQ(kinds(after), std::vector{OpKind::conv});
}

TEST_F(Passes, KeepsAnOffsetBeforePadding) {
  const auto in = assembler.input("in", {1, 5, 6, 3});
  const auto moved = add({.kind = OpKind::add, .inputs = {in, constant({1, 1, 1, 3})}}, "moved");
  assembler.output(
      conv(moved, 2, {.kernel_h = 3, .kernel_w = 3, .top = 1, .left = 1, .bottom = 1, .right = 1}, "conv"));
  EXPECT_EQ(check([](ir::Graph& graph) { EXPECT_EQ(passes::fuse(graph), 0U); }).ops.size(), 2U);
}

TEST_F(Passes, KeepsWhatOthersRead) {
  const auto in = assembler.input("in", {1, 4, 4, 2});
  const auto first = conv(in, 3, {}, "conv");
  assembler.output(add({.kind = OpKind::relu, .inputs = {first}}, "relu"));
  assembler.output(first);
  EXPECT_EQ(check([](ir::Graph& graph) { EXPECT_EQ(passes::fuse(graph), 0U); }).ops.size(), 2U);
}

TEST_F(Passes, FoldsPads) {
  const auto in = assembler.input("in", {1, 5, 6, 3});
  const auto pad = add({.kind = OpKind::pad, .inputs = {in}, .axes = {0, 0, 1, 2, 0, 1, 0, 0}}, "pad");
  assembler.output(conv(pad, 2, {.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2}, "conv"));
  const auto after = check([](ir::Graph& graph) { EXPECT_EQ(passes::fold_pads(graph), 1U); });
  ASSERT_EQ(kinds(after), std::vector{OpKind::conv});
  EXPECT_EQ(after.ops[0].window.bottom, 2);
}

TEST_F(Passes, FoldsConstants) {
  const auto in = assembler.input("in", {1, 2, 2, 3});
  const auto sum = add({.kind = OpKind::add, .inputs = {constant({1, 1, 1, 3}), constant({1, 1, 1, 3})}}, "sum");
  const auto root = add({.kind = OpKind::abs, .inputs = {sum}}, "abs");
  assembler.output(add({.kind = OpKind::mul, .inputs = {in, root}}, "product"));
  const auto after = check([](ir::Graph& graph) {
    EXPECT_EQ(passes::fold_constants(graph, [](const ir::Graph& alone) { return ir::Interpreter(alone).run({}); }), 2U);
  });
  EXPECT_EQ(kinds(after), std::vector{OpKind::mul});
}

TEST_F(Passes, RemovesDeadCode) {
  const auto in = assembler.input("in", {1, 2, 2, 3});
  add({.kind = OpKind::tanh, .inputs = {in}}, "unused");
  assembler.output(add({.kind = OpKind::abs, .inputs = {in}}, "used"));
  const auto after = check([](ir::Graph& graph) { EXPECT_EQ(passes::remove_dead(graph), 1U); });
  EXPECT_EQ(after.tensors.size(), 2U);
}

/// As an SSD head comes from ONNX: NHWC to NCHW and back, flattened.
TEST_F(Passes, RemovesTransposesThatCancel) {
  const auto in = assembler.input("in", {1, 4, 5, 6});
  const auto nchw = add({.kind = OpKind::transpose, .inputs = {in}, .axes = {0, 3, 1, 2}}, "nchw");
  const auto nhwc = add({.kind = OpKind::transpose, .inputs = {nchw}, .axes = {0, 2, 3, 1}}, "nhwc");
  const auto flat = add({.kind = OpKind::reshape, .inputs = {nhwc}}, "flat", {1, 120});
  assembler.output(add({.kind = OpKind::logistic, .inputs = {flat}}, "scores"));
  EXPECT_EQ(kinds(check([](ir::Graph& graph) { passes::simplify_movement(graph); })),
            (std::vector{OpKind::reshape, OpKind::logistic}));
}

/// As YOLOX joins its levels: [1,C,H*W] each, concatenated, then turned.
TEST_F(Passes, TakesTransposesThroughAConcat) {
  Op join{.kind = OpKind::concat, .axes = {2}};
  for (const int side : {4, 2}) {
    const auto in = assembler.input("in" + std::to_string(side), {1, side, side, 5});
    const auto level = add({.kind = OpKind::abs, .inputs = {in}}, "level");
    const auto nchw = add({.kind = OpKind::transpose, .inputs = {level}, .axes = {0, 3, 1, 2}}, "nchw");
    join.inputs.push_back(add({.kind = OpKind::reshape, .inputs = {nchw}}, "flat", {1, 5, side * side}));
  }
  const auto joined = add(std::move(join), "joined");
  assembler.output(add({.kind = OpKind::transpose, .inputs = {joined}, .axes = {0, 2, 1}}, "boxes"));
  const auto after = check([](ir::Graph& graph) {
    while (passes::simplify_movement(graph) > 0) {
    }
  });
  EXPECT_FALSE(std::ranges::contains(kinds(after), OpKind::transpose));
  EXPECT_EQ(after.ops.size(), 5U);
}

/// A channel shuffle and split is two slices with a step of 2.
TEST_F(Passes, TurnsAShuffleIntoSlices) {
  const auto in = assembler.input("in", {1, 3, 2, 8});
  const auto nchw = add({.kind = OpKind::transpose, .inputs = {in}, .axes = {0, 3, 1, 2}}, "nchw");
  const auto pairs = add({.kind = OpKind::reshape, .inputs = {nchw}}, "pairs", {4, 2, 6});
  const auto turned = add({.kind = OpKind::transpose, .inputs = {pairs}, .axes = {1, 0, 2}}, "turned");
  for (const int half : {0, 1}) {
    const auto part =
        add({.kind = OpKind::slice, .inputs = {turned}, .axes = {half, 0, 0}, .steps = {1, 1, 1}}, "part", {1, 4, 6});
    const auto picture = add({.kind = OpKind::reshape, .inputs = {part}}, "picture", {1, 4, 3, 2});
    const auto nhwc = add({.kind = OpKind::transpose, .inputs = {picture}, .axes = {0, 2, 3, 1}}, "nhwc");
    assembler.output(add({.kind = OpKind::abs, .inputs = {nhwc}}, "out" + std::to_string(half)));
  }
  const auto after = check([](ir::Graph& graph) { passes::simplify_movement(graph); });
  EXPECT_EQ(kinds(after), (std::vector{OpKind::slice, OpKind::abs, OpKind::slice, OpKind::abs}));
  EXPECT_EQ(after.ops[2].axes, (std::vector{0, 0, 0, 1}));
  EXPECT_EQ(after.ops[2].steps[3], 2);
}

TEST_F(Passes, SplitsTheHead) {
  const auto in = assembler.input("in", {1, 2, 2, 3});
  const auto boxes = conv(in, 4, {}, "boxes"), logits = conv(in, 2, {}, "logits");
  const auto scores = add({.kind = OpKind::logistic, .inputs = {logits}}, "scores");
  const auto joined = add({.kind = OpKind::concat, .inputs = {boxes, scores}, .axes = {3}}, "joined");
  assembler.output(add({.kind = OpKind::reshape, .inputs = {joined}}, "rows", {1, 4, 6}));
  const ir::Graph graph = assembler.take();
  const auto split = passes::split_head(graph);
  EXPECT_EQ(kinds(split.body), (std::vector{OpKind::conv, OpKind::conv, OpKind::logistic}));
  EXPECT_EQ(kinds(split.tail), (std::vector{OpKind::concat, OpKind::reshape}));
  const std::vector<ir::Values> input{draw(12)};
  EXPECT_EQ(ir::Interpreter(split.tail).run(ir::Interpreter(split.body).run(input)), ir::Interpreter(graph).run(input));
}

TEST_F(Passes, WritesPaddingOut) {
  const auto in = assembler.input("in", {1, 8, 8, 3});
  const auto same = conv(in, 3, {.kernel_h = 3, .kernel_w = 3, .top = 1, .left = 1, .bottom = 1, .right = 1}, "same");
  // ONNX pads a stride of 2 before, TFLite after.
  const auto odd =
      conv(same, 3,
           {.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .top = 1, .left = 1, .bottom = 1, .right = 1},
           "odd");
  const auto abs = add({.kind = OpKind::abs, .inputs = {odd}}, "abs");
  const auto soft = add({.kind = OpKind::softmax, .inputs = {abs}, .axes = {1}}, "soft");
  assembler.output(soft);
  const auto after = check([](ir::Graph& graph) { EXPECT_TRUE(passes::to_tflite_forms(graph)); });
  EXPECT_EQ(kinds(after), (std::vector{OpKind::conv, OpKind::pad, OpKind::conv, OpKind::abs, OpKind::transpose,
                                       OpKind::softmax, OpKind::transpose}));
  EXPECT_EQ(after.ops[1].axes, (std::vector{0, 0, 1, 0, 1, 0, 0, 0}));
}

TEST_F(Passes, MakesANormThatNoLayerTakesALayer) {
  const auto in = assembler.input("in", {1, 5, 6, 3});
  const auto relu = add({.kind = OpKind::relu, .inputs = {in}}, "relu");
  const auto scaled = add({.kind = OpKind::mul, .inputs = {relu, constant({1, 1, 1, 3})}}, "scaled");
  const auto moved = add({.kind = OpKind::add, .inputs = {scaled, constant({1, 1, 1, 3})}}, "moved");
  const auto cut = add({.kind = OpKind::relu, .inputs = {moved}}, "cut");
  assembler.output(add({.kind = OpKind::mul, .inputs = {cut, constant({1, 1, 1, 1})}}, "louder"));
  const auto after = check([](ir::Graph& graph) {
    passes::simplify(graph, [](const ir::Graph& constants) { return ir::Interpreter(constants).run({}); });
  });
  EXPECT_EQ(kinds(after), (std::vector{OpKind::relu, OpKind::depthwise_conv, OpKind::mul})) << "one number stays";
  EXPECT_EQ(after.ops[1].activation, ir::Activation::relu);
}

TEST_F(Passes, MakesANumberForAllAndOneForEachChannelOneLayer) {
  const auto in = assembler.input("in", {1, 5, 6, 3});
  const auto scaled =
      add({.kind = OpKind::div, .inputs = {in, assembler.constant("128", {1, 1, 1, 1}, {128})}}, "scaled");
  assembler.output(add({.kind = OpKind::sub, .inputs = {scaled, constant({1, 1, 1, 3})}}, "moved"));
  const auto after = check([](ir::Graph& graph) {
    EXPECT_EQ(passes::affine_to_depthwise(graph), 1U);
    while (passes::fuse(graph) > 0) {
    }
  });
  EXPECT_EQ(kinds(after), std::vector{OpKind::depthwise_conv});
}

TEST_F(Passes, DividesByRoots) {
  const auto in = assembler.input("in", {1, 5, 6, 3});
  const auto square = add({.kind = OpKind::mul, .inputs = {in, in}}, "square");
  const auto mean = add({.kind = OpKind::mean, .inputs = {square}, .axes = {1, 2, 3}}, "mean");
  const auto normal = add({.kind = OpKind::div, .inputs = {in, mean}, .activation = ir::Activation::relu}, "normal");
  const auto sum = add({.kind = OpKind::sum, .inputs = {square}, .axes = {3}}, "sum");
  const auto length = add({.kind = OpKind::sqrt, .inputs = {sum}}, "length");
  const auto unit = add({.kind = OpKind::div, .inputs = {normal, length}}, "unit");
  assembler.output(add({.kind = OpKind::div, .inputs = {unit, constant({1, 1, 1, 3})}}, "out"));
  const auto after = check([](ir::Graph& graph) { EXPECT_EQ(passes::replace_divisions(graph), 4U); });
  for (const auto& op : after.ops) {
    EXPECT_TRUE(op.kind == OpKind::mul || op.kind == OpKind::mean || (op.kind == OpKind::sqrt && op.alpha < 0))
        << to_string(op.kind);
  }
}

TEST_F(Passes, KeepsADivisionByWhatMayBeNegative) {
  const auto in = assembler.input("in", {1, 2, 2, 3});
  assembler.output(add({.kind = OpKind::div, .inputs = {constant({1, 1, 1, 3}), in}}, "out"));
  ir::Graph graph = assembler.take();
  EXPECT_EQ(passes::replace_divisions(graph), 0U);
}

TEST_F(Passes, KeepsARootThatIsAnAnswerToo) {
  const auto in = assembler.input("in", {1, 2, 2, 3});
  const auto square = add({.kind = OpKind::mul, .inputs = {in, in}}, "square");
  const auto root = add({.kind = OpKind::sqrt, .inputs = {square}}, "root");
  assembler.output(root);
  assembler.output(add({.kind = OpKind::div, .inputs = {in, root}}, "sign"));
  const auto after = check([](ir::Graph& graph) { EXPECT_EQ(passes::replace_divisions(graph), 2U); });
  EXPECT_EQ(std::ranges::count(kinds(after), OpKind::sqrt), 2);
  for (const auto& op : after.ops) EXPECT_LE(op.alpha, 0) << "reciprocal roots only";
}

TEST_F(Passes, TakesPicturesAsCamerasGiveThem) {
  const auto in = assembler.input("in", {1, 2, 2, 3});
  assembler.output(add({.kind = OpKind::relu, .inputs = {in}}, "relu"));
  ir::Graph graph = assembler.take();
  EXPECT_FALSE(passes::normalize_input(graph, {1, 2}, {})) << "three channels";
  EXPECT_FALSE(passes::normalize_input(graph, {}, {0}));
  ASSERT_TRUE(passes::normalize_input(graph, {100, 0, 10}, {2}));
  const auto out = ir::Interpreter(graph).run({ir::Values(12, 110)})[0];
  EXPECT_EQ((std::vector(out.begin(), out.begin() + 3)), (std::vector<float>{5, 55, 50}));
}

}  // namespace
}  // namespace wayside::optimizer
