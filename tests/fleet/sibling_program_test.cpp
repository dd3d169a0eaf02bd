// SPDX-License-Identifier: Apache-2.0
// Where programs are looked for, and that the command line hands over to the optimiser.
#include "fleet/sibling_program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/base/mqtt/test_broker.h"

namespace wayside::fleet {
namespace {

void make_program(const std::filesystem::path& path) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << "#!/bin/true\n";
  ::chmod(path.c_str(), 0755);
}

TEST(SiblingProgram, BesideItselfThenTheBuildTreeThenPath) {
  test::TempDir dir;
  const auto self = dir.path() / "build/fleet/wayside";
  const std::string search_path = "/nonexistent::" + (dir.path() / "bin").string();
  const auto missing = find_program(kAgentProgram, self, search_path);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("waysided"), std::string::npos);

  make_program(dir.path() / "bin/waysided");
  EXPECT_EQ(*find_program(kAgentProgram, self, search_path), dir.path() / "bin/waysided");
  make_program(dir.path() / "build/agent/waysided");
  EXPECT_EQ(*find_program(kAgentProgram, self, search_path), dir.path() / "build/agent/waysided");
  make_program(dir.path() / "build/fleet/waysided");
  EXPECT_EQ(*find_program(kAgentProgram, self, search_path), dir.path() / "build/fleet/waysided");
}

}  // namespace
}  // namespace wayside::fleet
