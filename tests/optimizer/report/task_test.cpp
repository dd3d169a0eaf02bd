// SPDX-License-Identifier: Apache-2.0
// Distances of sample sets; rows of a file and what is wrong with them.
#include "optimizer/report/task.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "optimizer/ir/assembler.h"

namespace wayside::optimizer {
namespace {

std::vector<TaskSample> normal(std::size_t count, float mean, float contrast, float channel_shift = 0) {
  std::mt19937 random(5);
  std::normal_distribution<float> draw(0, 1);
  std::vector<TaskSample> samples(count);
  for (auto& sample : samples) {
    const float brightness = mean + 10 * draw(random);
    for (int i = 0; i < 300; ++i)
      sample.input.push_back(brightness + contrast * draw(random) + (i % 3 == 0 ? channel_shift : 0));
  }
  return samples;
}

TEST(DomainDistance, SeesBrightnessContrastAndOneChannel) {
  const auto usual = normal(100, 100, 20);
  EXPECT_EQ(domain_distance(usual, usual, 3), 0);
  EXPECT_LT(domain_distance(usual, normal(200, 100, 20), 3), 0.5);
  EXPECT_NEAR(domain_distance(usual, normal(100, 150, 20), 3), 5, 0.7);
  EXPECT_GT(domain_distance(usual, normal(100, 100, 40), 3), kMostDistance) << "the same mean";
  EXPECT_GT(domain_distance(usual, normal(100, 100, 20, 60), 3), 5) << "one channel brighter by six deviations";
}

/// Three pictures of one colour in two folders.
class Classes : public testing::Test {
 protected:
  void SetUp() override {
    ir::Assembler assembler;
    assembler.output(assembler.input("in", {1, 2, 2, 3}));
    auto made = Task::create({.bgr = false}, assembler.take());
    ASSERT_TRUE(made);
    task = *made;
    put("b", "1.bmp", 10);
    put("a", "2.bmp", 20);
    put("a", "3.bmp", 30);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  /// A 2x2 picture, 24 bits, all of one red.
  void put(const std::string& name, const std::string& file, char red) const {
    std::filesystem::create_directories(folder / name);
    std::string bmp = "BM";
    const auto u32 = [&](std::uint32_t value) {
      for (int i = 0; i < 4; ++i) bmp += static_cast<char>(value >> (8 * i));
    };
    for (const std::uint32_t value : {70U, 0U, 54U, 40U, 2U, 2U, 1U | 24U << 16U, 0U, 16U, 0U, 0U, 0U, 0U}) u32(value);
    for (int row = 0; row < 2; ++row) {
      for (int px = 0; px < 2; ++px) bmp += std::string("\0\0", 2) + red;
      bmp += std::string(2, '\0');
    }
    std::ofstream(folder / name / file, std::ios::binary) << bmp;
  }
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / ("classes." + std::to_string(::getpid()));
  Task task;
};

TEST_F(Classes, AreFoldersInTheOrderOfTheirNames) {
  const auto samples = task.load(folder);
  ASSERT_TRUE(samples) << samples.error().message;
  ASSERT_EQ(samples->size(), 3U);
  EXPECT_EQ((*samples)[0].label, 0);
  EXPECT_EQ((*samples)[1].label, 0);
  EXPECT_EQ((*samples)[2].label, 1);
  EXPECT_EQ((*samples)[0].input[0], 20) << "red first";
  EXPECT_EQ((*samples)[2].input[0], 10);
  EXPECT_EQ(task.input_quantization().scale, 1) << "pictures are 0..255";
}

TEST_F(Classes, WithoutLabelsCalibrateOnly) {
  const auto samples = task.load(folder / "a");
  ASSERT_TRUE(samples) << samples.error().message;
  ASSERT_EQ(samples->size(), 2U);
  const auto score =
      task.score([](const ir::Values& x) -> base::Result<std::vector<ir::Values>> { return {{x}}; }, *samples);
  ASSERT_FALSE(score);
  EXPECT_TRUE(score.error().message.contains("have no labels")) << score.error().message;
}

TEST_F(Classes, TextsAreTheNamesOfTheirPictures) {
  const auto symbols = folder / "symbols.txt";
  std::ofstream(symbols) << "A\nB\n\u6d25\n-\n";
  put("plates", "\u6d25BA.bmp", 10);
  put("plates", "BB.bmp", 10);
  ir::Assembler assembler;
  const auto in = assembler.input("in", {1, 2, 2, 3});
  const auto out = assembler.append({.kind = ir::OpKind::reshape, .inputs = {in}}, "out", {1, 4, 3});
  ASSERT_TRUE(out);
  assembler.output(*out);
  const auto texts = Task::create({.kind = TaskKind::text, .bgr = false, .charset = symbols}, assembler.take());
  ASSERT_TRUE(texts) << texts.error().message;
  const auto samples = texts->load(folder / "plates");
  ASSERT_TRUE(samples) << samples.error().message;
  EXPECT_EQ((*samples)[0].text, (std::vector{1, 1})) << "sorted by name";
  EXPECT_EQ((*samples)[1].text, (std::vector{2, 1, 0}));
  // Steps: B, blank, B. Read as BB: the blank parts them.
  const ir::Values scores{0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0};
  const auto score =
      texts->score([&](const ir::Values&) -> base::Result<std::vector<ir::Values>> { return {{scores}}; }, *samples);
  EXPECT_EQ(score, 0.5);
  put("plates", "BX.bmp", 10);
  const auto unknown = texts->load(folder / "plates");
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().message.contains("BX.bmp")) << unknown.error().message;
}

TEST_F(Classes, EmbeddingsAreJudgedInPairs) {
  put("faces", "dark.bmp", 10);
  put("faces", "also.bmp", 20);
  put("faces", "none.bmp", 0);
  std::ofstream(folder / "faces/pairs.csv")
      << "a,b,same\ndark.bmp,also.bmp,1\r\ndark.bmp,none.bmp,0\nalso.bmp,none.bmp,1\n";
  ir::Assembler assembler;
  assembler.output(assembler.input("in", {1, 2, 2, 3}));
  const auto faces = Task::create({.kind = TaskKind::embedding, .bgr = false, .threshold = 0.9}, assembler.take());
  ASSERT_TRUE(faces) << faces.error().message;
  const auto same = [](const ir::Values& x) -> base::Result<std::vector<ir::Values>> { return {{x}}; };
  const auto samples = faces->load(folder / "faces/pairs.csv");
  ASSERT_TRUE(samples) << samples.error().message;
  ASSERT_EQ(samples->size(), 3U) << "each picture once";
  const auto score = faces->score(same, *samples);
  ASSERT_TRUE(score);
  EXPECT_DOUBLE_EQ(*score, 2.0 / 3) << "the third is told wrong";
  const auto alone = faces->load(folder / "faces");
  ASSERT_TRUE(alone);
  EXPECT_FALSE(faces->score(same, *alone)) << "no pairs";
  std::ofstream(folder / "faces/pairs.csv") << "dark.bmp,../none.bmp,0\n";
  EXPECT_FALSE(faces->load(folder / "faces/pairs.csv"));
}

TEST(Text, RepeatedClassesCountOnce) {
  const auto layout = text_layout({1, 5, 3}, 3);  // steps x classes
  ASSERT_TRUE(layout);
  EXPECT_EQ(read_text({0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0}, *layout), (std::vector{1, 0, 0}));
  EXPECT_FALSE(text_layout({1, 5, 4}, 3));
}

class Rows : public testing::Test {
 protected:
  void SetUp() override {
    ir::Assembler assembler;
    assembler.output(assembler.input("in", {1, 2}));
    auto made = Task::create({}, assembler.take());
    ASSERT_TRUE(made);
    task = *made;
  }
  void TearDown() override { std::filesystem::remove(path); }
  base::Result<std::vector<TaskSample>> load(const std::string& text) {
    std::ofstream(path) << text;
    return task.load(path);
  }
  std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / ("rows." + std::to_string(::getpid()) + ".csv");
  Task task;
};

TEST_F(Rows, AreNumbersAndALabel) {
  const auto samples = load("x,y,class\n1, 2.5,0\r\n-3,4e1,1\n");
  ASSERT_TRUE(samples) << samples.error().message;
  ASSERT_EQ(samples->size(), 2U);
  EXPECT_EQ((*samples)[1].input, (ir::Values{-3, 40}));
  EXPECT_EQ((*samples)[1].label, 1);
  const auto score =
      task.score([](const ir::Values& x) -> base::Result<std::vector<ir::Values>> { return {{x}}; }, *samples);
  EXPECT_EQ(score, 0.5) << "the larger value's place is the answer: 1 (not 0), 1";
}

TEST_F(Rows, NameTheLineThatIsWrong) {
  for (const char* text :
       {"1,2,0\n1,2\n", "1,2,0\n1,2,3,4\n", "1,2,0\n1,x,0\n", "1,2,0\n1,inf,0\n", "1,2,0\n\n1,2,0\n"}) {
    const auto samples = load(text);
    ASSERT_FALSE(samples) << text;
    EXPECT_NE(samples.error().message.find("line 2"), std::string::npos) << samples.error().message;
  }
  EXPECT_FALSE(load("x,y,class\n")) << "no samples";
}

}  // namespace
}  // namespace wayside::optimizer
