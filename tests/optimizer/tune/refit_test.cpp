// SPDX-License-Identifier: Apache-2.0
// What is left of a network makes up for what is gone, on samples that were not used.
#include "optimizer/tune/refit.h"

#include <cstddef>
#include <string>
#include <vector>

#include "optimizer/ir/interpreter.h"
#include "optimizer/tune/low_rank.h"
#include "optimizer/tune/prune.h"
#include "tests/optimizer/small_graph.h"
#include "tests/optimizer/tune/tune_fixture.h"

namespace wayside::optimizer {
namespace {

class Refit : public Tune {
 protected:
  void SetUp() override { ir::set_interpreter_threads(1); }
  std::vector<ir::Values> draw(const ir::Graph& graph, std::size_t count) {
    std::vector<ir::Values> out(count, ir::Values(ir::element_count(graph.tensors[graph.inputs[0]].shape)));
    for (ir::Values& values : out) {
      for (float& value : values) value = std::uniform_real_distribution<float>(0, 1)(random);
    }
    return out;
  }
  static double distance(const ir::Graph& teacher, const ir::Graph& student, const std::vector<ir::Values>& pictures) {
    ir::Interpreter exact(teacher), other(student);
    double error = 0, size = 0;
    for (const auto& picture : pictures) {
      const auto a = exact.run({picture}), b = other.run({picture});
      for (std::size_t o = 0; o < a.size(); ++o) {
        for (std::size_t k = 0; k < a[o].size(); ++k) {
          const double difference = static_cast<double>(a[o][k]) - static_cast<double>(b[o][k]);
          error += difference * difference;
          size += static_cast<double>(a[o][k]) * static_cast<double>(a[o][k]);
        }
      }
    }
    return error / size;
  }
};

TEST_F(Refit, PrunedLayersMakeUpForWhatIsGone) {
  const ir::Graph teacher = small_graph(3);
  auto pruned = prune_channels(teacher, weight_scores(teacher, Importance::l2), {.kept_mac_share = 0.6});
  ASSERT_TRUE(pruned);
  ASSERT_GT(pruned->removed, 0U);
  const auto unseen = draw(teacher, 8);
  const double before = distance(teacher, pruned->graph, unseen);
  const auto layers = refit_layers(teacher, pruned->kept, pruned->graph, samples_of(draw(teacher, 32)), {});
  ASSERT_TRUE(layers) << layers.error().message;
  EXPECT_EQ(*layers, 5U) << "with the depthwise one";
  EXPECT_LT(distance(teacher, pruned->graph, unseen), 0.5 * before);
}

/// A channel that is the sum of two others is not needed: its reader can do without.
TEST_F(Refit, FindsTheExactWeightsWhereThereAreSome) {
  const auto in = assembler.input("in", {1, 8, 8, 3});
  const auto first = conv(in, 3, 1, "first", ir::Activation::none);
  assembler.output(conv(first, 2, 3, "last", ir::Activation::none));
  ir::Graph teacher = assembler.take();
  auto& op = teacher.ops[0];
  for (std::size_t i = 0; i < 3; ++i) op.weight[6 + i] = op.weight[i] + op.weight[3 + i];
  op.bias[2] = op.bias[0] + op.bias[1];
  const auto groups = find_channel_groups(teacher);
  std::vector<bool> removed(groups.groups.size());
  for (std::size_t g = 0; g < removed.size(); ++g) removed[g] = groups.groups[g].members[0].channel == 2;
  auto student = remove_channels(teacher, groups, removed);
  ASSERT_TRUE(student) << student.error().message;
  ASSERT_EQ(student->ops[0].bias.size(), 2U);
  const auto pictures = draw(teacher, 16);
  const double before = distance(teacher, *student, pictures);
  ASSERT_TRUE(refit_layers(teacher, kept_channels(teacher, groups, removed), *student, samples_of(pictures), {}));
  EXPECT_GT(before, 0.01);
  EXPECT_LT(distance(teacher, *student, pictures), 0.01 * before);
}

TEST_F(Refit, FactorisedLayersToo) {
  const ir::Graph teacher = small_graph(5);
  auto thin = factorise(teacher, {.rank_share = 0.5, .least_saving = 0});
  ASSERT_TRUE(thin);
  ASSERT_FALSE(thin->layers.empty());
  const auto unseen = draw(teacher, 8);
  const double before = distance(teacher, thin->graph, unseen);
  ASSERT_TRUE(refit_layers(teacher, {}, thin->graph, samples_of(draw(teacher, 32)), {}));
  EXPECT_LT(distance(teacher, thin->graph, unseen), 0.7 * before);
}

TEST_F(Refit, ZerosStayZeroAndTheOthersMakeUpForThem) {
  const ir::Graph teacher = small_graph(4);
  ir::Graph thin = teacher;
  ASSERT_GT(sparsify_2_4(thin), 0U);
  const ir::Graph zeros = thin;
  const auto unseen = draw(teacher, 8);
  const double before = distance(teacher, thin, unseen);
  ASSERT_TRUE(refit_layers(teacher, {}, thin, samples_of(draw(teacher, 32)), {.keep_zeros = true}));
  EXPECT_LT(distance(teacher, thin, unseen), 0.8 * before);
  for (std::size_t i = 0; i < zeros.ops.size(); ++i) {
    for (std::size_t k = 0; k < zeros.ops[i].weight.size(); ++k) {
      if (zeros.ops[i].weight[k] == 0) {
        ASSERT_EQ(thin.ops[i].weight[k], 0) << i << " " << k;
      }
    }
  }
}

/// A branch that reads what its shortcut reads can undo all that is wrong with that.
TEST_F(Refit, ABranchMakesUpForTheErrorOfItsShortcut) {
  const auto in = assembler.input("in", {1, 8, 8, 3});
  const auto shortcut = conv(in, 4, 1, "shortcut", ir::Activation::none);
  const auto branch = conv(in, 4, 1, "branch", ir::Activation::none);
  assembler.output(add({.kind = ir::OpKind::add, .inputs = {branch, shortcut}}, "sum"));
  const ir::Graph teacher = assembler.take();
  // Left out of the student's own refit: the teacher knows no such layer.
  ir::Graph student = teacher;
  student.tensors[shortcut].name = "other";
  for (float& weight : student.ops[0].weight) weight = 0;
  const auto pictures = draw(teacher, 8);
  const double before = distance(teacher, student, pictures);
  ASSERT_TRUE(refit_layers(teacher, {}, student, samples_of(pictures), {}));
  EXPECT_LT(distance(teacher, student, pictures), 0.01 * before);
}

TEST_F(Refit, LeavesAloneWhatIsRight) {
  const ir::Graph teacher = small_graph(3);
  ir::Graph student = teacher;
  const auto pictures = draw(teacher, 4);
  ASSERT_TRUE(refit_layers(teacher, {}, student, samples_of(pictures), {}));
  for (std::size_t i = 0; i < teacher.ops.size(); ++i) {
    EXPECT_EQ(student.ops[i].weight, teacher.ops[i].weight);
    EXPECT_EQ(student.ops[i].bias, teacher.ops[i].bias);
  }
  const auto refused = refit_layers(teacher, {}, student, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Code::invalid_argument);
}

}  // namespace
}  // namespace wayside::optimizer
