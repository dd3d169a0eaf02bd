// SPDX-License-Identifier: Apache-2.0
// The engine against TFLite's reference kernels: every operator, small graphs and real models, within 1 LSB, at every
// kernel level of this machine and with one and two threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include "tests/conformance/compare.h"
#include "tests/conformance/engine_run.h"
#include "tests/conformance/golden.h"
#include "tests/conformance/seeded.h"

namespace wayside::conformance {
namespace {

using Bytes = std::vector<std::uint8_t>;

const std::filesystem::path kGoldenFolder = WAYSIDE_GOLDEN_FOLDER;
constexpr std::string_view kRealModels = "real_models";
constexpr unsigned kThreadCounts[] = {1, 2};

std::filesystem::path models_folder() {
  const char* shared = std::getenv("WAYSIDE_SHARED");
  return std::filesystem::path(shared != nullptr ? shared : WAYSIDE_SHARED_DEFAULT) / "data/models/int8";
}

std::vector<std::string> operator_files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldenFolder)) {
    const auto name = entry.path().stem().string();
    if (entry.path().extension() == ".golden" && name != kRealModels) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string describe(const GoldenCase& item, const EngineSetup& setup) {
  return std::format("{}: {} (seed {}), {}", item.op, item.name, item.seed, to_string(setup));
}

/// Runs twice, because a run must leave nothing behind; both results are compared.
base::Result<Tally> check_case(const GoldenCase& item, std::span<const std::uint8_t> model,
                               std::span<const Bytes> inputs, const EngineSetup& setup) {
  WAYSIDE_TRY(const auto session, load_model(model, setup));
  WAYSIDE_CHECK(run_model(*session, inputs));
  WAYSIDE_CHECK(compare_outputs(*session, item.outputs));
  WAYSIDE_CHECK(run_model(*session, inputs));
  return compare_outputs(*session, item.outputs);
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  auto name = info.param;
  std::ranges::replace_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

class Operators : public testing::TestWithParam<std::string> {};

TEST_P(Operators, WithinOneLsbOfTheReference) {
  const auto cases = read_golden(kGoldenFolder / (GetParam() + ".golden"));
  ASSERT_TRUE(cases) << cases.error().message;
  ASSERT_FALSE(cases->empty());
  for (const auto level : supported_levels()) {
    Tally total;
    for (const auto threads : kThreadCounts) {
      const EngineSetup setup{.level = level, .thread_count = threads};
      for (const auto& item : *cases) {
        const auto tally = check_case(item, item.model, item.inputs, setup);
        if (tally) {
          total.add(*tally);
        } else {
          ADD_FAILURE() << describe(item, setup) << ": " << tally.error().message;
        }
      }
    }
    std::cout << GetParam() << ' ' << accel::cpu::to_string(level) << ": " << to_string(total) << '\n';
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Operators, testing::ValuesIn(operator_files()), test_name);

/// The operators that the engine promises (issue: conformance of the engine) must not vanish from the golden set.
TEST(GoldenSet, CoversTheOperators) {
  const std::set<std::string> wanted = {"add",
                                        "average_pool_2d",
                                        "concatenation",
                                        "conv_2d",
                                        "depthwise_conv_2d",
                                        "dequantize",
                                        "fully_connected",
                                        "hard_swish",
                                        "int4_weights",
                                        "leaky_relu",
                                        "logistic",
                                        "max_pool_2d",
                                        "mean",
                                        "mul",
                                        "pad",
                                        "prelu",
                                        "quantize",
                                        "relu",
                                        "relu6",
                                        "reshape",
                                        "resize_bilinear",
                                        "rsqrt",
                                        "softmax",
                                        "split",
                                        "strided_slice",
                                        "sub",
                                        "resize_nearest_neighbor",
                                        "transpose",
                                        "transpose_conv",
                                        "graphs"};
  const auto present = operator_files();
  for (const auto& name : wanted)
    EXPECT_TRUE(std::ranges::binary_search(present, name)) << name << ".golden is missing";
}

/// Cases of the real models by model; read once.
const std::map<std::string, std::vector<GoldenCase>>& real_models() {
  static const auto models = [] {
    std::map<std::string, std::vector<GoldenCase>> result;
    if (auto cases = read_golden(kGoldenFolder / "real_models.golden")) {
      for (auto& item : *cases) result[item.name].push_back(std::move(item));
    }
    return result;
  }();
  return models;
}

std::vector<std::string> real_model_names() {
  std::vector<std::string> names;
  for (const auto& [name, cases] : real_models()) names.push_back(name);
  return names;
}

std::vector<Bytes> make_inputs(const accel::Session& session, std::uint64_t seed) {
  std::vector<Bytes> inputs;
  for (const auto& info : session.inputs()) {
    Bytes bytes(info.byte_count());
    fill_model_input(bytes, info.shape, info.type == accel::DType::i8, seed + inputs.size());
    inputs.push_back(std::move(bytes));
  }
  return inputs;
}

void expect_same_top(const GoldenCase& item, const accel::Session& session) {
  constexpr std::size_t kMostClasses = 1001;
  const auto& info = session.outputs()[0];
  if (item.outputs.size() != 1 || info.element_count() > kMostClasses) return;  // not a classifier
  const auto output = session.output(0);
  const Bytes got(reinterpret_cast<const std::uint8_t*>(output.data()),
                  reinterpret_cast<const std::uint8_t*>(output.data()) + output.size());
  const bool is_signed = info.type == accel::DType::i8;
  EXPECT_EQ(top_index(got, is_signed), top_index(item.outputs[0].bytes, is_signed)) << item.name << " top-1";
}

class RealModels : public testing::TestWithParam<std::string> {};

TEST_P(RealModels, WithinOneLsbOfTheReferenceAndSameTop1) {
  const auto& cases = real_models().at(GetParam());
  const auto path = models_folder() / cases.front().model_file;
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << path << " is absent: " << cases.size() << " golden runs skipped; set WAYSIDE_SHARED";
  }
  const auto model = read_bytes(path);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(sha256_hex(*model), cases.front().model_sha256) << path << " is not the file of the golden run";
  for (const auto level : supported_levels()) {
    Tally total;
    // The plain kernels are slow: they get one input.
    const auto count = level == accel::cpu::Level::reference ? 1 : cases.size();
    for (const auto threads : kThreadCounts) {
      const EngineSetup setup{.level = level, .thread_count = threads};
      const auto session = load_model(*model, setup);
      ASSERT_TRUE(session) << session.error().message;
      for (const auto& item : std::span(cases).first(count)) {
        const auto ran = run_model(**session, make_inputs(**session, item.seed));
        ASSERT_TRUE(ran) << ran.error().message;
        const auto tally = compare_outputs(**session, item.outputs);
        ASSERT_TRUE(tally) << describe(item, setup) << ": " << tally.error().message;
        total.add(*tally);
        expect_same_top(item, **session);
      }
    }
    std::cout << GetParam() << ' ' << accel::cpu::to_string(level) << ": " << to_string(total) << '\n';
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, RealModels, testing::ValuesIn(real_model_names()), test_name);

/// The comparison itself: what is 1 off is counted, what is 2 off fails.
TEST(Comparison, FindsAWrongValue) {
  const auto cases = read_golden(kGoldenFolder / "conv_2d.golden");
  ASSERT_TRUE(cases) << cases.error().message;
  auto item = cases->front();
  const auto session = load_model(item.model, {});
  ASSERT_TRUE(session) << session.error().message;
  ASSERT_TRUE(run_model(**session, item.inputs));
  auto& value = item.outputs[0].bytes[5];
  const bool high = static_cast<std::int8_t>(value) > 0;  // away from the end of the range
  value = static_cast<std::uint8_t>(high ? value - 1 : value + 1);
  const auto near = compare_outputs(**session, item.outputs);
  ASSERT_TRUE(near) << near.error().message;
  EXPECT_EQ(near->different, 1U);
  EXPECT_EQ(near->largest, 1);
  value = static_cast<std::uint8_t>(high ? value - 1 : value + 1);
  const auto far = compare_outputs(**session, item.outputs);
  ASSERT_FALSE(far);
  EXPECT_NE(far.error().message.find("index 5:"), std::string::npos) << far.error().message;
}

TEST(GoldenFile, DamageIsAnError) {
  const auto file = read_bytes(kGoldenFolder / "relu.golden");
  ASSERT_TRUE(file);
  const auto path = std::filesystem::path(testing::TempDir()) / "wayside_damaged.golden";
  for (const std::size_t length : {std::size_t{0}, std::size_t{15}, std::size_t{40}, file->size() - 1}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(file->data()), static_cast<std::streamsize>(length));
    EXPECT_FALSE(read_golden(path)) << length << " bytes of " << file->size();
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace wayside::conformance
