// SPDX-License-Identifier: Apache-2.0
// Folded graphs against the same graphs run operator by operator (Level::reference), on every level of this machine.
#include "accel/cpu/fold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <random>

#include "accel/cpu/cpu_session.h"
#include "tests/accel/model_builder.h"

namespace wayside::accel::cpu {
namespace {

using schema::ActivationFunctionType;
using schema::BuiltinOptions;
using testing::ModelBuilder;

constexpr unsigned kSeed = 20261121;
constexpr Level kLevels[] = {Level::avx2, Level::avx_vnni, Level::avx512_vnni, Level::neon, Level::neon_dot};

using Outputs = std::vector<std::vector<std::byte>>;

std::unique_ptr<CpuSession> load(const ModelBuilder& model, Level level) {
  auto session = CpuSession::create(model.build(), {.thread_count = 1}, level);
  EXPECT_TRUE(session) << session.error().message;
  return session ? std::move(*session) : nullptr;
}

/// Outputs for one seeded input; the second of two runs, because a run must leave nothing behind.
Outputs run(CpuSession& session, unsigned seed) {
  Outputs outputs;
  for (int repeat = 0; repeat < 2; ++repeat) {
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < session.inputs().size(); ++i) {
      for (auto& byte : session.input(i)) byte = static_cast<std::byte>(random());
    }
    EXPECT_TRUE(session.run());
    outputs.clear();
    for (std::size_t i = 0; i < session.outputs().size(); ++i) {
      outputs.emplace_back(session.output(i).begin(), session.output(i).end());
    }
  }
  return outputs;
}

std::vector<std::string_view> running(const CpuSession& session) {
  std::vector<std::string_view> names;
  for (const auto& info : session.operators()) {
    if (info.runs) names.push_back(info.name);
  }
  return names;
}

/// All levels give what the reference gives; returns what runs when folded.
std::vector<std::string_view> expect_same(const ModelBuilder& model, const std::string& what) {
  const auto plain = load(model, Level::reference);
  if (!plain) return {};
  const Outputs wanted = run(*plain, kSeed);
  std::vector<std::string_view> names;
  for (const Level level : kLevels) {
    if (!level_supported(level)) continue;
    const auto session = load(model, level);
    if (!session) return {};
    EXPECT_EQ(run(*session, kSeed), wanted) << what << " at " << to_string(level) << ", seed " << kSeed;
    names = running(*session);
  }
  return names;
}

std::int32_t number(ModelBuilder& model, std::uint8_t byte, float scale) {
  return model.tensor({.name = "number", .shape = {1}, .scales = {scale}, .zero_points = {-3}, .data = {byte}});
}

void add(ModelBuilder& model, std::int32_t a, std::int32_t b, std::int32_t out, ActivationFunctionType activation) {
  model.op(OpCode::add, {a, b}, {out}, BuiltinOptions::AddOptions,
           [=](auto& fbb) { return schema::CreateAddOptions(fbb, activation); });
}
void mul(ModelBuilder& model, std::int32_t a, std::int32_t b, std::int32_t out) {
  model.op(OpCode::mul, {a, b}, {out}, BuiltinOptions::MulOptions,
           [=](auto& fbb) { return schema::CreateMulOptions(fbb); });
}

using Names = std::vector<std::string_view>;
constexpr auto kNone = ActivationFunctionType::NONE;

TEST(FoldTest, SiluIsOneLookup) {
  ModelBuilder model;
  const auto x = model.activation({1, 5, 7, 3}, 0.05F, 4), gate = model.activation({1, 5, 7, 3}, 1.0F / 256, -128);
  const auto out = model.activation({1, 5, 7, 3}, 0.03F, -90);
  model.op(OpCode::logistic, {x}, {gate});
  mul(model, x, gate, out);
  model.inputs = {x};
  model.outputs = {out};
  EXPECT_EQ(expect_same(model, "silu"), Names{"MUL"});
}

TEST(FoldTest, SpelledOutHardSwishIsOneLookup) {
  ModelBuilder model;
  const auto tensor = [&](float scale, int zero) { return model.activation({2, 9, 11}, scale, zero); };
  const auto x = tensor(0.06F, 10), shifted = tensor(6.0F / 255, -128), product = tensor(0.1F, -20),
             out = tensor(0.02F, -60);
  add(model, number(model, 97, 0.03F), x, shifted, ActivationFunctionType::RELU6);
  mul(model, shifted, x, product);
  mul(model, product, number(model, 80, 0.002F), out);
  model.inputs = {x};
  model.outputs = {out};
  EXPECT_EQ(expect_same(model, "hard swish"), Names{"MUL"});
}

TEST(FoldTest, AValueInTheMiddleThatIsReadStays) {
  ModelBuilder model;
  const auto tensor = [&](float scale, int zero) { return model.activation({1, 40}, scale, zero); };
  const auto x = tensor(0.06F, 10), y = tensor(0.04F, 0), sum = tensor(0.08F, 3), gate = tensor(1.0F / 256, -128);
  const auto out = tensor(0.05F, -30);
  add(model, x, y, sum, kNone);
  model.op(OpCode::logistic, {sum}, {gate});
  mul(model, gate, sum, out);
  model.inputs = {x, y};
  model.outputs = {gate, out};
  EXPECT_EQ(expect_same(model, "gate is an output"), (Names{"ADD", "LOGISTIC", "MUL"}));
  model.outputs = {out};
  EXPECT_EQ(expect_same(model, "gate is not"), (Names{"ADD", "MUL"}));
}

/// An input may be overwritten by a run, an output must survive the writing of the next input.
TEST(FoldTest, OutputsDoNotLieInInputs) {
  ModelBuilder model;
  const auto x = model.activation({1, 64}, 0.05F, 4), y = model.activation({1, 64}, 0.04F, -4);
  const auto out = model.activation({8, 8}, 0.04F, -4), shape = model.constant_i32({8, 8});
  model.op(OpCode::relu, {x}, {y});
  model.op(OpCode::reshape, {y, shape}, {out});
  model.inputs = {x};
  model.outputs = {out};
  expect_same(model, "relu, reshape");
  for (const Level level : kLevels) {
    if (!level_supported(level)) continue;
    const auto session = load(model, level);
    ASSERT_TRUE(session);
    EXPECT_NE(session->input(0).data(), session->output(0).data());
  }
}

class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : random_(seed) {
    for (int i = 0; i < 2; ++i) model_.inputs.push_back(tensor());
    tensors_ = model_.inputs;
    const int count = 2 + pick(10);
    for (int i = 0; i < count; ++i) step();
    for (int i = 0; i <= pick(2); ++i) {
      const auto output = tensors_[tensors_.size() - 1 - static_cast<std::size_t>(pick(count))];
      const bool known = std::ranges::find(model_.outputs, output) != model_.outputs.end();
      const bool is_input = std::ranges::find(model_.inputs, output) != model_.inputs.end();
      if (!known && !is_input) model_.outputs.push_back(output);
    }
    if (model_.outputs.empty()) model_.outputs = {tensors_.back()};
  }
  [[nodiscard]] const ModelBuilder& model() const { return model_; }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  std::int32_t tensor() {
    return model_.activation({1, 6, 5, 3}, 0.01F + (static_cast<float>(pick(100)) / 1000.0F), pick(200) - 100);
  }
  void step() {
    const auto any = [&] {
      return tensors_[tensors_.size() - 1 -
                      static_cast<std::size_t>(pick(std::min(4, static_cast<int>(tensors_.size()))))];
    };
    const auto a = any(), b = any(), out = tensor();
    switch (pick(6)) {
      case 0: add(model_, a, b, out, ActivationFunctionType::RELU); break;
      case 1: mul(model_, a, b, out); break;
      case 2: model_.op(OpCode::logistic, {a}, {out}); break;
      case 3: model_.op(OpCode::quantize, {a}, {out}); break;
      case 4: mul(model_, number(model_, static_cast<std::uint8_t>(pick(256)), 0.02F), a, out); break;
      default:
        model_.op(OpCode::sub, {a, b}, {out}, BuiltinOptions::SubOptions,
                  [](auto& fbb) { return schema::CreateSubOptions(fbb); });
    }
    tensors_.push_back(out);
  }

