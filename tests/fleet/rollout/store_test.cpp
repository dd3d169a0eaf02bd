// SPDX-License-Identifier: Apache-2.0
// Roll-outs in the database: cohorts, results exactly once, stop and go, kill -9 at random moments.
#include "fleet/rollout/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <format>
#include <random>

#include "fleet/sql/schema.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/fleet/rollout/virtual_fleet.h"
#include "tests/support/figures.h"

namespace wayside::fleet {
namespace {

using fleet::test::run_virtual;
using fleet::test::virtual_device_ids;
using fleet::test::virtual_policy;

class StoreTest : public testing::Test {
 protected:
  wayside::test::TempDir dir_;
  sql::Database database_ = open_fleet_database(dir_.path() / "fleet.db").value();
  RolloutStore store_{database_};
  ota::RolloutPolicy policy_ = virtual_policy("r1");

  void create(std::size_t devices) {
    const auto made = store_.create(policy_, "", virtual_device_ids(devices), 0);
    ASSERT_TRUE(made) << made.error().message;
  }
  Recorded record(const std::string& device, std::string status, std::int64_t seq) {
    return store_
        .record(policy_.id, device,
                {.status = std::move(status), .seq = seq, .manifest_sha256 = policy_.manifest_sha256},
                policy_.manifest_sha256, 1)
        .value();
  }
  Target target(const std::string& device) {
    const auto all = store_.targets(policy_.id).value();
    for (const auto& one : all)
      if (one.device == device) return one;
    ADD_FAILURE() << device;
    return {};
  }
};

TEST_F(StoreTest, TheCohortIsFrozenAndAnIdIsUsedOnce) {
  create(1000);
  EXPECT_EQ(store_.create(policy_, "", {"late"}, 1).error().code, base::Code::bad_state);
  EXPECT_EQ(store_.targets("r1")->size(), 1000U);
  EXPECT_EQ(store_.load("r2").error().code, base::Code::not_found);
  EXPECT_EQ(ota::to_json(store_.load("r1")->policy), ota::to_json(policy_));
  EXPECT_EQ(*store_.ids(), std::vector<std::string>{"r1"});
}

TEST_F(StoreTest, AGoodModelReachesEveryDeviceWithinItsBounds) {
  create(5000);
  const auto run = run_virtual(store_, policy_, {.devices = 5000, .fail_fraction = 0.005, .seed = 3});
  EXPECT_EQ(run.end.state, RunState::completed);
  EXPECT_EQ(run.commanded, 5000U);
  EXPECT_LE(run.most_in_flight, policy_.max_in_flight);
  EXPECT_EQ(run.end.evidence.executed, 5000U);
}

TEST_F(StoreTest, ABadModelStopsInWaveOne) {
  policy_.max_in_flight = 100;
  create(20'000);
  const auto run = run_virtual(store_, policy_, {.devices = 20'000, .fail_fraction = 0.05, .seed = 1});
  EXPECT_EQ(run.end.state, RunState::halted);
  EXPECT_EQ(run.end.wave, 0U);
  EXPECT_LE(run.overshoot, policy_.max_in_flight);
  EXPECT_EQ(run.intervals_to_halt, 0U);
  EXPECT_EQ(run.end.waves[1].waiting, run.end.waves[1].total());
}

TEST_F(StoreTest, AModelThatDisagreesStopsInWaveOne) {
  create(20'000);
  const auto run = run_virtual(store_, policy_, {.devices = 20'000, .disagree_fraction = 0.2, .seed = 1});
  EXPECT_EQ(run.end.state, RunState::halted);
  EXPECT_EQ(run.end.wave, 0U);
  EXPECT_NE(store_.load("r1")->why.find("disagree"), std::string::npos);
}

TEST_F(StoreTest, ResultsCountOnceAndPhantomsDoNot) {
  policy_.waves = {{.permille = 1000, .soak_s = 0}};
  create(3);
  EXPECT_EQ(record("dev-000000", "successful", 5), Recorded::phantom) << "never commanded";
  ASSERT_EQ(store_.step(policy_, 0)->start.size(), 3U);
  EXPECT_EQ(record("dev-000000", "download", 1), Recorded::progress);
  EXPECT_EQ(record("dev-000000", "verify", 1), Recorded::duplicate);
  EXPECT_EQ(record("dev-000000", "successful", 2), Recorded::terminal);
  EXPECT_EQ(record("dev-000000", "successful", 2), Recorded::duplicate);
  EXPECT_EQ(record("dev-000000", "failed", 3), Recorded::duplicate) << "a terminal state is final";
  EXPECT_EQ(record("dev-000000", "download", 4), Recorded::duplicate);
  EXPECT_EQ(record("stranger", "successful", 1), Recorded::phantom);
  EXPECT_EQ(store_
                .record("r1", "dev-000001", {.status = "successful", .seq = 1, .manifest_sha256 = "other"},
                        policy_.manifest_sha256, 1)
                .value(),
            Recorded::phantom);
  const auto seen = store_.snapshot(policy_, 1).value();
  EXPECT_EQ(seen.waves[0].succeeded, 1U);
  EXPECT_EQ(seen.waves[0].in_flight, 2U);
}

TEST_F(StoreTest, ADeviceThatIsLateIsUnreachableAndStillCounts) {
  policy_.waves = {{.permille = 1000, .soak_s = 0}};
  policy_.device_timeout_s = 100;
  create(1);
  ASSERT_EQ(store_.step(policy_, 0)->start.size(), 1U);
  ASSERT_TRUE(store_.step(policy_, 99));
  EXPECT_EQ(target("dev-000000").state, TargetState::in_flight);
  ASSERT_TRUE(store_.step(policy_, 100));
  EXPECT_EQ(target("dev-000000").state, TargetState::unreachable);
  EXPECT_EQ(store_.load("r1")->state, RunState::running) << "nobody succeeded";
  EXPECT_EQ(record("dev-000000", "successful", 1), Recorded::terminal);
  EXPECT_EQ(store_.step(policy_, 200)->decision.state, RunState::completed);
}

TEST_F(StoreTest, PauseResumeAbort) {
  policy_.waves = {{.permille = 1000, .soak_s = 0}};
  policy_.max_in_flight = 4;
  create(10);
  ASSERT_EQ(store_.step(policy_, 0)->start.size(), 4U);
  ASSERT_TRUE(store_.pause("r1", 1));
  EXPECT_EQ(record("dev-000009", "none", 1), Recorded::phantom);
  const auto in_flight = store_.in_flight("r1").value();
  EXPECT_EQ(record(in_flight[0], "successful", 1), Recorded::terminal) << "a pause lets the begun ones end";
  EXPECT_TRUE(store_.step(policy_, 2)->start.empty());
  ASSERT_TRUE(store_.resume("r1", false, 3));
  EXPECT_EQ(store_.step(policy_, 4)->start.size(), 1U);
  EXPECT_EQ(record(in_flight[1], "download", 1), Recorded::progress);
  ASSERT_TRUE(store_.abort("r1", 5));
  const auto step = store_.step(policy_, 6).value();
  EXPECT_EQ(step.recall.size(), 3U) << "the one that began goes on";
  const auto counts = store_.snapshot(policy_, 6)->waves[0];
  EXPECT_EQ(counts.withdrawn, 9U - 1U);
  EXPECT_EQ(counts.in_flight, 1U);
  EXPECT_EQ(record(step.recall[0], "successful", 9), Recorded::terminal) << "it had begun, we had not heard";
  EXPECT_EQ(store_.resume("r1", true, 7).error().code, base::Code::bad_state);
  EXPECT_EQ(store_.pause("r1", 7).error().code, base::Code::bad_state);
}

TEST_F(StoreTest, AHaltIsOverruledOnlyOnPurpose) {
  policy_.waves = {{.permille = 1000, .soak_s = 0}};
  policy_.halt.min_executed = 2;
  policy_.max_in_flight = 3;
  create(6);
  ASSERT_EQ(store_.step(policy_, 0)->start.size(), 3U);
  const auto devices = store_.in_flight("r1").value();
  EXPECT_EQ(record(devices[0], "failed", 1), Recorded::terminal);
  EXPECT_EQ(record(devices[1], "failed", 1), Recorded::terminal);
  const auto halt = store_.step(policy_, 1).value();
  EXPECT_EQ(halt.decision.state, RunState::halted);
  EXPECT_EQ(halt.recall, std::vector<std::string>{devices[2]});
  EXPECT_EQ(target(devices[2]).state, TargetState::waiting);
  EXPECT_EQ(store_.resume("r1", false, 2).error().code, base::Code::bad_state);
  ASSERT_TRUE(store_.resume("r1", true, 3));
  EXPECT_EQ(store_.step(policy_, 4)->start.size(), 3U);
  EXPECT_EQ(store_.snapshot(policy_, 4)->evidence.failed, 0U);
}

/// Body of the killed process: one control interval after the other, until the roll-out ends.
void drive_until_killed(const std::filesystem::path& file, const ota::RolloutPolicy& policy, std::size_t devices) {
  auto database = open_fleet_database(file).value();
  RolloutStore store(database);
  (void)store.create(policy, "", virtual_device_ids(devices), 0);  // refused from the second time on
  (void)run_virtual(store, policy, {.devices = devices, .fail_fraction = 0.01, .seed = 7, .finish_fraction = 0.3});
}

TEST(RolloutKill, KilledAtRandomMomentsNothingIsLostOrCountedTwice) {
  constexpr std::size_t kDevices = 3000;
  constexpr int kKills = 60;
  wayside::test::TempDir dir;
  const auto file = dir.path() / "fleet.db";
  auto policy = virtual_policy("r1");
  policy.max_in_flight = 40;
  std::mt19937 random(20'261'121);
  int killed = 0;
  bool ended = false;
  for (int round = 0; round < 1000 && !ended; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      drive_until_killed(file, policy, kDevices);
      ::_exit(0);
    }
    if (killed < kKills) {
      ::usleep(std::uniform_int_distribution<useconds_t>(500, 60'000)(random));
      ::kill(child, SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    killed += WIFSIGNALED(status) ? 1 : 0;
    ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  ASSERT_TRUE(ended);
  auto database = open_fleet_database(file).value();
  RolloutStore store(database);
  EXPECT_EQ(store.load("r1")->state, RunState::completed);
  std::size_t terminal = 0, results_logged = 0;
  const auto targets = store.targets("r1").value();
  const auto lines = store.log("r1", "").value();
  for (const auto& target : targets)
    terminal += target.state == TargetState::succeeded || target.state == TargetState::failed ? 1 : 0;
  for (const auto& line : lines) results_logged += line.device.empty() ? 0 : 1;
  EXPECT_EQ(terminal, kDevices);
  EXPECT_EQ(results_logged, kDevices) << "one line for each result";
  const auto seen = store.snapshot(policy, 0).value();
  EXPECT_EQ(seen.evidence.executed, kDevices) << "the counts that triggers keep agree with the rows";
  testing_support::figure("rollout_tool_kills", killed);
  testing_support::figure("rollout_results_lost", kDevices - terminal);
}

}  // namespace
}  // namespace wayside::fleet
