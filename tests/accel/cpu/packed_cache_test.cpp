// SPDX-License-Identifier: Apache-2.0
// Packed weights from a file give what packing gives; damaged, foreign and outdated files are never used.
#include "accel/cpu/packed_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "accel/cpu/cpu_accelerator.h"
#include "accel/cpu/cpu_session.h"
#include "accel/cpu/kernels/kernel_list.h"
#include "tests/accel/model_builder.h"

namespace wayside::accel::cpu {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

const fs::path kStreet = WAYSIDE_SOURCE_DIR "/models/street/street.tflite";

Bytes read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void write_file(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

std::vector<Level> levels() {
  std::vector<Level> found;
  for (const auto& entry : conv_entries()) {
    if (level_supported(entry.level) && !std::ranges::contains(found, entry.level)) found.push_back(entry.level);
  }
  return found;
}

/// All outputs for an input that is noise.
Bytes outputs_of(Session& session) {
  std::mt19937 random(7);
  for (std::size_t i = 0; i < session.inputs().size(); ++i) {
    for (auto& byte : session.input(i)) byte = static_cast<std::byte>(random());
  }
  EXPECT_TRUE(session.run());
  Bytes all;
  for (std::size_t i = 0; i < session.outputs().size(); ++i)
    std::ranges::copy(session.output(i), std::back_inserter(all));
  return all;
}

class PackedCacheTest : public ::testing::Test {
 protected:
  PackedCacheTest() : folder_(fs::temp_directory_path() / ("packed_cache_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    model_ = folder_ / "model.tflite";
    fs::copy_file(kStreet, model_);
    auto plain = load_cpu_session(model_, {});
    EXPECT_TRUE(plain);
    expected_ = outputs_of(**plain);
  }
  ~PackedCacheTest() override { fs::remove_all(folder_); }

  [[nodiscard]] Bytes run_with_cache(const fs::path& model) const {
    auto session = load_cpu_session(model, {}, cache());
    EXPECT_TRUE(session) << session.error().message;
    return outputs_of(**session);
  }
  [[nodiscard]] Bytes run_with_cache() const { return run_with_cache(model_); }
  [[nodiscard]] fs::path cache() const { return folder_ / "packed"; }
  [[nodiscard]] std::vector<fs::path> files(std::string_view suffix) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(cache())) {
      if (entry.path().string().ends_with(suffix)) found.push_back(entry.path());
    }
    return found;
  }
  [[nodiscard]] fs::path packed_file() const { return files(".packed").at(0); }
  [[nodiscard]] bool is_found() const {
    const auto model = base::MappedFile::open(model_);
    return PackedCache::open(cache())->find(model_, *model, best_level()) != nullptr;
  }

  fs::path folder_, model_;
  Bytes expected_;
};

TEST_F(PackedCacheTest, SecondLoadUsesTheFileAndGivesTheSame) {
  EXPECT_EQ(run_with_cache(), expected_);
  ASSERT_EQ(files(".packed").size(), 1U);
  EXPECT_TRUE(files(".new").empty());
  EXPECT_TRUE(is_found());
  const auto written = fs::last_write_time(packed_file());
  EXPECT_EQ(run_with_cache(), expected_);
  EXPECT_EQ(fs::last_write_time(packed_file()), written);
}

TEST_F(PackedCacheTest, EveryLevelHasItsOwnFile) {
  const auto model = base::MappedFile::open(model_);
  auto cache = PackedCache::open(this->cache());
  ASSERT_TRUE(cache);
  for (const Level level : levels()) {
    SCOPED_TRACE(to_string(level));
    std::vector<PackedNode> nodes;
    auto packed_now = CpuSession::create(model->bytes(), {}, level, {.file = &*model, .to_keep = &nodes});
    ASSERT_TRUE(packed_now);
    EXPECT_EQ(nodes.empty(), level == Level::reference);
    ASSERT_TRUE(cache->keep(model_, *model, level, nodes));
    std::shared_ptr<const PackedModel> kept = cache->find(model_, *model, level);
    ASSERT_NE(kept, nullptr);
    for (const auto& node : nodes) {
      const auto found = kept->find(node.index);
      ASSERT_TRUE(found);
      EXPECT_EQ(found->table, node.table);
      ASSERT_EQ(found->conv.has_value(), node.conv.has_value());
      if (node.conv) {
        EXPECT_TRUE(std::ranges::equal(found->conv->weights, node.conv->weights));
      }
    }
    std::vector<PackedNode> again;
    auto from_file =
        CpuSession::create(model->bytes(), {}, level, {.file = &*model, .packed = kept, .to_keep = &again});
    ASSERT_TRUE(from_file);
    const auto borrows = [&](const PackedNode& node) {
      return !node.conv || node.conv->weights.data() == kept->find(node.index)->conv->weights.data();
    };
    EXPECT_EQ(again.size(), nodes.size());
    EXPECT_TRUE(std::ranges::all_of(again, borrows));
    EXPECT_EQ(outputs_of(**from_file), expected_);
  }
}

/// x * logistic(x) + y: one table for the product, one for what feeds it, one sum.
std::vector<std::byte> silu_and_sum() {
  testing::ModelBuilder model;
  const auto x = model.activation({1, 4, 4, 8}, 0.05F, 3), y = model.activation({1, 4, 4, 8}, 0.04F, -5);
  const auto gate = model.activation({1, 4, 4, 8}, 1.0F / 256, -128), product = model.activation({1, 4, 4, 8}, 0.03F);
  const auto sum = model.activation({1, 4, 4, 8}, 0.06F, 7);
  model.op(OpCode::logistic, {x}, {gate});
  model.op(OpCode::mul, {x, gate}, {product});
  model.op(OpCode::add, {product, y}, {sum});
  model.inputs = {x, y};
  model.outputs = {sum};
  return model.build();
}

TEST_F(PackedCacheTest, SumsAndTablesComeFromTheFile) {
  write_file(model_, silu_and_sum());
  const auto model = base::MappedFile::open(model_);
  auto cache = PackedCache::open(this->cache());
  for (const Level level : levels()) {
    if (level == Level::reference) continue;  // folds nothing
    SCOPED_TRACE(to_string(level));
    std::vector<PackedNode> nodes;
    auto computed = CpuSession::create(model->bytes(), {}, level, {.to_keep = &nodes});
    ASSERT_TRUE(computed);
    const Bytes expected = outputs_of(**computed);
    ASSERT_EQ(nodes.size(), 3U);
    EXPECT_TRUE(nodes[0].table && nodes[1].table && nodes[2].sum);
    EXPECT_NE(nodes[0].table, nodes[1].table);
    const auto outputs_with = [&] {
      EXPECT_TRUE(cache->keep(model_, *model, level, nodes));
      auto session = CpuSession::create(model->bytes(), {}, level, {.packed = cache->find(model_, *model, level)});
      EXPECT_TRUE(session);
      return outputs_of(**session);
    };
    EXPECT_EQ(outputs_with(), expected);
    nodes[2].sum = SumForm{};  // nothing was found: tables are added, to the same bytes
    EXPECT_EQ(outputs_with(), expected);
    nodes[1].table->fill(1);
    EXPECT_NE(outputs_with(), expected);
  }
}

TEST_F(PackedCacheTest, DamageIsFoundAndRepaired) {
  ASSERT_EQ(run_with_cache(), expected_);
  const Bytes whole = read_file(packed_file());
  std::mt19937 random(11);
  for (int round = 0; round < 30; ++round) {
    Bytes damaged = whole;
    // Half of them in the header and the table, where numbers lead elsewhere.
    const std::size_t at = random() % (round % 2 == 0 ? whole.size() : std::size_t{4096});
    damaged[at] ^= static_cast<std::byte>(1U << (random() % 8));
    SCOPED_TRACE(at);
    write_file(packed_file(), damaged);
    for (const auto& note : files(".checked")) fs::remove(note);  // as after a start of the machine
    EXPECT_FALSE(is_found());
    EXPECT_EQ(run_with_cache(), expected_);
  }
  for (const std::size_t length : {std::size_t{1}, std::size_t{100}, std::size_t{1000}, whole.size() - 64}) {
    write_file(packed_file(), std::span(whole).first(length));
    EXPECT_FALSE(is_found());
    EXPECT_EQ(run_with_cache(), expected_);
    EXPECT_TRUE(is_found());
  }
}

TEST_F(PackedCacheTest, AChangedModelIsPackedAnew) {
  ASSERT_EQ(run_with_cache(), expected_);
  const auto written = fs::last_write_time(model_);
  Bytes changed = read_file(model_);
  for (std::size_t i = changed.size() / 2; i < (changed.size() / 2) + 2000; ++i) changed[i] ^= std::byte{4};
  write_file(model_, changed);  // the same length, inode and, below, time
  fs::last_write_time(model_, written);
  EXPECT_FALSE(is_found());
  auto plain = load_cpu_session(model_, {});
  ASSERT_TRUE(plain);
  const Bytes other = outputs_of(**plain);
  ASSERT_NE(other, expected_);
  EXPECT_EQ(run_with_cache(), other);
  EXPECT_EQ(run_with_cache(), other);
  EXPECT_EQ(files(".packed").size(), 1U);
}

TEST_F(PackedCacheTest, WithoutANoteBothFilesAreReadAgain) {
  const fs::path settled = kStreet;  // changed long ago: its check is noted at once
  ASSERT_EQ(run_with_cache(settled), expected_);
  ASSERT_EQ(files(".checked").size(), 1U);
  const Bytes note = read_file(files(".checked")[0]);
  write_file(files(".checked")[0], std::span(note).first(10));
  EXPECT_EQ(run_with_cache(settled), expected_);
  EXPECT_EQ(read_file(files(".checked")[0]), note);
  fs::remove(files(".checked")[0]);
  EXPECT_EQ(run_with_cache(settled), expected_);
  EXPECT_EQ(read_file(files(".checked")[0]), note);
}

TEST_F(PackedCacheTest, AFreshModelIsNotNoted) {
  fs::last_write_time(model_, fs::file_time_type::clock::now() + std::chrono::hours(1));
  ASSERT_EQ(run_with_cache(), expected_);
  EXPECT_TRUE(files(".checked").empty());
  EXPECT_TRUE(is_found());
}

TEST_F(PackedCacheTest, WeightsOfAnotherShapeArePackedInstead) {
  const auto model = base::MappedFile::open(model_);
  std::vector<PackedNode> nodes;
  auto session = CpuSession::create(model->bytes(), {}, best_level(), {.to_keep = &nodes});
  std::erase_if(nodes, [](const PackedNode& node) { return !node.conv; });
  ASSERT_GT(nodes.size(), 3U);
  std::swap(nodes[0].conv, nodes[1].conv);
  nodes[2].conv->entry = 1'000'000;
  nodes.back().conv->weights = nodes.back().conv->weights.first(64);
  auto cache = PackedCache::open(this->cache());
  ASSERT_TRUE(cache->keep(model_, *model, best_level(), nodes));
  ASSERT_TRUE(is_found());  // whole, but nobody who packs writes such
  EXPECT_EQ(run_with_cache(), expected_);
}

TEST_F(PackedCacheTest, TheDirectoryStaysBelowItsBound) {
  ASSERT_EQ(run_with_cache(), expected_);
  const auto one = fs::file_size(packed_file());
  const auto model = base::MappedFile::open(model_);
  std::vector<PackedNode> nodes;
  auto session = CpuSession::create(model->bytes(), {}, best_level(), {.to_keep = &nodes});
  auto cache = PackedCache::open(this->cache(), one * 5 / 2);
  write_file(this->cache() / "left-over.new", {});
  for (const char* name : {"b", "c", "d", "e"}) {
    ASSERT_TRUE(cache->keep(folder_ / name, *model, best_level(), nodes));
    EXPECT_TRUE(cache->find(folder_ / name, *model, best_level()));
    EXPECT_LE(files(".packed").size(), 2U);
  }
  EXPECT_TRUE(files(".new").empty());
  auto tiny = PackedCache::open(this->cache(), 1000);
  EXPECT_EQ(tiny->keep(model_, *model, best_level(), nodes).error().code, base::Code::exhausted);
}

TEST_F(PackedCacheTest, AnUnusableDirectoryOnlyCostsTime) {
  write_file(folder_ / "file", {});
  auto session = load_cpu_session(model_, {}, folder_ / "file");
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(outputs_of(**session), expected_);
}

TEST(ContentDigestTest, EveryBitCounts) {
  Bytes bytes(300);
  std::mt19937 random(3);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  const auto digest = [](std::span<const std::byte> all) {
    ContentHasher hasher;
    hasher.update(all);
    return hasher.digest();
  };
  const ContentDigest whole = digest(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes changed = bytes;
    changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const ContentDigest other = digest(changed);
    EXPECT_NE(other[0], whole[0]);
    EXPECT_NE(other[1], whole[1]);
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_NE(digest(longer), whole);  // the padding counts by its length
  std::swap(bytes[0], bytes[64]);
  EXPECT_NE(digest(bytes), whole);
  ContentHasher pieces;
  pieces.update(std::span(longer).first(128));
  pieces.update(std::span(longer).subspan(128));
  EXPECT_EQ(pieces.digest(), digest(longer));
}

}  // namespace
}  // namespace wayside::accel::cpu
