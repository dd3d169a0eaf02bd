// SPDX-License-Identifier: Apache-2.0
// Small networks learn back what they lost by rounding and by pruning; the same after an interruption.
#include "optimizer/tune/finetune.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/ptq.h"
#include "optimizer/tune/picture_variation.h"
#include "optimizer/tune/prune.h"
#include "tests/optimizer/small_graph.h"
#include "tests/optimizer/tune/tune_fixture.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;
using base::Code;

class FinetuneTest : public Tune {
 protected:
  void SetUp() override {
    ir::set_interpreter_threads(1);
    checkpoint = fs::path(testing::TempDir()) /
                 (std::string("finetune_") + testing::UnitTest::GetInstance()->current_test_info()->name() + ".pt");
    fs::remove(checkpoint);
    pictures = draw_pictures(kMinCalibrationPictures);
    unseen = draw_pictures(16);
    samples = samples_of(pictures);
  }
  void TearDown() override { fs::remove(checkpoint); }

  std::vector<ir::Values> draw_pictures(std::size_t count) {
    std::vector<ir::Values> out(count, ir::Values(std::size_t{16} * 16 * 3));
    for (ir::Values& picture : out) {
      for (float& value : picture) value = std::uniform_real_distribution<float>(0, 1)(random);
    }
    return out;
  }
  Quantized quantized(double int4_share) const {
    auto done = quantize_after_training(teacher, pictures, {.scale = 1.0F / 255, .zero_point = -128},
                                        {.int4_share = int4_share}, {});
    EXPECT_TRUE(done) << done.error().message;
    return *std::move(done);
  }
  Finetune run_of(ir::Graph& student) const {
    return {.teacher = &teacher, .student = &student, .samples = samples, .checkpoint = {}, .progress = {}};
  }
  FinetuneOptions aware(const Scheme& scheme) const {
    return {.steps = 40, .batch_size = 4, .learning_rate = 3e-5, .scheme = scheme, .checkpoint_every = 10};
  }
  /// Mean square difference of all outputs on pictures that did not teach.
  double distance(const ir::Graph& student, const Scheme& scheme = {}) const {
    ir::Interpreter exact(teacher), other(student);
    other.simulate(scheme);
    double sum = 0, count = 0;
    for (const auto& picture : unseen) {
      const auto a = exact.run({picture}), b = other.run({picture});
      for (std::size_t o = 0; o < a.size(); ++o) {
        for (std::size_t k = 0; k < a[o].size(); ++k) {
          const double difference = static_cast<double>(a[o][k]) - static_cast<double>(b[o][k]);
          sum += difference * difference;
        }
        count += static_cast<double>(a[o].size());
      }
    }
    return sum / count;
  }
  /// Values of one tensor for all pictures that did not teach.
  ir::Values hidden(const ir::Graph& graph, const std::string& name) const {
    ir::Values out;
    ir::Interpreter interpreter(graph);
    interpreter.observe([&](ir::TensorId id, std::span<const float> x) {
      if (graph.tensors[id].name == name) out.insert(out.end(), x.begin(), x.end());
    });
    for (const auto& picture : unseen) static_cast<void>(interpreter.run({picture}));
    return out;
  }
  static std::vector<float> all_weights(const ir::Graph& graph) {
    std::vector<float> out;
    for (const auto& op : graph.ops) {
      out.insert(out.end(), op.weight.begin(), op.weight.end());
      out.insert(out.end(), op.bias.begin(), op.bias.end());
    }
    return out;
  }
  static std::vector<float> all_scales(const Scheme& scheme) {
    std::vector<float> out;
    for (const auto& q : scheme.activations) out.push_back(q.scale);
    return out;
  }

  ir::Graph teacher = small_graph(3);
  std::vector<ir::Values> pictures, unseen;
  Samples samples;
  fs::path checkpoint;
};

