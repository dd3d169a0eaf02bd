// SPDX-License-Identifier: Apache-2.0
// End to end on a real model with labelled data: report, budget, and the sets that are refused.
#include "optimizer/report/optimize.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>

#include "optimizer/import/import_model.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;

class Optimize : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("WAYSIDE_SHARED");
    const fs::path data = fs::path(shared == nullptr ? "../shared" : shared) / "data";
    options.model = data / "models/onnx/action_lzq_under_scene.onnx";
    const auto rows = data / "eval/action_lzq/training/data_under_scene.csv";
    if (!fs::exists(options.model) || !fs::exists(rows)) GTEST_SKIP() << "no shared data; set WAYSIDE_SHARED";
    fs::create_directories(folder);
    options.calibration = folder / "calibration.csv";
    options.evaluation = folder / "evaluation.csv";
    options.out = folder / "out";
    options.chains = {{.method = RangeMethod::mse}};
    std::ifstream in(rows);
    std::string line;
    std::getline(in, line);
    for (int i = 0; std::getline(in, line); ++i) {
      if (i % 8 == 0) calibration.push_back(line);
      if (i % 8 == 3) evaluation.push_back(line);
    }
    write(options.calibration, calibration);
    write(options.evaluation, evaluation);
  }
  void TearDown() override { fs::remove_all(folder); }
  static void write(const fs::path& path, const std::vector<std::string>& lines) {
    std::ofstream out(path);
    for (const auto& line : lines) out << line << '\n';
  }
  /// Half of the work, then training without labels.
  static ShrinkOptions half() {
    return {.kept_mac_share = 0.5,
            .sparsity = {},
            .energy = {},
            .latency = {},
            .training = {.steps = 150, .learning_rate = 2e-3, .scheme = {}}};
  }
  static void expect_half(const Report& report) {
    EXPECT_NEAR(static_cast<double>(report.shrunk_mac_count), 0.5 * static_cast<double>(report.mac_count),
                0.05 * static_cast<double>(report.mac_count));
  }
  static bool go_on(const std::string& /*what*/, double /*done*/) { return true; }

  fs::path folder = fs::path(testing::TempDir()) / ("optimize." + std::to_string(::getpid()));
  std::vector<std::string> calibration, evaluation;
  OptimizeOptions options;
};

TEST_F(Optimize, MeasuresAndReports) {
  options.budget = *parse_budget("drop<0.5%,size<100kB");
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->chosen, 0);
  const Variant& variant = report->variants[0];
  EXPECT_GT(variant.float_score, 0.7) << "the model knows its data";
  EXPECT_NEAR(variant.engine_score, variant.simulated_score, 0.002);
  EXPECT_GT(variant.agreement, 0.95);
  EXPECT_LT(variant.bytes, variant.float_bytes / 2);
  EXPECT_EQ(fs::file_size(options.out / variant.file), variant.bytes);
  std::ifstream json(options.out / "action_lzq_under_scene.json");
  EXPECT_EQ(nlohmann::json::parse(json)["chosen"], variant.name);
  EXPECT_TRUE(fs::exists(options.out / "action_lzq_under_scene.md"));
  EXPECT_TRUE(fs::exists(options.out / "action_lzq_under_scene.svg"));
  EXPECT_NE(to_markdown(*report).find("13 888 multiply-accumulates"), std::string::npos) << to_markdown(*report);
  EXPECT_EQ(nlohmann::json::parse(to_json(*report))["training_seed"], nullptr);
  const auto again = optimize(options, go_on);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->variants[0].engine_score, variant.engine_score);
  EXPECT_EQ(again->calibration_sha256, report->calibration_sha256);
}

TEST_F(Optimize, GivesFourBitsToAsManyLayersAsTheBudgetBears) {
  options.mixed = true;
  options.budget = *parse_budget("drop<2%");
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_GE(report->chosen, 0);
  const auto& chosen = report->variants[static_cast<std::size_t>(report->chosen)];
  for (const auto& variant : report->variants) {
    if (!variant.misses.empty()) continue;
    EXPECT_LE(chosen.bytes, variant.bytes) << "the smallest within the budget";
  }
  const auto four = std::ranges::count(report->layers, 4, &LayerPrecision::bits);
  EXPECT_TRUE(chosen.name.contains(std::format("+int4-{}-of-{}-layers", four, report->layers.size()))) << chosen.name;
  EXPECT_TRUE(to_markdown(*report).contains("Weights by layer"));
  EXPECT_EQ(nlohmann::json::parse(to_json(*report))["layers"].size(), report->layers.size());
}

TEST_F(Optimize, LooksForRangesThatFitBeforeItGivesFourBits) {
  options.mixed = true;
  options.budget = *parse_budget("size<1B");
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->chosen, -1);
  const auto none = std::format("+int4-0-of-{}-layers", report->layers.size());
  std::vector<std::string> names;
  for (const auto& variant : report->variants) names.push_back(variant.name);
  ASSERT_EQ(names.size(), 5U) << "all layers, then no layer with four kinds of ranges";
  EXPECT_EQ(std::vector(names.begin() + 1, names.end()),
            (std::vector{"average+equalised+bias" + none, "mse+equalised+bias" + none,
                         "percentile+equalised+bias" + none, "kl+equalised+bias" + none}));
}

