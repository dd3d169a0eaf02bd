// SPDX-License-Identifier: Apache-2.0
// The jail holds: each attempt to get out kills the program, and the agent's side reports it and goes on.
#include "agent/sandbox/jail.h"

#include <gtest/gtest.h>

#include <array>
#include <sstream>

#include "agent/sandbox/child.h"
#include "tests/support/figures.h"

namespace wayside::agent {
namespace {

std::string all_of(const base::UniqueFd& from) {
  std::string text;
  std::array<char, 4096> chunk{};
  for (ssize_t count; (count = ::read(from.get(), chunk.data(), chunk.size())) > 0;)
    text.append(chunk.data(), static_cast<std::size_t>(count));
  return text;
}

/// What the escape program writes; or why it did not come to its end.
base::Result<std::string> run(const std::string& name) {
  WAYSIDE_TRY(Pipe out, Pipe::make());
  WAYSIDE_TRY(Pipe errors, Pipe::make());
  WAYSIDE_TRY(Child child, start_child(WAYSIDE_ESCAPE_PROGRAM, {name},
                                       std::array{out.write.get(), out.write.get(), errors.write.get()}));
  out.write.reset();
  errors.write.reset();
  const std::string output = all_of(out.read), words = all_of(errors.read);
  const int status = child.reap();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return std::unexpected(verdict_on(WAYSIDE_ESCAPE_PROGRAM, name, status, words));
  return output;
}

TEST(Jail, EveryForbiddenCallKillsItAndWeSurvive) {
  const auto list = run("list");
  ASSERT_TRUE(list) << list.error().message;
  std::istringstream names(*list);
  int killed = 0;
  for (std::string name; names >> name;) {
    if (name == "memory-bomb") continue;
    const auto result = run(name);
    ASSERT_FALSE(result) << name << ": " << *result;
    EXPECT_EQ(result.error().code, base::Code::bad_state) << name;
    EXPECT_NE(result.error().message.find("forbidden system call"), std::string::npos)
        << name << result.error().message;
    ++killed;
  }
  EXPECT_GE(killed, 20);
  testing_support::figure("sandbox_escapes_tried", killed);
  testing_support::figure("sandbox_escapes_refused", killed);
}

TEST(Jail, MemoryIsBounded) { EXPECT_EQ(run("memory-bomb").error().code, base::Code::bad_state); }

}  // namespace
}  // namespace wayside::agent