  std::mt19937 random_;
  ModelBuilder model_;
  std::vector<std::int32_t> tensors_;
};

TEST(FoldTest, RandomGraphsKeepTheirResults) {
  std::size_t before = 0, after = 0;
  for (unsigned round = 0; round < 150; ++round) {
    const RandomGraph graph(kSeed + round);
    after += expect_same(graph.model(), "random graph " + std::to_string(round)).size();
    before += graph.model().ops.size();
    if (HasFailure()) break;
  }
  std::cout << before << " operators, " << after << " run\n";
  EXPECT_LT(after, before);
}

struct PadCase {
  std::vector<std::int32_t> pads;  // top, bottom, left, right
  int kernel = 3, stride = 1;
  OpCode code = OpCode::conv_2d;
  std::int64_t zero_point = 5;
  bool folds = true;
};

ModelBuilder pad_model(const PadCase& item, bool read_twice) {
  constexpr std::int32_t kHeight = 9, kWidth = 8, kChannels = 6;
  ModelBuilder model;
  const auto x = model.activation({1, kHeight, kWidth, kChannels}, 0.05F, item.zero_point);
  const std::int32_t rows = kHeight + item.pads[0] + item.pads[1], columns = kWidth + item.pads[2] + item.pads[3];
  const auto padded = model.activation({1, rows, columns, kChannels}, 0.05F, item.zero_point);
  const auto pads = model.constant_i32({0, 0, item.pads[0], item.pads[1], item.pads[2], item.pads[3], 0, 0}, {4, 2});
  const auto size = [&](std::int32_t in) { return ((in - item.kernel) / item.stride) + 1; };
  const bool pool = item.code == OpCode::max_pool_2d || item.code == OpCode::average_pool_2d;
  const auto out = model.activation({1, size(rows), size(columns), kChannels}, 0.05F, pool ? item.zero_point : -7);
  model.op(OpCode::pad, {x, pads}, {padded});
  const bool depthwise = item.code == OpCode::depthwise_conv_2d;
  std::vector<std::uint8_t> weights(static_cast<std::size_t>(item.kernel) * item.kernel * kChannels *
                                    (depthwise ? 1 : kChannels));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<std::uint8_t>((i * 89) + 7);
  const auto stride = item.stride, kernel = item.kernel;
  constexpr auto kValid = schema::Padding::VALID;
  if (pool) {
    model.op(item.code, {padded}, {out}, BuiltinOptions::Pool2DOptions,
             [=](auto& fbb) { return schema::CreatePool2DOptions(fbb, kValid, stride, stride, kernel, kernel); });
  } else {
    const auto first = depthwise ? 1 : kChannels;
    const auto filter = model.tensor({.name = "w",
                                      .shape = {first, kernel, kernel, kChannels},
                                      .scales = {0.004F},
                                      .zero_points = {0},
                                      .data = weights});
    if (depthwise) {
      model.op(item.code, {padded, filter}, {out}, BuiltinOptions::DepthwiseConv2DOptions,
               [=](auto& fbb) { return schema::CreateDepthwiseConv2DOptions(fbb, kValid, stride, stride, 1); });
    } else {
      model.op(item.code, {padded, filter}, {out}, BuiltinOptions::Conv2DOptions,
               [=](auto& fbb) { return schema::CreateConv2DOptions(fbb, kValid, stride, stride); });
    }
  }
  model.inputs = {x};
  model.outputs = {out};
  if (read_twice) model.outputs.push_back(padded);
  return model;
}

