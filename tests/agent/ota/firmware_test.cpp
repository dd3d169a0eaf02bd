// SPDX-License-Identifier: Apache-2.0
// A bundle on its way through RAUC (played), the restart, and what the device finds afterwards.
#include "agent/ota/firmware.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "ota/store/blob_store.h"
#include "tests/agent/ota/fake_system.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::agent {
namespace {

using ota::Step;
using testing::HasSubstr;

class TestClock final : public base::Clock {
 public:
  [[nodiscard]] base::MonotonicTime now() const override { return now_; }
  [[nodiscard]] std::chrono::system_clock::time_point wall_now() const override { return {}; }
  void sleep_until(base::MonotonicTime deadline) override { now_ = std::max(now_, deadline); }

 private:
  base::MonotonicTime now_{std::chrono::hours(1)};
};

struct FirmwareTest : testing::Test {
  test::TempDir folder;
  test::FakeSystem system{folder.path() / "system"};
  base::DiskStorage storage = base::DiskStorage::open(folder.path() / "ota").value();
  ota::BlobStore store = ota::BlobStore::open(storage).value();
  TestClock clock;
  std::optional<Firmware> firmware;
  ota::Manifest manifest{.name = "system", .role = "firmware"};
  ota::Variant variant{.id = "test-board", .accelerator = "rauc"};
  ota::Job job{.command_id = "f1", .role = "firmware"};

  void SetUp() override { start_agent(); }
  void start_agent() {
    firmware.emplace(FirmwareOptions{.system_root = system.root(), .store_root = folder.path() / "ota"}, storage,
                     clock);
  }
  ota::Task task(const std::string& version, const std::string& bundle) {
    manifest.version = version;
    variant.file = store.put(std::as_bytes(std::span(bundle))).value();
    job.target = {.manifest = variant.file, .variant = variant.id};
    return {job, manifest, variant};
  }
  /// Until it ends or wants the restart.
  Step install(const ota::Task& task) {
    for (int i = 0; i < 3000; ++i) {
      Step step = firmware->install(task);
      if (step.kind != Step::Kind::working || system.restart_wanted()) return step;
      if (firmware->percent() == 100) clock.sleep_until(clock.now() + std::chrono::seconds(1));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // another process works
    }
    return Step::failed("the test ran out of patience");
  }
};

TEST_F(FirmwareTest, WithoutSlotsThereIsNoInstaller) {
  EXPECT_FALSE(probe_installer(folder.path() / "nowhere"));
  EXPECT_FALSE(read_running_system(folder.path() / "nowhere"));
  EXPECT_EQ(probe_installer(system.root())->versions.at("compatible"), "test-board");
  EXPECT_EQ(read_running_system(system.root())->slot, "A");
}

TEST_F(FirmwareTest, ABundleIsInstalledStartedAndCalledGood) {
  const auto wanted = task("2.0.0", "bundle 2.0.0\n");
  EXPECT_FALSE(firmware->objection(wanted));
  ASSERT_EQ(install(wanted).kind, Step::Kind::working);
  EXPECT_EQ(system.installed(), "2.0.0\n");
  EXPECT_EQ(firmware->percent(), 100U);
  system.boot("B", "2.0.0");
  start_agent();
  EXPECT_EQ(firmware->install(wanted).kind, Step::Kind::done);
  EXPECT_EQ(firmware->watch(wanted).kind, Step::Kind::working);
  system.confirm("started");
  EXPECT_EQ(firmware->watch(wanted).kind, Step::Kind::working);
  system.confirm("good");
  EXPECT_EQ(firmware->watch(wanted).kind, Step::Kind::done);
  firmware->forget();
  EXPECT_THAT(firmware->objection(wanted)->reason, HasSubstr("2.0.0 runs already"));
}

TEST_F(FirmwareTest, AnAgentThatIsStartedAgainInstallsNothingTwice) {
  const auto wanted = task("2.0.0", "bundle 2.0.0\n");
  ASSERT_EQ(install(wanted).kind, Step::Kind::working);
  std::filesystem::remove(system.root() / "run/waysided/restart");
  start_agent();
  for (int i = 0; i < 10 && !system.restart_wanted(); ++i) {
    ASSERT_EQ(firmware->install(wanted).kind, Step::Kind::working);
    clock.sleep_until(clock.now() + std::chrono::seconds(1));
  }
  EXPECT_TRUE(system.restart_wanted());
  EXPECT_EQ(system.installed(), "2.0.0\n");
  clock.sleep_until(clock.now() + std::chrono::minutes(11));
  EXPECT_THAT(firmware->install(wanted).reason, HasSubstr("nobody restarted"));
}

TEST_F(FirmwareTest, ASystemThatWasLeftIsToldAndNotTriedAgain) {
  const auto wanted = task("2.0.0", "bundle 2.0.0\n");
  ASSERT_EQ(install(wanted).kind, Step::Kind::working);
  system.boot("A", "1.0.0");  // the loader never started the kernel: nobody could write a reason
  start_agent();
  auto step = firmware->install(wanted);
  EXPECT_EQ(step.kind, Step::Kind::model_failed);
  EXPECT_THAT(step.reason, HasSubstr("2.0.0 was left for 1.0.0: it never started far enough"));
  EXPECT_EQ(firmware->watch(wanted).kind, Step::Kind::model_failed);
  EXPECT_EQ(system.installed(), "2.0.0\n") << "once is enough";

  system.boot("A", "1.0.0", R"({"slot":"B","version":"2.0.0","stage":"unhealthy","reason":"the agent has no broker"})");
  start_agent();
  step = firmware->install(wanted);
  EXPECT_THAT(step.reason, HasSubstr("2.0.0 was left for 1.0.0: unhealthy: the agent has no broker"));
  firmware->forget();
  EXPECT_EQ(firmware->objection(wanted)->kind, Step::Kind::model_failed);
  EXPECT_THAT(firmware->install(wanted).reason, HasSubstr("failed on this device before"));
}

TEST_F(FirmwareTest, WhatRaucRefusesIsRefusedWithItsWords) {
  auto step = install(task("2.0.0", "no bundle at all\n"));
  EXPECT_EQ(step.kind, Step::Kind::model_failed);
  EXPECT_THAT(step.reason, HasSubstr("signature verification failed"));
  start_agent();
  step = install(task("2.0.0", "bundle 2.0.1\n"));
  EXPECT_EQ(step.kind, Step::Kind::model_failed);
  EXPECT_THAT(step.reason, HasSubstr("holds version \"2.0.1\", its package says 2.0.0"));
  start_agent();
  system.fail_installations("Failed updating slot rootfs.1: Input/output error");
  step = install(task("2.0.0", "bundle 2.0.0\n"));
  EXPECT_EQ(step.kind, Step::Kind::failed) << "the medium may be better tomorrow";
  EXPECT_THAT(step.reason, HasSubstr("Failed updating slot rootfs.1: Input/output error"));
  start_agent();
  ::setenv("PATH", "/nowhere", 1);
  EXPECT_THAT(install(task("2.0.0", "bundle 2.0.0\n")).reason, HasSubstr("cannot start rauc"));
}

}  // namespace
}  // namespace wayside::agent
