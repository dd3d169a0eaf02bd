// SPDX-License-Identifier: Apache-2.0
// The jail holds: each attempt to get out kills the program, and the agent's side reports it and goes on.
#include "agent/sandbox/jailed_process.h"

#include <gtest/gtest.h>

#include <sstream>

#include "ota/rollout_policy.h"
#include "tests/support/figures.h"
#include "tests/support/sample_policy.h"

namespace wayside::agent {
namespace {

base::Result<std::string> run(const char* program, std::string name, std::string_view input = "",
                              std::chrono::milliseconds limit = std::chrono::seconds(60)) {
  const auto output = run_jailed({.program = program,
                                  .name = std::move(name),
                                  .input = std::as_bytes(std::span(input)),
                                  .max_output_bytes = 64 * 1024,
                                  .limit = limit});
  if (!output) return std::unexpected(output.error());
  return std::string(reinterpret_cast<const char*>(output->data()), output->size());
}

TEST(JailedProcess, EveryForbiddenCallKillsItAndWeSurvive) {
  const auto list = run(WAYSIDE_ESCAPE_PROGRAM, "list");
  ASSERT_TRUE(list) << list.error().message;
  std::istringstream names(*list);
  int killed = 0;
  for (std::string name; names >> name;) {
    if (name == "loop" || name == "flood" || name == "memory-bomb") continue;
    const auto result = run(WAYSIDE_ESCAPE_PROGRAM, name);
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

TEST(JailedProcess, EndlessWorkOutputAndMemoryAreBounded) {
  EXPECT_EQ(run(WAYSIDE_ESCAPE_PROGRAM, "loop", "", std::chrono::milliseconds(200)).error().code, base::Code::timeout);
  EXPECT_EQ(run(WAYSIDE_ESCAPE_PROGRAM, "flood").error().code, base::Code::exhausted);
  EXPECT_EQ(run(WAYSIDE_ESCAPE_PROGRAM, "memory-bomb").error().code, base::Code::bad_state);
}

TEST(JailedProcess, TheFetchProgramParsesInTheJail) {
  const auto text = ota::to_json(testing_support::sample_policy());
  const auto parsed = run(WAYSIDE_FETCH_PROGRAM, "rollout-policy", text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, text);
  for (std::size_t length = 0; length < text.size(); length += 13) {
    const auto refused = run(WAYSIDE_FETCH_PROGRAM, "rollout-policy", text.substr(0, length));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Code::corrupt) << refused.error().message;
  }
  EXPECT_EQ(run(WAYSIDE_FETCH_PROGRAM, "rollout-policy", std::string(17U << 20U, '[')).error().code,
            base::Code::corrupt);
  EXPECT_EQ(run(WAYSIDE_FETCH_PROGRAM, "rollout-policy", std::string(60'000, '[')).error().code, base::Code::corrupt);
  EXPECT_FALSE(run(WAYSIDE_FETCH_PROGRAM, "no-such-job"));
  EXPECT_EQ(run("/nonexistent/wayside-fetch", "x").error().code, base::Code::not_found);
}

}  // namespace
}  // namespace wayside::agent
