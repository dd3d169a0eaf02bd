// SPDX-License-Identifier: Apache-2.0
// decide(): every limit, every state.
#include "fleet/rollout/decision.h"

#include <gtest/gtest.h>

namespace wayside::fleet {
namespace {

ota::RolloutPolicy policy() {
  ota::RolloutPolicy made;
  made.id = "r";
  made.waves = {{.permille = 10, .soak_s = 100}, {.permille = 100, .soak_s = 50}, {.permille = 1000, .soak_s = 10}};
  made.halt = {.fail_permille = 20,
               .min_executed = 20,
               .disagree_permille = 80,
               .min_compared = 500,
               .unreachable_permille = 100};
  made.success_permille = 950;
  made.max_in_flight = 50;
  made.starts_per_min = 30;
  made.not_before_unix_s = 0;
  made.expires_unix_s = 100'000;
  return made;
}

Snapshot snapshot() {
  Snapshot made;
  made.waves = {{.waiting = 100}, {.waiting = 900}, {.waiting = 9000}};
  made.now_unix_s = 1000;
  return made;
}

TEST(Decision, StartsWithinAllBounds) {
  auto seen = snapshot();
  EXPECT_EQ(decide(policy(), seen).start, 30U);  // starts per minute
  seen.starts_last_minute = 25;
  EXPECT_EQ(decide(policy(), seen).start, 5U);
  seen.starts_last_minute = 31;
  EXPECT_EQ(decide(policy(), seen).start, 0U);
  seen.starts_last_minute = 0;
  seen.waves[0] = {.waiting = 60, .in_flight = 40};
  EXPECT_EQ(decide(policy(), seen).start, 10U);  // in flight
  seen.waves[0].in_flight = 51;
  EXPECT_EQ(decide(policy(), seen).start, 0U);
  seen.waves[0] = {.waiting = 3};
  EXPECT_EQ(decide(policy(), seen).start, 3U);
}

TEST(Decision, WaitsForItsTimeAndWindow) {
  auto limits = policy();
  limits.not_before_unix_s = 2000;
  auto decision = decide(limits, snapshot());
  EXPECT_EQ(decision.start, 0U);
  EXPECT_EQ(decision.why, "starts in 1000 s");
  limits = policy();
  limits.windows = {{.from_min = 60, .to_min = 120}};
  EXPECT_EQ(decide(limits, snapshot()).start, 0U);
  auto seen = snapshot();
  seen.now_unix_s = 3600;
  EXPECT_GT(decide(limits, seen).start, 0U);
}

TEST(Decision, HaltsAboveTheFailureLimitOnceEnoughHaveEnded) {
  auto seen = snapshot();
  seen.evidence = {.executed = 19, .failed = 19};
  EXPECT_EQ(decide(policy(), seen).state, RunState::running);
  seen.evidence = {.executed = 100, .failed = 2};
  EXPECT_EQ(decide(policy(), seen).state, RunState::running) << "exactly at the limit";
  seen.evidence = {.executed = 100, .failed = 3};
  const auto decision = decide(policy(), seen);
  EXPECT_EQ(decision.state, RunState::halted);
  EXPECT_EQ(decision.start, 0U);
  EXPECT_EQ(decision.why, "3 of 100 devices failed (3.0 %, limit 2.0 %)");
  seen.state = RunState::paused;
  EXPECT_EQ(decide(policy(), seen).state, RunState::halted);
}

TEST(Decision, HaltsOnDisagreement) {
  auto seen = snapshot();
  seen.evidence = {.compared = 499, .disagreed = 400};
  EXPECT_EQ(decide(policy(), seen).state, RunState::running);
  seen.evidence = {.compared = 1000, .disagreed = 81};
  EXPECT_EQ(decide(policy(), seen).state, RunState::halted);
}

TEST(Decision, HaltsWhenThePolicyExpires) {
  auto seen = snapshot();
  seen.now_unix_s = 100'000;
  EXPECT_EQ(decide(policy(), seen).state, RunState::halted);
}

TEST(Decision, AWaveEndsSoaksAndTheNextBegins) {
  auto seen = snapshot();
  seen.waves[0] = {.succeeded = 99, .failed = 1};
  auto decision = decide(policy(), seen);
  EXPECT_EQ(decision.wave, 0U);
  EXPECT_EQ(decision.start, 0U);
  ASSERT_EQ(decision.wave_settled_unix_s, 1000);
  EXPECT_EQ(decision.why, "wave 1 is watched for another 100 s");
  seen.wave_settled_unix_s = 1000;
  seen.now_unix_s = 1099;
  EXPECT_EQ(decide(policy(), seen).wave, 0U);
  seen.now_unix_s = 1100;
  decision = decide(policy(), seen);
  EXPECT_EQ(decision.wave, 1U);
  EXPECT_EQ(decision.wave_settled_unix_s, std::nullopt);
}

TEST(Decision, ASmallWaveThatFailsIsStoppedByTheSuccessThreshold) {
  auto seen = snapshot();
  seen.waves[0] = {.succeeded = 9, .failed = 1};  // too few for the failure limit
  seen.evidence = {.executed = 10, .failed = 1};
  const auto decision = decide(policy(), seen);
  EXPECT_EQ(decision.state, RunState::halted);
  EXPECT_EQ(decision.why, "wave 1: 90.0 % succeeded, 95.0 % are needed");
  seen.overruled_wave = 0;
  EXPECT_EQ(decide(policy(), seen).state, RunState::running);
}

TEST(Decision, UnreachableDevicesHoldTheNextWave) {
  auto seen = snapshot();
  seen.waves[0] = {.unreachable = 11, .succeeded = 89};
  seen.wave_settled_unix_s = 0;
  EXPECT_EQ(decide(policy(), seen).wave, 0U);
  seen.waves[0] = {.unreachable = 10, .succeeded = 90};
  EXPECT_EQ(decide(policy(), seen).wave, 1U);
}

TEST(Decision, AnEmptyWaveIsPassed) {
  auto seen = snapshot();
  seen.waves[0] = {};
  EXPECT_EQ(decide(policy(), seen).wave, 1U);
}

TEST(Decision, TheLastWaveCompletes) {
  auto seen = snapshot();
  seen.wave = 2;
  seen.waves = {{.succeeded = 100}, {.succeeded = 900}, {.succeeded = 9000}};
  EXPECT_EQ(decide(policy(), seen).state, RunState::completed);
}

TEST(Decision, FinalAndStoppedStatesStay) {
  for (const auto state : {RunState::halted, RunState::aborted, RunState::completed, RunState::paused}) {
    auto seen = snapshot();
    seen.state = state;
    const auto decision = decide(policy(), seen);
    EXPECT_EQ(decision.state, state);
    EXPECT_EQ(decision.start, 0U);
    EXPECT_EQ(parse_run_state(to_string(state)), state);
  }
  EXPECT_EQ(parse_run_state("gone"), std::nullopt);
}

}  // namespace
}  // namespace wayside::fleet
