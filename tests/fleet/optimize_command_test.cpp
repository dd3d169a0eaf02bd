// SPDX-License-Identifier: Apache-2.0
// `wayside optimize` is handed over whole to wayside-optimize; without it, one line says where to get it.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/shell.h"

namespace wayside::fleet {
namespace {

/// A copy of the program, so that nothing lies beside it.
struct OptimizeCommandTest : testing::Test {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / ("optimize." + std::to_string(::getpid()));

  void SetUp() override {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder / "bin");
    std::filesystem::create_directories(folder / "elsewhere");
    std::filesystem::copy_file(WAYSIDE_PROGRAM, folder / "bin/wayside");
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::pair<std::string, int> run(const std::string& arguments) {
    const auto line = "PATH='" + (folder / "elsewhere").string() + "' '" + (folder / "bin/wayside").string() +
                      "' optimize " + arguments + " 2>&1";
    return testing_support::shell(line);
  }
};

TEST_F(OptimizeCommandTest, PassesEverythingOnAndAnswersItsStatus) {
  const auto tool = folder / "elsewhere/wayside-optimize";
  std::ofstream(tool) << "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 7\n";
  ::chmod(tool.c_str(), 0755);
  const auto [out, status] = run("a.onnx --calib 'b c' --budget 'size<2MB,drop<1%' --help");
  EXPECT_EQ(out, "<a.onnx><--calib><b c><--budget><size<2MB,drop<1%><--help>");
  EXPECT_EQ(status, 7);
}

TEST_F(OptimizeCommandTest, TellsInOneLineThatItIsNotInstalled) {
  const auto [out, status] = run("a.onnx");
  EXPECT_EQ(status, 1);
  EXPECT_NE(out.find("cannot find wayside-optimize in " + (folder / "bin").string()), std::string::npos) << out;
  EXPECT_NE(out.find("./dev build host-optimizer"), std::string::npos) << out;
  EXPECT_EQ(std::ranges::count(out, '\n'), 1) << out;
}

}  // namespace
}  // namespace wayside::fleet