/// The outputs come nearer to the float network's, on pictures that did not teach; in the written form too.
TEST_F(FinetuneTest, QuantizationAwareTrainingLowersTheLossOfFourBits) {
  const Quantized start = quantized(1);
  const double before = distance(start.graph, start.scheme);
  ir::Graph student = start.graph;
  auto options = aware(start.scheme);
  options.steps = 400;
  options.learning_rate = 3e-3;
  options.feature_weight = 0;  // random weights have no hidden tensors worth keeping
  const auto done = finetune(run_of(student), options);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LT(distance(student, done->scheme), 0.75 * before);
  EXPECT_LT(done->held_out.best, 0.75 * done->held_out.first);
  const auto integer = quantize(student, done->scheme.activations, done->scheme.weights);
  ASSERT_TRUE(integer) << integer.error().message;
  EXPECT_TRUE(std::ranges::all_of(integer->weights[0].weight, [](int q) { return -7 <= q && q <= 7; }));
}

TEST_F(FinetuneTest, ScalesAreLearnedWhereTheyAreFree) {
  const Quantized start = quantized(0);
  ir::Graph student = start.graph, fixed = start.graph;
  auto options = aware(start.scheme);
  const auto learned = finetune(run_of(student), options);
  options.learn_scales = false;
  const auto still = finetune(run_of(fixed), options);
  ASSERT_TRUE(learned && still);
  EXPECT_EQ(all_scales(still->scheme), all_scales(start.scheme));
  const auto& scales = learned->scheme.activations;
  for (const auto id : student.outputs) EXPECT_NE(scales[id].scale, start.scheme.activations[id].scale);
  EXPECT_EQ(scales[student.inputs[0]].scale, 1.0F / 255) << "the camera decides";
  bool resizes = false;
  for (const auto& op : student.ops) {
    if (op.kind != ir::OpKind::resize_nearest) continue;
    resizes = true;
    EXPECT_EQ(scales[op.inputs[0]].scale, scales[op.output].scale);
    EXPECT_NE(scales[op.output].scale, start.scheme.activations[op.output].scale);
  }
  EXPECT_TRUE(resizes);
}

/// Nothing is trained: what the student computes in training is what simulate() computes, so the losses agree.
TEST_F(FinetuneTest, TrainsOnWhatIsSimulated) {
  const Quantized start = quantized(0);
  ir::Graph student = start.graph;
  auto options = aware(start.scheme);
  options.learning_rate = 0;
  options.learn_scales = false;
  const auto fixed = finetune(run_of(student), options);
  options.learn_scales = true;
  const auto learned = finetune(run_of(student), options);
  ASSERT_TRUE(fixed && learned);
  EXPECT_EQ(all_weights(student), all_weights(start.graph));
  // A scale that went through its logarithm rounds a few values the other way.
  EXPECT_NEAR(learned->first_loss / fixed->first_loss, 1, 0.1);
  EXPECT_GT(fixed->first_loss, 0);
}