TEST_F(Optimize, TellsHowOftenItAnswersAsFloatDoes) {
  for (std::string& row : evaluation) row.replace(row.rfind(','), std::string::npos, ",0");  // labels that tell nothing
  write(options.evaluation, evaluation);
  const auto wrong = optimize(options, go_on);
  ASSERT_TRUE(wrong) << wrong.error().message;
  EXPECT_LT(wrong->variants[0].float_score, 0.7);
  options.agreement = true;
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->variants[0].float_score, 1);
  EXPECT_GT(report->variants[0].engine_score, 0.95);
  EXPECT_TRUE(to_markdown(*report).contains("top-1 with float as the truth"));
}

TEST_F(Optimize, TriesEveryChainForAnImpossibleBudget) {
  options.chains = ladder();
  options.first_that_fits = true;
  options.budget = *parse_budget("size<1B");
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->chosen, -1);
  const auto adaround = std::ranges::count_if(ladder(), [](const auto& chain) { return chain.adaround_steps > 0; });
  EXPECT_EQ(report->variants.size() + static_cast<std::size_t>(adaround), ladder().size())
      << "it cannot lower the size";
  EXPECT_NE(to_markdown(*report).find("None is within the budget"), std::string::npos);
}

TEST_F(Optimize, RefusesSmallAndForeignCalibrationSets) {
  write(options.calibration, {calibration.begin(), calibration.begin() + 99});
  const auto few = optimize(options, go_on);
  ASSERT_FALSE(few);
  EXPECT_NE(few.error().message.find("99 samples, at least 100"), std::string::npos) << few.error().message;

  std::vector<std::string> foreign;
  for (int i = 0; i < 200; ++i) {
    std::string row;
    for (int k = 0; k < 36; ++k) row += std::to_string(300 + (i * k) % 50) + ",";  // px, not fractions
    foreign.push_back(row + "0");
  }
  write(options.calibration, foreign);
  const auto far = optimize(options, go_on);
  ASSERT_FALSE(far);
  EXPECT_NE(far.error().message.find(options.calibration.string()), std::string::npos) << far.error().message;
  EXPECT_NE(far.error().message.find("--any-domain"), std::string::npos) << far.error().message;
  options.any_domain = true;
  EXPECT_TRUE(optimize(options, go_on));
}

TEST_F(Optimize, TrainsTheBestChain) {
  options.training = FinetuneOptions{.steps = 60, .learning_rate = 5e-4, .scheme = {}};
  const auto stopped =
      optimize(options, [](const std::string& what, double done) { return !what.contains("qat") || done < 0.5; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, base::Code::bad_state);
  double first = -1;
  const auto report = optimize(options, [&first](const std::string& what, double done) {
    if (what.contains("qat") && first < 0) first = done;
    return true;
  });
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(first, 0.5) << "goes on where it was stopped";
  ASSERT_EQ(report->variants.size(), 2U);
  EXPECT_EQ(nlohmann::json::parse(to_json(*report))["training_seed"], options.training->seed);
  const Variant &before = report->variants[0], &after = report->variants[1];
  EXPECT_EQ(after.name, before.name + "+qat-60");
  EXPECT_NEAR(after.engine_score, after.simulated_score, 0.002);
  EXPECT_GT(after.engine_score, after.float_score - 0.02);
  EXPECT_GT(after.agreement, 0.95);
  EXPECT_EQ(fs::file_size(options.out / after.file), after.bytes);
}

TEST_F(Optimize, LeavesAFolderForEachTargetAndAProfile) {
  options.targets = *emit::parse_targets("all");
  options.profile = true;
  options.weight_only = true;
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->targets.size(), 4U);
  for (const auto& target : report->targets) {
    for (const auto& file : target.files)
      EXPECT_TRUE(fs::exists(options.out / "action_lzq_under_scene.targets" / file)) << file;
  }
  const auto markdown = to_markdown(*report);
  EXPECT_NE(markdown.find("| rk3588 | compile.py is to be run"), std::string::npos) << markdown;
  ASSERT_EQ(report->variants.size(), 3U);
  const Variant &half = report->variants[1], &dynamic = report->variants[2];
  EXPECT_EQ(half.simulated_score, half.float_score) << "eleven bits change no answer here";
  EXPECT_NEAR(dynamic.simulated_score, dynamic.float_score, 0.005);
  EXPECT_LT(half.bytes, half.float_bytes * 6 / 10);
  EXPECT_LT(dynamic.bytes, half.bytes * 7 / 10);
  EXPECT_EQ(report->chosen, 0);
  EXPECT_NE(markdown.find("(simulated)"), std::string::npos) << markdown;
  EXPECT_NE(markdown.find("Bottlenecks:"), std::string::npos) << markdown;
  EXPECT_EQ(nlohmann::json::parse(to_json(*report))["targets"].size(), 4U);
  EXPECT_GT(fs::file_size(options.out / "action_lzq_under_scene.mse+equalised+bias.profile.html"), 1000U);
}

