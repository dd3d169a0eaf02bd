// SPDX-License-Identifier: Apache-2.0
// The program that writes training pictures: files, labels, refusals.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace {

int run(const std::string& arguments) {
  const int status = std::system((std::string(WAYSIDE_RENDER_SCENES) + " " + arguments + " 2>/dev/null").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(RenderScenes, WritesPicturesWithLabelsReproducibly) {
  const std::filesystem::path base = std::filesystem::path(testing::TempDir()) / "wayside_render_scenes";
  std::filesystem::remove_all(base);
  for (const char* name : {"a", "b"})
    ASSERT_EQ(run("--out " + (base / name).string() + " --count 6 --seed 4 --size 320x180"), 0);
  int labels = 0;
  for (int i = 0; i < 6; ++i) {
    const std::string stem = "00000" + std::to_string(i);
    const std::string jpeg = slurp(base / "a" / (stem + ".jpg"));
    ASSERT_GT(jpeg.size(), 1000U);
    EXPECT_EQ(jpeg.substr(0, 2), "\xFF\xD8");
    EXPECT_EQ(jpeg, slurp(base / "b" / (stem + ".jpg")));
    EXPECT_TRUE(std::filesystem::exists(base / "a" / (stem + ".plates.txt")));
    std::istringstream lines(slurp(base / "a" / (stem + ".txt")));
    int class_id = 0;
    double cx = 0, cy = 0, w = 0, h = 0;
    while (lines >> class_id >> cx >> cy >> w >> h) {
      ++labels;
      EXPECT_TRUE(class_id >= 0 && class_id <= 3);
      EXPECT_GE(cx - w / 2, -1e-5);
      EXPECT_LE(cx + w / 2, 1 + 1e-5);
      EXPECT_GE(cy - h / 2, -1e-5);
      EXPECT_LE(cy + h / 2, 1 + 1e-5);
    }
    EXPECT_TRUE(lines.eof());
  }
  EXPECT_GT(labels, 6);
  std::filesystem::remove_all(base);
}

TEST(RenderScenes, RefusesBadArguments) {
  for (const char* arguments : {"", "--out", "--out x --count 0", "--out x --count 1 --size 3x3",
                                "--out x --count 1 --format gif", "--count 1", "--out x --count 1 --what 2"})
    EXPECT_EQ(run(arguments), 2) << arguments;
  EXPECT_EQ(run("--out /dev/null/x --count 1"), 1);
}

}  // namespace
