// SPDX-License-Identifier: Apache-2.0
// Damaged models: truncated at many lengths and changed at seeded places. Each is refused with one clear line, or runs
// without touching foreign memory (the sanitizer presets check that).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>

#include "tests/conformance/engine_run.h"
#include "tests/conformance/golden.h"
#include "tests/fuzz/mutate.h"

namespace wayside::conformance {
namespace {

using Bytes = std::vector<std::uint8_t>;
using base::Code;

/// What happened to the damaged files of a test.
struct Outcome {
  std::size_t refused = 0, ran = 0, too_big_to_run = 0;
};
std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << outcome.refused << " refused, " << outcome.ran << " accepted and run, " << outcome.too_big_to_run
             << " accepted but too big to run here";
}

void expect_clear(const base::Error& error) {
  EXPECT_TRUE(error.code == Code::corrupt || error.code == Code::unsupported || error.code == Code::exhausted)
      << base::to_string(error.code) << ": " << error.message;
  EXPECT_FALSE(error.message.empty());
  EXPECT_TRUE(std::ranges::all_of(error.message, [](char c) { return c >= ' ' && c <= '~'; }))
      << "not one printable line: " << error.message;
}

void load_and_run(const Bytes& model, Outcome& outcome) {
  constexpr std::uint64_t kMostMacs = 50'000'000;  // a damaged shape may ask for minutes of work
  constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
  const auto session = load_model(model, {.level = accel::cpu::best_level(), .thread_count = 1});
  if (!session) {
    expect_clear(session.error());
    ++outcome.refused;
    return;
  }
  if ((*session)->info().mac_count > kMostMacs || (*session)->info().arena_bytes > kMostBytes) {
    ++outcome.too_big_to_run;
    return;
  }
  for (std::size_t i = 0; i < (*session)->inputs().size(); ++i) {
    std::ranges::fill((*session)->input(i), std::byte{0x5a});
  }
  (void)(*session)->run();  // may fail, must not crash
  ++outcome.ran;
}

/// The golden graphs by name: residual block, ssd head, classifier, ...
const std::vector<GoldenCase>& graphs() {
  static const auto cases = read_golden(std::filesystem::path(WAYSIDE_GOLDEN_FOLDER) / "graphs.golden");
  static const std::vector<GoldenCase> none;
  return cases ? *cases : none;
}

base::Result<Bytes> person_model() {
  const char* shared = std::getenv("WAYSIDE_SHARED");
  const std::filesystem::path root = shared != nullptr ? shared : WAYSIDE_SHARED_DEFAULT;
  return read_bytes(root / "data/models/int8/vww_96_int8.tflite");
}

TEST(BadModel, EveryTruncationOfASmallGraphIsRefusedOrRuns) {
  ASSERT_FALSE(graphs().empty());
  const auto& model = graphs().front().model;
  Outcome outcome;
  for (std::size_t length = 0; length < model.size(); ++length) {
    load_and_run({model.begin(), model.begin() + static_cast<std::ptrdiff_t>(length)}, outcome);
  }
  std::cout << outcome << '\n';
  EXPECT_GT(outcome.refused, model.size() / 2);
}

TEST(BadModel, SeededDamageOfSmallGraphsIsRefusedOrRuns) {
  constexpr std::uint64_t kDamagesPerModel = 300;
  ASSERT_FALSE(graphs().empty());
  Outcome outcome;
  for (const auto& item : graphs()) {
    for (std::uint64_t seed = 1; seed <= kDamagesPerModel; ++seed) {
      SCOPED_TRACE(item.name + " seed " + std::to_string(seed));
      load_and_run(fuzz::mutate(item.model, seed), outcome);
    }
  }
  std::cout << outcome << '\n';
  EXPECT_GT(outcome.ran, 0U);
  EXPECT_GT(outcome.refused, 0U);
}

TEST(BadModel, TruncationsOfARealModelAreRefused) {
  const auto model = person_model();
  if (!model) GTEST_SKIP() << model.error().message << ": 1 test skipped; set WAYSIDE_SHARED";
  constexpr std::size_t kLengths = 400;
  Outcome outcome;
  for (std::size_t i = 0; i < kLengths; ++i) {
    const auto length = model->size() * i / kLengths;
    load_and_run({model->begin(), model->begin() + static_cast<std::ptrdiff_t>(length)}, outcome);
  }
  std::cout << outcome << '\n';
  EXPECT_GT(outcome.refused, kLengths / 2);
}

/// Flips in weights change numbers only; the tables that the loader must check are in the last third of this file.
TEST(BadModel, FlippedBitsOfARealModelAreRefusedOrRun) {
  const auto model = person_model();
  if (!model) GTEST_SKIP() << model.error().message << ": 1 test skipped; set WAYSIDE_SHARED";
  constexpr int kFlips = 800;
  Random random(20);
  Outcome outcome;
  const auto size = static_cast<std::int64_t>(model->size());
  for (int i = 0; i < kFlips; ++i) {
    auto damaged = *model;
    const auto at = random.between(i % 10 == 0 ? 0 : size * 2 / 3, size - 1);
    auto& byte = damaged[static_cast<std::size_t>(at)];
    byte = static_cast<std::uint8_t>(byte ^ (1U << random.between(0, 7)));
    SCOPED_TRACE("flip " + std::to_string(i) + " at byte " + std::to_string(at));
    load_and_run(damaged, outcome);
  }
  std::cout << outcome << '\n';
  EXPECT_GT(outcome.ran, 0U);
  EXPECT_GT(outcome.refused, 0U);
}

TEST(BadModel, OtherFilesAreRefused) {
  Outcome outcome;
  load_and_run({}, outcome);
  load_and_run(Bytes(1000, 0), outcome);
  load_and_run(Bytes(1000, 0xff), outcome);
  const std::string text(100, 'T');
  load_and_run({text.begin(), text.end()}, outcome);
  EXPECT_EQ(outcome.refused, 4U);
}

TEST(BadModel, AbsentFileNamesItself) {
  const auto session = accel::make_cpu_accelerator()->load("/nonexistent/model.tflite", {});
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, Code::not_found);
  EXPECT_NE(session.error().message.find("/nonexistent/model.tflite"), std::string::npos) << session.error().message;
}

}  // namespace
}  // namespace wayside::conformance