/// A network with half of the work, taught without labels, then quantised: the report has both losses.
TEST_F(Optimize, ATrainingOfASmallerNetworkGoesOn) {
  options.shrink = half();
  const auto whole = optimize(options, go_on);
  ASSERT_TRUE(whole) << whole.error().message;
  const auto training = [](const std::string& what) { return what.contains("held out"); };
  const auto stopped =
      optimize(options, [&](const std::string& what, double done) { return !training(what) || done < 0.5; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, base::Code::bad_state);
  double first = -1;
  const auto resumed = optimize(options, [&](const std::string& what, double done) {
    if (training(what) && first < 0) first = done;
    return true;
  });
  ASSERT_TRUE(resumed) << resumed.error().message;
  EXPECT_GT(first, 0.5) << "goes on where it was stopped";
  EXPECT_EQ(resumed->trainings[0].held_out.best, whole->trainings[0].held_out.best);
  EXPECT_EQ(resumed->trained_score, whole->trained_score);
}

TEST_F(Optimize, MakesTheNetworkSmallerFirst) {
  options.shrink = half();
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->shrunk, "pruned-50+distilled-150");
  expect_half(*report);
  EXPECT_GT(report->untrained_score, 0.7) << "refitted layers make up for the channels (.35 without)";
  ASSERT_EQ(report->trainings.size(), 1U);
  EXPECT_LE(report->trainings[0].held_out.best, report->trainings[0].held_out.first) << "never worse than it began";
  EXPECT_GT(report->trained_score, report->untrained_score - 0.01) << "what is judged is the outputs' distance";
  ASSERT_EQ(report->variants.size(), 1U);
  const Variant& variant = report->variants[0];
  EXPECT_EQ(variant.name, "pruned-50+distilled-150+mse+equalised+bias");
  EXPECT_GT(variant.float_score, 0.7) << "of the network as it came";
  EXPECT_NEAR(variant.engine_score, report->trained_score, 0.03);
  EXPECT_NE(to_markdown(*report).find("Made smaller (pruned-50+distilled-150)"), std::string::npos);
  options.shrink = ShrinkOptions{
      .kept_mac_share = {}, .sparsity = {}, .energy = 0.5, .latency = {}, .training = {.steps = 0, .scheme = {}}};
  const auto low_rank = optimize(options, go_on);
  ASSERT_TRUE(low_rank) << low_rank.error().message;
  EXPECT_EQ(low_rank->shrunk, "low-rank-50");
  EXPECT_LT(low_rank->shrunk_mac_count, report->mac_count);
  EXPECT_EQ(low_rank->trained_score, low_rank->untrained_score);
}

/// Two of each four weights are zero, through training without labels and with rounding, in the written file too.
TEST_F(Optimize, SparseWeightsStaySparse) {
  options.shrink = ShrinkOptions{.kept_mac_share = {},
                                 .sparsity = Sparsity{.two_of_four = true},
                                 .energy = {},
                                 .latency = {},
                                 .training = {.steps = 150, .learning_rate = 2e-3, .scheme = {}}};
  options.training = FinetuneOptions{.steps = 20, .learning_rate = 1e-3, .scheme = {}};
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->shrunk, "sparse-2-4+distilled-150");
  EXPECT_EQ(report->shrunk_mac_count, report->mac_count);
  EXPECT_GT(report->untrained_score, 0.75) << "fitted anew";
  ASSERT_EQ(report->variants.size(), 2U);
  for (const auto& variant : report->variants) {
    const auto written = import_model(options.out / variant.file);
    ASSERT_TRUE(written) << written.error().message;
    std::size_t layers = 0;
    for (const auto& op : written->ops) {
      if (op.weight.empty() || written->tensors[op.inputs[0]].shape.back() % 4 != 0) continue;
      ++layers;
      EXPECT_GE(std::ranges::count(op.weight, 0.0F), static_cast<std::ptrdiff_t>(op.weight.size() / 2))
          << variant.name << ", layer " << layers;
    }
    EXPECT_GT(layers, 1U);
  }
}

/// In rounds, by what the outputs would change: ends at the same size, better than all at once without training.
TEST_F(Optimize, PrunesInRoundsByTaylorsImportance) {
  options.shrink = half();
  options.shrink->importance = Importance::taylor;
  options.shrink->rounds = 3;
  const auto report = optimize(options, go_on);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->shrunk, "pruned-50-taylor-in-3+distilled-150");
  expect_half(*report);
  EXPECT_GT(report->trained_score, 0.7);
}

TEST(ParseSparsity, TakesAShareOrTwoOfFour) {
  EXPECT_TRUE(parse_sparsity("2:4")->two_of_four);
  EXPECT_EQ(parse_sparsity("0.25")->zero_share, 0.25);
  for (const auto* text : {"", "0", "1", "-0.5", "nan", "0.5x", "1:4"}) EXPECT_FALSE(parse_sparsity(text)) << text;
}

TEST_F(Optimize, StopsWhenAsked) {
  const auto stopped = optimize(options, [](const std::string& what, double) { return what == "float"; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, base::Code::bad_state);
}

}  // namespace
}  // namespace wayside::optimizer