TEST_F(FinetuneTest, PrunedStudentLearnsFromUnlabelledSamples) {
  auto pruned = prune_channels(teacher, weight_scores(teacher, Importance::l2), {.kept_mac_share = 0.6});
  ASSERT_TRUE(pruned);
  ir::Graph& student = pruned->graph;
  const double before = distance(student);
  std::vector<FinetuneProgress> reports;
  Finetune run = run_of(student);
  run.progress = [&](const FinetuneProgress& progress) {
    reports.push_back(progress);
    return true;
  };
  const auto done =
      finetune(run, {.steps = 60, .batch_size = 4, .learning_rate = 5e-3, .feature_weight = 0.1, .scheme = {}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LT(done->last_loss, 0.5 * done->first_loss);
  EXPECT_LT(distance(student), 0.5 * before);
  EXPECT_TRUE(done->scheme.empty());
  EXPECT_EQ(done->learning_rate, 5e-3);
  EXPECT_EQ(done->held_out.samples, 20U);
  EXPECT_LT(done->held_out.best, 0.5 * done->held_out.first);
  EXPECT_EQ(reports.back().held_out, done->held_out.best);
  ASSERT_EQ(reports.size(), 60U);
  EXPECT_EQ(reports.back().step, 60);
  EXPECT_EQ(reports.back().left_s, 0);
  EXPECT_GT(reports.front().left_s, 0);
}

/// Hidden tensors come nearer to the channels that are left of the teacher's; without being told which these are
/// nothing that was pruned is compared.
TEST_F(FinetuneTest, HintsFollowThePrunedChannels) {
  auto pruned = prune_channels(teacher, weight_scores(teacher, Importance::l2), {.kept_mac_share = 0.6});
  ASSERT_TRUE(pruned);
  ASSERT_TRUE(pruned->kept.contains("stem") && pruned->kept.contains("spread"));
  const auto hidden_distance = [&](const ir::Graph& student) {
    double sum = 0;
    for (const std::string name : {"stem", "spread", "mixed"}) {
      const auto wanted = hidden(teacher, name), got = hidden(student, name);
      const auto& kept = pruned->kept.at(name);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const float exact = wanted[i / kept.size() * 8 + kept[i % kept.size()]];
        sum += std::pow(static_cast<double>(got[i]) - static_cast<double>(exact), 2);
      }
    }
    return sum;
  };
  const auto trained = [&](double weight, const KeptChannels& kept) {
    ir::Graph student = pruned->graph;
    Finetune run = run_of(student);
    run.kept = kept;
    EXPECT_TRUE(
        finetune(run, {.steps = 60, .batch_size = 4, .learning_rate = 5e-3, .feature_weight = weight, .scheme = {}}));
    return student;
  };
  const ir::Graph plain = trained(0, {}), blind = trained(10, {}), hinted = trained(10, pruned->kept);
  EXPECT_EQ(all_weights(blind), all_weights(plain));
  EXPECT_LT(hidden_distance(hinted), 0.7 * hidden_distance(plain));
  EXPECT_LT(distance(hinted), 0.5 * distance(pruned->graph)) << "the outputs, which are what counts";
}

/// A rate that ruins the student: what is returned is what came, or what was best before it was ruined.
TEST_F(FinetuneTest, NeverReturnsWorseThanItGot) {
  const Quantized start = quantized(0);
  ir::Graph student = start.graph;
  auto options = aware(start.scheme);
  options.learning_rate = 0.1;
  const auto done = finetune(run_of(student), options);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_GT(done->held_out.last, 10 * done->held_out.first) << "or nothing is shown";
  EXPECT_EQ(done->held_out.best, done->held_out.first);
  EXPECT_EQ(done->held_out.best_step, 0);
  EXPECT_EQ(all_weights(student), all_weights(start.graph));
  EXPECT_EQ(all_scales(done->scheme), all_scales(start.scheme));
}

TEST_F(FinetuneTest, HeldOutSamplesDoNotTeach) {
  ir::Graph student = teacher;
  std::vector<std::size_t> loads;
  Finetune run = run_of(student);
  run.samples.load = [&](std::size_t i) {
    loads.push_back(i);
    return pictures[i];
  };
  const auto done = finetune(run, {.steps = 20, .batch_size = 4, .learning_rate = 0, .scheme = {}});
  ASSERT_TRUE(done);
  ASSERT_GE(loads.size(), 102U);  // the last: those held out, two that tell this run from others, those that teach
  std::set<std::size_t> held_out(loads.end() - 102, loads.end() - 82), taught(loads.end() - 80, loads.end());
  EXPECT_EQ(held_out.size(), 20U);
  EXPECT_EQ(taught.size(), 80U);
  EXPECT_TRUE(std::ranges::equal(held_out, held_out_samples(100, 1)));
  for (const std::size_t sample : held_out) EXPECT_FALSE(taught.contains(sample)) << sample;
  for (std::size_t part = 0; part < 20; ++part)
    EXPECT_EQ(std::ranges::count_if(held_out, [&](std::size_t i) { return i / 5 == part; }), 1) << "spread evenly";
}

/// Where none is given, the one of the three that comes nearest; after an interruption too.
TEST_F(FinetuneTest, FindsARate) {
  ir::Graph pruned = prune_channels(teacher, weight_scores(teacher, Importance::l2), {.kept_mac_share = 0.6})->graph;
  const FinetuneOptions options{.steps = 48, .batch_size = 4, .scheme = {}, .checkpoint_every = 10};
  ir::Graph whole = pruned, cut = pruned;
  std::vector<FinetuneProgress> reports;
  Finetune run = run_of(whole);
  run.progress = [&](const FinetuneProgress& progress) {
    reports.push_back(progress);
    return true;
  };
  const auto done = finetune(run, options);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->learning_rate, 2.5e-3) << "far from the teacher the fastest is best";
  ASSERT_EQ(reports.size(), 48U + 3 * 6);
  EXPECT_EQ(reports.front().steps, 66);
  EXPECT_EQ(reports[10].step, 11);
  EXPECT_EQ(reports.back().step, 66);
  Finetune other = run_of(cut);
  other.checkpoint = checkpoint;
  for (const int last : {9, 40}) {  // while it tries rates, and later
    other.progress = [&](const FinetuneProgress& progress) { return progress.step != last; };
    ASSERT_FALSE(finetune(other, options));
  }
  std::int64_t first_step = 0;
  other.progress = [&](const FinetuneProgress& progress) {
    if (first_step == 0) first_step = progress.step;
    return true;
  };
  ASSERT_TRUE(finetune(other, options));
  EXPECT_EQ(first_step, 41);
  EXPECT_EQ(all_weights(cut), all_weights(whole));
}

