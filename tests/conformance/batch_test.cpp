// SPDX-License-Identifier: Apache-2.0
// Batches: every item gives the bytes that it gives alone, for every operator, small graphs and the real models.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>

#include "tests/conformance/engine_run.h"
#include "tests/conformance/golden.h"
#include "tests/conformance/seeded.h"

namespace wayside::conformance {
namespace {

using Bytes = std::vector<std::uint8_t>;
/// Inputs of one item.
using Item = std::vector<Bytes>;

constexpr std::size_t kMaxBatch = 3;  // odd: with two threads one item is left over
constexpr unsigned kThreadCounts[] = {1, 2};

Bytes bytes_of(std::span<const std::byte> from) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(from.data());
  return {data, data + from.size()};
}

/// The outputs of each item, run alone.
base::Result<std::vector<Item>> run_alone(std::span<const std::uint8_t> model, std::span<const Item> items) {
  WAYSIDE_TRY(const auto session, load_model(model, {.level = accel::cpu::best_level()}));
  std::vector<Item> results;
  for (const Item& item : items) {
    WAYSIDE_CHECK(run_model(*session, item));
    Item outputs;
    for (std::size_t i = 0; i < session->outputs().size(); ++i) outputs.push_back(bytes_of(session->output(i)));
    results.push_back(std::move(outputs));
  }
  return results;
}

/// Empty, or what differs.
std::string compare_batch(accel::Session& session, std::span<const Item> items, std::span<const Item> expected) {
  std::vector<Bytes> together(session.inputs().size());
  for (const Item& item : items) {
    for (std::size_t i = 0; i < together.size(); ++i) std::ranges::copy(item[i], std::back_inserter(together[i]));
  }
  if (const auto ran = run_model(session, together); !ran) return ran.error().message;
  for (std::size_t i = 0; i < session.outputs().size(); ++i) {
    Bytes wanted;
    for (const Item& outputs : expected) std::ranges::copy(outputs[i], std::back_inserter(wanted));
    const Bytes got = bytes_of(session.output(i));
    const auto [a, b] = std::ranges::mismatch(wanted, got);
    if (a != wanted.end() || b != got.end()) {
      return std::format("output {} of {} items: byte {} of {}", i, items.size(), a - wanted.begin(), wanted.size());
    }
  }
  return {};
}

std::string check_batches(std::span<const std::uint8_t> model, std::span<const Item> items) {
  const auto expected = run_alone(model, items);
  if (!expected) return expected.error().message;
  for (const unsigned threads : kThreadCounts) {
    const auto session =
        load_model(model, {.level = accel::cpu::best_level(), .thread_count = threads, .max_batch = items.size()});
    if (!session) return session.error().message;
    for (std::size_t count = items.size(); count > 0; --count) {
      if (const auto set = (*session)->set_batch(count); !set) return set.error().message;
      const auto wrong = compare_batch(**session, items.first(count), std::span(*expected).first(count));
      if (!wrong.empty()) return std::format("{}, {} threads", wrong, threads);
    }
  }
  return {};
}

/// Rotated by whole 4-byte elements, so that floating-point inputs stay numbers.
Item rotated(const Item& from, std::size_t by) {
  Item item = from;
  for (Bytes& bytes : item) {
    if (bytes.size() > 4)
      std::ranges::rotate(bytes, bytes.begin() + static_cast<std::ptrdiff_t>(4 * by % bytes.size()));
  }
  return item;
}

TEST(Batch, EveryOperatorGivesEachItemWhatItGivesAlone) {
  std::size_t case_count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(WAYSIDE_GOLDEN_FOLDER)) {
    if (entry.path().extension() != ".golden" || entry.path().stem() == "real_models") continue;
    const auto cases = read_golden(entry.path());
    ASSERT_TRUE(cases) << cases.error().message;
    for (const auto& item : *cases) {
      const std::vector<Item> items{item.inputs, rotated(item.inputs, 1), rotated(item.inputs, 3)};
      static_assert(kMaxBatch == 3);
      EXPECT_EQ(check_batches(item.model, items), "") << item.op << ": " << item.name;
      ++case_count;
    }
  }
  EXPECT_GT(case_count, 100U);
}

TEST(Batch, RealModelsGiveEachItemWhatItGivesAlone) {
  const char* shared = std::getenv("WAYSIDE_SHARED");
  const auto folder = std::filesystem::path(shared != nullptr ? shared : WAYSIDE_SHARED_DEFAULT) / "data/models/int8";
  const auto cases = read_golden(std::filesystem::path(WAYSIDE_GOLDEN_FOLDER) / "real_models.golden");
  ASSERT_TRUE(cases) << cases.error().message;
  std::set<std::string> files;
  for (const auto& item : *cases) files.insert(item.model_file);
  std::size_t absent = 0;
  for (const auto& file : files) {
    std::ifstream in(folder / file, std::ios::binary);
    if (!in) {
      ++absent;
      continue;
    }
    const Bytes model((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const auto session = load_model(model, {.level = accel::cpu::best_level()});
    ASSERT_TRUE(session) << file << ": " << session.error().message;
    std::vector<Item> items(kMaxBatch);
    for (std::size_t number = 0; number < items.size(); ++number) {
      for (const auto& info : (*session)->inputs()) {
        Bytes bytes(info.byte_count());
        fill_model_input(bytes, info.shape, info.type == accel::DType::i8, number * 100 + items[number].size());
        items[number].push_back(std::move(bytes));
      }
    }
    EXPECT_EQ(check_batches(model, items), "") << file;
  }
  std::cout << "batch: " << files.size() - absent << " real models, " << absent << " absent\n";
  if (absent == files.size())
    GTEST_SKIP() << folder << " is absent: " << absent << " models skipped; set WAYSIDE_SHARED";
}

}  // namespace
}  // namespace wayside::conformance
