// SPDX-License-Identifier: Apache-2.0
// Roll-outs while the broker is killed and restarted again and again: no terminal state is lost, doubled or made up.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <format>
#include <random>

#include "fleet/rollout/driver.h"
#include "fleet/simulator/simulated_device.h"
#include "fleet/sql/schema.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/fleet/accelerated_clock.h"
#include "tests/fleet/simulator/signed_fleet.h"
#include "tests/support/figures.h"

namespace wayside::fleet {
namespace {

constexpr int kDevices = 12;
constexpr int kAcceleration = 40;
constexpr auto kPollSlice = std::chrono::milliseconds(40);  // of accelerated time: 1 ms

struct KillCounts {
  int kills = 0, rollouts = 0;
  int lost = 0, doubled = 0, phantom = 0;
};

class BrokerKill : public testing::Test {
 protected:
  void SetUp() override {
    if (!wayside::test::TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
    broker_ = std::make_unique<wayside::test::TestBroker>("max_inflight_messages 20\nmax_queued_messages 0");
    for (int i = 0; i < kDevices; ++i) make_device(i);
  }

  base::mqtt::ClientOptions client(std::string id) {
    base::mqtt::ClientOptions options;
    options.host = "127.0.0.1";
    options.port = broker_->port();
    options.client_id = std::move(id);
    options.connect_timeout = std::chrono::seconds(2);
    options.jitter_seed = 7 + devices_.size();
    return options;
  }

  void make_device(int i) {
    SimulatedDeviceOptions options;
    options.mqtt = client(std::format("dev-{}", i));
    options.trusted = fleet_.root;
    options.gates.step_time = std::chrono::milliseconds(2000);
    options.gates.shelf = &fleet_.shelf;
    options.gates.model = [i](const auto&) { return SimulatedVerdict{.golden = i != 5}; };
    devices_.push_back(SimulatedDevice::create(std::move(options), disks_[i], clock_).value());
  }

  ota::RolloutPolicy policy(int number) {
    ota::RolloutPolicy made;
    made.id = std::format("r{}", number);
    made.role = "detector";
    const auto release = fleet_.release(std::format("{}.0.0", number), wayside::test::make_weights(4096, number));
    EXPECT_TRUE(store_.put_manifest(release.sha256, release.envelope));
    made.manifest_sha256 = release.sha256;
    made.waves = {{.permille = 300, .soak_s = 0}, {.permille = 1000, .soak_s = 0}};
    made.halt.fail_permille = 500;
    made.success_permille = 0;
    made.max_in_flight = 5;
    made.device_timeout_s = 100'000;
    made.expires_unix_s = unix_now() + 10'000'000;
    return made;
  }
  std::int64_t unix_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(clock_.wall_now().time_since_epoch()).count();
  }

  /// Runs one roll-out to its end, killing the broker `kills` times at random moments.
  void run_rollout(int number, int kills, KillCounts& counts) {
    const auto limits = policy(number);
    std::vector<std::string> ids;
    for (int i = 0; i < kDevices; ++i) ids.push_back(std::format("dev-{}", i));
    ASSERT_TRUE(store_.create(limits, fleet_.sign(limits), ids, unix_now()));
    DriverOptions options;
    options.mqtt = client("fleet-driver");
    auto driver = Driver::create(store_, limits.id, options, clock_).value();
    std::uniform_int_distribution<int> pause_ms(1'000, 12'000);  // accelerated
    auto next_kill = clock_.now() + std::chrono::milliseconds(pause_ms(random_));
    const auto give_up = clock_.now() + std::chrono::hours(2);
    while (true) {
      const auto done = driver->poll(kPollSlice);
      ASSERT_TRUE(done) << done.error().message;
      for (auto& device : devices_) ASSERT_TRUE(device->poll());
      if (*done) break;
      ASSERT_LT(clock_.now(), give_up) << "roll-out " << number << " hangs: " << driver->view().connection;
      if (kills > 0 && clock_.now() >= next_kill) {
        broker_->kill();
        broker_->start();
        --kills;
        ++counts.kills;
        next_kill = clock_.now() + std::chrono::milliseconds(pause_ms(random_));
      }
    }
    driver->close(std::chrono::seconds(20));
    ++counts.rollouts;
    compare_with_devices(limits, counts);
  }

  /// The database must say of each device what its disk says, and have counted it once.
  void compare_with_devices(const ota::RolloutPolicy& limits, KillCounts& counts) {
    const auto targets = store_.targets(limits.id).value();
    const auto lines = store_.log(limits.id, "").value();
    for (const auto& target : targets) {
      const int index = std::stoi(target.device.substr(4));
      const auto found = disks_[index].updates.find(limits.id);
      const bool has = found != disks_[index].updates.end();
      const bool ended = target.state == TargetState::succeeded || target.state == TargetState::failed;
      counts.lost += ended ? 0 : 1;
      counts.phantom += ended && (!has || found->second.report.status != target.status) ? 1 : 0;
      const auto logged = std::ranges::count(lines, target.device, &LogLine::device);
      counts.doubled += logged > 1 ? 1 : 0;
      EXPECT_EQ(target.state, index == 5 ? TargetState::failed : TargetState::succeeded) << target.device;
    }
    EXPECT_EQ(store_.load(limits.id)->state, RunState::completed);
  }

  test::SignedFleet fleet_;
  test::AcceleratedClock clock_{kAcceleration};
  wayside::test::TempDir dir_;
  sql::Database database_ = open_fleet_database(dir_.path() / "fleet.db").value();
  RolloutStore store_{database_};
  std::unique_ptr<wayside::test::TestBroker> broker_;
  std::array<SimulatedDisk, kDevices> disks_;
  std::vector<std::unique_ptr<SimulatedDevice>> devices_;
  std::mt19937 random_{20'261'121};
};

TEST_F(BrokerKill, NoTerminalStateIsLostDoubledOrMadeUp) {
  const int kills = testing_support::tries<int>({.test = 12, .quick = 12, .ci = 100, .full = 1000});
  KillCounts counts;
  int rollout = 0;
  while (counts.kills < kills && !HasFatalFailure()) run_rollout(++rollout, std::min(4, kills - counts.kills), counts);
  testing_support::figure("broker_kills", counts.kills);
  testing_support::figure("broker_kill_rollouts", counts.rollouts);
  testing_support::figure("terminal_states_lost", counts.lost);
  testing_support::figure("terminal_states_doubled", counts.doubled);
  testing_support::figure("terminal_states_phantom", counts.phantom);
  EXPECT_EQ(counts.lost, 0);
  EXPECT_EQ(counts.doubled, 0);
  EXPECT_EQ(counts.phantom, 0);
  for (const auto& disk : disks_)
    EXPECT_EQ(disk.executions, static_cast<std::uint64_t>(rollout)) << "each command runs once";
}

}  // namespace
}  // namespace wayside::fleet