/// Shifted, mirrored, with other contrast; never out of the range, and the same for the same seed.
TEST(VariedPicture, StaysAPictureOfItsRange) {
  const auto picture = torch::arange(16 * 24, torch::kFloat).view({1, 1, 16, 24});
  bool mirrored = false, straight = false;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const auto out = varied(picture, {.low = 10, .high = 300}, seed);
    ASSERT_EQ(out.sizes(), picture.sizes());
    EXPECT_GE(out.min().item<float>(), 10);
    EXPECT_LE(out.max().item<float>(), 300);
    EXPECT_TRUE(torch::equal(out, varied(picture, {.low = 10, .high = 300}, seed)));
    const float step = (out[0][0][8][13] - out[0][0][8][12]).item<float>();
    mirrored = mirrored || step < -0.7;
    straight = straight || step > 0.7;
  }
  EXPECT_TRUE(mirrored && straight);
  EXPECT_TRUE(is_picture({1, 16, 24, 3}) && is_picture({1, 16, 24, 1}));
  EXPECT_FALSE(is_picture({1, 1, 36, 1}) || is_picture({1, 36}) || is_picture({1, 16, 16, 8}));
}

TEST_F(FinetuneTest, SeedsDecide) {
  ir::Graph first = quantized(0).graph, again = first, other = first;
  auto options = aware(quantized(0).scheme);
  const auto a = finetune(run_of(first), options), b = finetune(run_of(again), options);
  options.seed = 2;
  ASSERT_TRUE(a && b && finetune(run_of(other), options));
  EXPECT_EQ(all_weights(first), all_weights(again));
  EXPECT_EQ(all_scales(a->scheme), all_scales(b->scheme));
  EXPECT_NE(all_weights(first), all_weights(other));
}

TEST_F(FinetuneTest, GoesOnAfterAnInterruption) {
  const Quantized start = quantized(0.5);
  const auto options = aware(start.scheme);
  ir::Graph whole = start.graph, cut = start.graph;
  const auto expected = finetune(run_of(whole), options);
  ASSERT_TRUE(expected);
  Finetune run = run_of(cut);
  run.checkpoint = checkpoint;
  for (const int last : {7, 25}) {  // of the first run and of the one that goes on
    run.progress = [&](const FinetuneProgress& progress) { return progress.step != last; };
    const auto stopped = finetune(run, options);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Code::bad_state);
    ASSERT_TRUE(fs::exists(checkpoint));
    EXPECT_EQ(all_weights(cut), all_weights(start.graph));
  }
  std::int64_t first_step = 0;
  run.progress = [&](const FinetuneProgress& progress) {
    if (first_step == 0) first_step = progress.step;
    return true;
  };
  const auto resumed = finetune(run, options);
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_EQ(first_step, 26);
  EXPECT_EQ(all_weights(cut), all_weights(whole));
  EXPECT_EQ(all_scales(resumed->scheme), all_scales(expected->scheme));
  EXPECT_EQ(resumed->first_loss, expected->first_loss);
  EXPECT_EQ(resumed->last_loss, expected->last_loss);
  EXPECT_FALSE(fs::exists(checkpoint));
}

