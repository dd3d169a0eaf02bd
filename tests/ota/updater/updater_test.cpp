// SPDX-License-Identifier: Apache-2.0
// The updater on an undisturbed disk: gates, commands, refusals, deadlines, damaged records.
#include "ota/updater/updater.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "ota/updater/record.h"
#include "tests/ota/updater/sim_device.h"
#include "tests/support/figures.h"

namespace wayside::ota {
namespace {

struct UpdaterTest : testing::Test {
  SimWorld world;
  SimClock clock;
  base::FaultyStorage storage{1};
  std::optional<BlobStore> store;
  std::optional<SimGates> gates;
  std::optional<Updater> updater;

  void SetUp() override {
    base::init_logging(base::LogLevel::error);
    for (const auto* version : {"1.0.0", "2.0.0", "3.0.0"}) world.publish(world.make(version));
    boot();
  }
  void boot() { boot(sim_options(world)); }
  void boot(UpdaterOptions options) {
    std::optional<SimGates> old = std::move(gates);
    store.emplace(BlobStore::open(storage).value());
    gates.emplace(world, *store);
    if (old) {
      gates->bad_self_test = old->bad_self_test;
      gates->bad_shadow = old->bad_shadow;
      gates->bad_watch = old->bad_watch;
      gates->hang_fetch = old->hang_fetch;
      gates->hang_watch = old->hang_watch;
    }
    updater.emplace(Updater::open(storage, *store, *gates, clock, std::move(options)).value());
  }
  Checked<void> start(const std::string& version) {
    const auto offered = updater->offer(world.envelopes.at(version));
    if (!offered) return std::unexpected(offered.error());
    return updater->command(world.command(version));
  }
  void finish() {
    for (int i = 0; i < 100 && updater->poll().value(); ++i) {
    }
  }
  bool install(const std::string& version) {
    const auto started = start(version);
    EXPECT_TRUE(started) << describe(started.error());
    finish();
    const auto* outcome = updater->outcome("cmd-" + version);
    return outcome != nullptr && outcome->committed;
  }
  Refusal reason(const Checked<void>& result) { return result ? Refusal::io : result.error().reason; }
  std::string running() {
    const auto active = updater->active("detector");
    return active ? updater->manifest_of(active->manifest).value().version : "configured";
  }
};

TEST_F(UpdaterTest, a_good_model_is_committed_and_a_repeat_costs_nothing) {
  EXPECT_EQ(running(), "configured");
  ASSERT_TRUE(install("1.0.0"));
  ASSERT_TRUE(install("2.0.0"));
  EXPECT_EQ(running(), "2.0.0");
  EXPECT_EQ(gates->running["detector"], updater->active("detector"));
  EXPECT_EQ(updater->slots().slot("detector").previous.size(), 1U);
  EXPECT_EQ(gates->compiles, 0) << "this variant builds nothing";
  const int fetches = gates->fetches;
  auto again = world.command("2.0.0");
  again.id = "another-id";
  ASSERT_TRUE(updater->command(again));
  finish();
  EXPECT_TRUE(updater->outcome("another-id")->committed);
  EXPECT_EQ(gates->fetches, fetches) << "nothing is fetched for what is there";
}

TEST_F(UpdaterTest, each_gate_sends_a_bad_model_back) {
  auto shadowed = world.make("2.0.0");
  shadowed.watch.shadow_frames = 10;
  world.publish(shadowed);
  ASSERT_TRUE(install("1.0.0"));
  gates->bad_self_test = {"3.0.0"};
  gates->bad_shadow = {"2.0.0"};
  EXPECT_FALSE(install("3.0.0"));
  EXPECT_EQ(updater->outcome("cmd-3.0.0")->reason, "golden");
  EXPECT_FALSE(install("2.0.0"));
  EXPECT_EQ(gates->swaps, 3) << "1.0.0 in; two returns to it";
  world.publish(world.make("4.0.0"));
  gates->bad_watch = {"4.0.0"};
  EXPECT_FALSE(install("4.0.0"));
  EXPECT_EQ(running(), "1.0.0");
  EXPECT_EQ(gates->running["detector"], updater->active("detector"));
  EXPECT_EQ(store->list().value().size(), 4U) << "manifest, model, golden set of 1.0.0; the bad ones are collected";
  auto again = world.command("4.0.0");
  again.id = "once-more";
  EXPECT_EQ(reason(updater->command(again)), Refusal::failed_before);
}

TEST_F(UpdaterTest, commands_carry_no_authority) {
  EXPECT_EQ(reason(updater->command(world.command("1.0.0"))), Refusal::manifest_not_known);
  SimWorld stranger;
  stranger.publish(stranger.make("1.0.0"));
  EXPECT_EQ(updater->offer(stranger.envelopes.at("1.0.0")).error().reason, Refusal::unknown_key);
  ASSERT_TRUE(updater->offer(world.envelopes.at("1.0.0")));
  auto command = world.command("1.0.0");
  command.role = "classifier";
  EXPECT_EQ(reason(updater->command(command)), Refusal::wrong_role);
  command = world.command("1.0.0");
  command.not_after_unix_s = kSimNow_s - 1;
  EXPECT_EQ(reason(updater->command(command)), Refusal::command_expired);
  ASSERT_TRUE(updater->command(world.command("1.0.0")));
  EXPECT_EQ(reason(updater->command(world.command("1.0.0"))), Refusal::command_repeated);
  command = world.command("1.0.0");
  command.id = "second";
  EXPECT_EQ(reason(updater->command(command)), Refusal::busy);
  finish();
  boot();
  EXPECT_EQ(reason(updater->command(world.command("1.0.0"))), Refusal::command_repeated) << "also after a restart";
}

TEST_F(UpdaterTest, the_security_counter_rises_only_with_a_commit) {
  world.publish(world.make("2.0.0", 9));
  world.publish(world.make("3.0.0", 9));
  gates->bad_watch = {"3.0.0"};
  EXPECT_FALSE(install("3.0.0"));
  ASSERT_TRUE(install("1.0.0")) << "the failed one raised nothing";
  ASSERT_TRUE(install("2.0.0"));
  world.publish(world.make("4.0.0", 8));
  EXPECT_EQ(reason(start("4.0.0")), Refusal::rollback);
  EXPECT_EQ(running(), "2.0.0");
}

TEST_F(UpdaterTest, the_security_counter_outlives_the_slot_record) {
  world.publish(world.make("2.0.0", 9));
  world.publish(world.make("4.0.0", 8));
  ASSERT_TRUE(install("2.0.0"));
  for (const char* lost : {"floor.a", "floor.b"}) {
    ASSERT_TRUE(storage.remove("slots"));
    ASSERT_TRUE(storage.write(lost, sim_bytes("garbage")));
    boot();
    EXPECT_FALSE(updater->active("detector")) << "the record is gone";
    EXPECT_EQ(updater->counter_floor("detector"), 9U) << "and what must not be forgotten is not, without " << lost;
    EXPECT_EQ(reason(start("4.0.0")), Refusal::rollback);
    auto again = world.command("2.0.0");
    again.id = std::string("again-") + lost;
    ASSERT_TRUE(updater->offer(world.envelopes.at("2.0.0")));
    ASSERT_TRUE(updater->command(again));
    finish();
    EXPECT_TRUE(updater->active("detector")) << "a new commit makes both copies whole";
  }
}

TEST_F(UpdaterTest, the_signed_policy_opens_the_wave_on_the_device) {
  auto options = sim_options(world);
  options.require_policy = true;
  boot(options);
  EXPECT_EQ(reason(start("1.0.0")), Refusal::not_yet) << "its policy may still come";
  RolloutPolicy policy{.id = "r1", .salt = "s", .role = "detector", .target_name = "street", .target_version = "1.0.0"};
  policy.manifest_sha256 = world.manifests.at("1.0.0").hex();
  policy.not_before_unix_s = kSimNow_s - 10;
  policy.expires_unix_s = kSimNow_s + 10'000;
  policy.waves = {{.permille = 1, .soak_s = 5000}, {.permille = 1000, .soak_s = 0}};
  const auto envelope_of = [&](const RolloutPolicy& one, const SecretKey& key) {
    Envelope envelope{.type = "wayside-rollout/1", .body = to_json(one)};
    envelope.signatures = {sign_document(key, envelope.type, envelope.body).value()};
    return envelope.serialize();
  };
  EXPECT_EQ(reason(updater->offer_policy(envelope_of(policy, world.key))), Refusal::key_not_for_role);
  const auto offered = updater->offer_policy(envelope_of(policy, world.policy_key));
  ASSERT_TRUE(offered) << describe(offered.error());
  auto command = world.command("1.0.0");
  command.rollout = "r1";
  command.not_after_unix_s = kSimNow_s + 50'000;
  EXPECT_EQ(reason(updater->command(command)), Refusal::not_yet) << "its wave is not open, whoever commands";
  clock.wall_s = kSimNow_s + 5000;
  EXPECT_TRUE(updater->command(command));
}

TEST_F(UpdaterTest, every_wait_has_an_end) {
  ASSERT_TRUE(install("1.0.0"));
  gates->hang_fetch = true;
  ASSERT_TRUE(start("2.0.0"));
  finish();
  EXPECT_EQ(updater->state(), State::downloading);
  clock.sleep_until(clock.now() + std::chrono::hours(25));
  finish();
  EXPECT_EQ(updater->state(), State::idle);
  EXPECT_FALSE(updater->outcome("cmd-2.0.0")->committed);
  EXPECT_FALSE(updater->outcome("cmd-2.0.0")->model_failed) << "the network failed, not the model";
  gates->hang_fetch = false;
  auto again = world.command("2.0.0");
  again.id = "later";
  ASSERT_TRUE(updater->command(again));
  finish();
  EXPECT_EQ(running(), "2.0.0");
}

TEST_F(UpdaterTest, a_model_that_ends_the_process_is_rolled_back_after_a_few_starts) {
  ASSERT_TRUE(install("1.0.0"));
  gates->hang_watch = true;
  ASSERT_TRUE(start("2.0.0"));
  finish();
  ASSERT_EQ(updater->state(), State::probation);
  EXPECT_EQ(running(), "2.0.0");
  for (int starts = 0; starts < 3; ++starts) boot();
  finish();
  EXPECT_EQ(running(), "1.0.0");
  EXPECT_TRUE(updater->outcome("cmd-2.0.0")->model_failed);
}

TEST_F(UpdaterTest, restarts_in_other_states_go_on_until_the_loop_guard) {
  gates->hang_fetch = true;
  ASSERT_TRUE(start("1.0.0"));
  finish();
  boot();
  EXPECT_EQ(updater->state(), State::downloading) << "a restart is no failure";
  for (std::uint32_t i = 0; i < kMaxStores; ++i) boot();
  finish();
  EXPECT_EQ(updater->state(), State::idle);
  EXPECT_EQ(running(), "configured");
}

TEST_F(UpdaterTest, cancel_goes_back_and_only_before_the_commit) {
  gates->hang_watch = true;
  ASSERT_TRUE(install("1.0.0") || true);
  ASSERT_EQ(updater->state(), State::probation);
  ASSERT_TRUE(updater->cancel("another"));
  EXPECT_EQ(updater->state(), State::probation);
  ASSERT_TRUE(updater->cancel("cmd-1.0.0"));
  finish();
  EXPECT_EQ(running(), "configured");
  EXPECT_EQ(updater->outcome("cmd-1.0.0")->reason, "canceled");
}

TEST_F(UpdaterTest, a_clock_at_1970_neither_bricks_nor_opens_a_door) {
  clock.wall_s = 0;
  ASSERT_TRUE(install("1.0.0"));
  auto options = sim_options(world);
  options.built_unix_s = kSimNow_s + 200'000;
  boot(options);
  EXPECT_EQ(reason(start("2.0.0")), Refusal::expired) << "the program is younger than the signature's end";
  EXPECT_EQ(running(), "1.0.0");
}

TEST_F(UpdaterTest, any_damaged_byte_of_a_record_leaves_a_device_that_starts_and_updates) {
  ASSERT_TRUE(install("1.0.0"));
  std::uint64_t tried = 0;
  for (const char* file : {"journal", "slots"}) {
    const auto good = storage.read(file, kMaxRecordFileBytes).value();
    for (std::size_t at = 0; at < good.size(); ++at, ++tried) {
      base::FaultyStorage copy = storage;
      const std::array<std::byte, 1> bad{good[at] ^ std::byte{4}};
      ASSERT_TRUE(copy.write_at(file, at, bad));
      auto blobs = BlobStore::open(copy).value();
      SimGates sim(world, blobs);
      auto started = Updater::open(copy, blobs, sim, clock, sim_options(world));
      ASSERT_TRUE(started) << file << " byte " << at;
      EXPECT_TRUE(started->damaged()) << file << " byte " << at;
      ASSERT_TRUE(started->offer(world.envelopes.at("2.0.0")));
      ASSERT_TRUE(started->command(world.command("2.0.0")));
      while (started->poll().value()) {
      }
      EXPECT_TRUE(started->outcome("cmd-2.0.0")->committed);
    }
  }
  testing_support::figure("damaged_record_bytes", tried);
}

TEST_F(UpdaterTest, no_room_is_seen_before_the_first_byte) {
  ASSERT_TRUE(install("1.0.0"));
  storage.set_capacity(kReserveBytes);
  ASSERT_TRUE(start("2.0.0"));
  finish();
  EXPECT_FALSE(updater->outcome("cmd-2.0.0")->committed);
  EXPECT_EQ(gates->fetches, 1) << "only 1.0.0 was fetched";
  EXPECT_EQ(running(), "1.0.0");
}

TEST_F(UpdaterTest, many_schedules_of_repeated_commands_run_each_once) {
  std::uint64_t random = 42;
  const auto next = [&](std::uint64_t bound) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random >> 33U) % bound;
  };
  const std::vector<std::string> versions = {"1.0.0", "2.0.0", "3.0.0"};
  for (int schedule = 0; schedule < 300; ++schedule) {
    storage = base::FaultyStorage(next(1U << 30U));
    boot();
    for (const auto& version : versions) ASSERT_TRUE(updater->offer(world.envelopes.at(version)));
    std::map<std::string, int> taken;
    for (int message = 0; message < 12; ++message) {
      const auto& version = versions[next(versions.size())];
      taken[version] += updater->command(world.command(version)) ? 1 : 0;
      for (auto polls = next(15); polls > 0; --polls) ASSERT_TRUE(updater->poll());
      if (next(6) == 0) {
        boot();
        for (const auto& each : versions) ASSERT_TRUE(updater->offer(world.envelopes.at(each)));
      }
    }
    finish();
    for (const auto& [version, times] : taken) {
      EXPECT_LE(times, 1) << "schedule " << schedule;
      EXPECT_EQ(updater->outcome("cmd-" + version) != nullptr, times == 1);
    }
  }
}

}  // namespace
}  // namespace wayside::ota