TEST(FoldTest, PadsGoIntoWindows) {
  const std::vector<PadCase> cases = {
      {{1, 1, 1, 1}},
      {{1, 1, 1, 1}, 3, 2},
      {{0, 1, 0, 1}, 3, 2},
      {{3, 3, 3, 3}, 7, 2},
      {{2, 0, 1, 2}, 3, 1},
      {{1, 1, 1, 1}, 3, 1, OpCode::depthwise_conv_2d},
      {{0, 1, 1, 0}, 3, 2, OpCode::depthwise_conv_2d},
      {{2, 2, 2, 2}, 5, 2, OpCode::depthwise_conv_2d},
      {{1, 1, 1, 1}, 3, 2, OpCode::max_pool_2d, -128},
      {{2, 2, 2, 2}, 5, 1, OpCode::max_pool_2d, -128},
      {{1, 1, 1, 1}, 3, 2, OpCode::max_pool_2d, 5, false},      // a zero point may win
      {{1, 1, 1, 1}, 3, 2, OpCode::average_pool_2d, 5, false},  // pads count in the mean
      {{3, 1, 1, 1}, 3, 1, OpCode::conv_2d, 5, false},          // a window of pads alone
      {{1, 1, 1, 1}, 1, 1, OpCode::conv_2d, 5, false},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& item = cases[i];
    const auto names = expect_same(pad_model(item, false), "case " + std::to_string(i));
    EXPECT_EQ(names.size(), item.folds ? 1U : 2U) << "case " << i;
    EXPECT_EQ(expect_same(pad_model(item, true), "case, read twice " + std::to_string(i)).size(), 2U);
  }
}

TEST(NeededSteps, FollowsReadersBackwards) {
  const std::vector<StepPlaces> steps = {
      {{0}, {1}}, {{1}, {2, 3}}, {{0}, {4}}, {{4}, {5}}, {{3}, {6}},
  };
  EXPECT_EQ(needed_steps(steps, {6}, 7), (std::vector<bool>{true, true, false, false, true}));
  EXPECT_EQ(needed_steps(steps, {5}, 7), (std::vector<bool>{false, false, true, true, false}));
  EXPECT_EQ(needed_steps(steps, {0}, 7), std::vector<bool>(5, false));
}

}  // namespace
}  // namespace wayside::accel::cpu