TEST_F(FinetuneTest, RefusesForeignAndDamagedCheckpoints) {
  const Quantized start = quantized(0);
  auto options = aware(start.scheme);
  ir::Graph student = start.graph;
  Finetune run = run_of(student);
  run.checkpoint = checkpoint;
  run.progress = [](const FinetuneProgress&) { return false; };
  ASSERT_FALSE(finetune(run, options));
  run.progress = {};
  const auto refused = [&](const std::string& part) {
    const auto done = finetune(run, options);
    return !done && done.error().code == Code::corrupt && done.error().message.contains(part) &&
           done.error().message.contains(checkpoint.string()) && !done.error().message.contains('\n');
  };
  options.seed = 9;
  EXPECT_TRUE(refused("of another run"));
  options.seed = 1;
  std::string whole;
  {
    std::ifstream file(checkpoint, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(file), {});
  }
  const auto put = [&](const std::string& bytes) { std::ofstream(checkpoint, std::ios::binary) << bytes; };
  for (const std::size_t at : {std::size_t{70}, whole.size() / 4, whole.size() / 2, whole.size() - 1}) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    put(flipped);
    EXPECT_TRUE(refused("damaged")) << at;
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, whole.size() / 2}) {
    put(whole.substr(0, size));
    EXPECT_TRUE(refused("damaged")) << size;
  }
  EXPECT_EQ(all_weights(student), all_weights(start.graph));
  put(whole);
  EXPECT_TRUE(finetune(run, options)) << "the undamaged one is taken";
}

TEST_F(FinetuneTest, KeepsZeros) {
  ir::Graph student = teacher;
  const auto zeros = sparsify(student, 0.5);
  const auto sparse = student;
  ASSERT_TRUE(finetune(run_of(student), {.steps = 10, .learning_rate = 1e-2, .keep_zeros = true, .scheme = {}}));
  std::size_t left = 0;
  for (std::size_t i = 0; i < student.ops.size(); ++i) {
    for (std::size_t k = 0; k < student.ops[i].weight.size(); ++k) {
      EXPECT_TRUE(sparse.ops[i].weight[k] != 0 || student.ops[i].weight[k] == 0);
      left += student.ops[i].weight[k] == 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(left, zeros);
  EXPECT_NE(all_weights(student), all_weights(sparse));
}

/// Biases of logits that are off by 0, 1, 2.
TEST_F(FinetuneTest, LearnsByDivergence) {
  const auto in = assembler.input("in", {1, 16, 16, 3});
  const auto mean = add({.kind = ir::OpKind::mean, .inputs = {conv(in, 6, 3, "a")}, .axes = {1, 2}}, "mean");
  assembler.output(conv(mean, 3, 1, "logits", ir::Activation::none));
  teacher = assembler.take();
  for (auto& op : teacher.ops) {
    for (float& weight : op.weight) weight *= 0.1F;
  }
  ir::Graph student = teacher;
  auto& bias = student.ops.back().bias;
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] += static_cast<float>(i);
  const FinetuneOptions options{
      .steps = 60, .batch_size = 4, .learning_rate = 5e-2, .loss = DistillLoss::divergence, .scheme = {}};
  const auto done = finetune(run_of(student), options);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LT(done->last_loss, 0.2 * done->first_loss);
}

TEST_F(FinetuneTest, RefusesWhatDoesNotFit) {
  ir::Graph student = small_graph(4);
  const auto code = [](const Finetune& run, const FinetuneOptions& options) {
    const auto done = finetune(run, options);
    return done ? Code::io : done.error().code;
  };
  Finetune run = run_of(student);
  const FinetuneOptions few{.steps = 2, .scheme = {}};
  EXPECT_EQ(code(run, {.steps = 0, .scheme = {}}), Code::invalid_argument);
  EXPECT_EQ(code(run, {.steps = 2, .scheme = {.activations = {{.scale = 1}}, .weights = {}}}), Code::invalid_argument);
  run.samples = {};
  EXPECT_EQ(code(run, few), Code::invalid_argument);
  run.samples = samples_of({pictures[0]});
  EXPECT_EQ(code(run, few), Code::invalid_argument);
  run.samples = samples_of({{1, 2, 3}, {1, 2, 3}});
  EXPECT_EQ(code(run, few), Code::invalid_argument);
  run.samples = samples;
  student.outputs.pop_back();
  EXPECT_EQ(code(run, few), Code::invalid_argument);
}

}  // namespace
}  // namespace wayside::optimizer
