// SPDX-License-Identifier: Apache-2.0
// A real process runs updates on a real disk and is killed with SIGKILL at random moments; what it told is still true.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/log.h"
#include "tests/ota/updater/sim_device.h"
#include "tests/support/figures.h"

namespace wayside::ota {
namespace {

constexpr unsigned kVersions = 400;
constexpr useconds_t kLongestLife_us = 60'000;

std::string version_of(unsigned number) { return std::to_string(number) + ".0.0"; }

/// Installs one version after the other for ever; every fourth is bad. Tells each commit by one byte-pair on the pipe.
[[noreturn]] void updates_for_ever(const SimWorld& world, const std::filesystem::path& root, int tell) {
  SimClock clock;
  auto disk = base::DiskStorage::open(root);
  auto store = disk ? BlobStore::open(*disk) : std::unexpected(disk.error());
  if (!store) ::_exit(2);
  SimGates gates(world, *store);
  for (unsigned i = 4; i < kVersions; i += 4) gates.bad_watch.insert(version_of(i));
  auto updater = Updater::open(*disk, *store, gates, clock, sim_options(world));
  if (!updater || updater->damaged()) ::_exit(3);
  unsigned next = 1;
  const auto committed = updater->slots().slot("detector").committed;
  if (committed) {
    const auto manifest = updater->manifest_of(committed->manifest);
    if (!manifest) ::_exit(4);
    next = static_cast<unsigned>(std::stoul(manifest->version)) + 1;
  }
  for (;; ++next) {
    const auto version = version_of(next % kVersions);
    while (updater->state() != State::idle) {
      if (!updater->poll()) ::_exit(5);
    }
    if (next >= kVersions) ::pause();  // all are installed: wait for the kill
    if (!updater->offer(world.envelopes.at(version))) ::_exit(6);
    if (updater->outcome("cmd-" + version) == nullptr) (void)updater->command(world.command(version));
    while (updater->state() != State::idle) {
      if (!updater->poll()) ::_exit(7);
    }
    const auto* outcome = updater->outcome("cmd-" + version);
    const auto told = static_cast<std::uint16_t>(next);
    if (outcome != nullptr && outcome->committed && ::write(tell, &told, sizeof told) != sizeof told) ::_exit(8);
  }
}

std::string check_whole(const BlobStore& store, const Installed& installed) {
  const auto manifest = read_manifest(store, installed.manifest);
  if (!manifest) return manifest.error().message;
  return check_blobs(*manifest, installed, store);
}

unsigned number_of(const BlobStore& store, const Installed& installed) {
  return static_cast<unsigned>(std::stoul(read_manifest(store, installed.manifest).value().version));
}

TEST(KillTest, killed_at_random_moments_nothing_is_torn_and_no_commit_is_lost) {
  base::init_logging(base::LogLevel::error);
  SimWorld world;
  for (unsigned i = 1; i < kVersions; ++i) {
    auto manifest = world.make(version_of(i));
    manifest.watch.max_restarts = 100;
    world.publish(manifest);
  }
  const auto kills = testing_support::tries<int>({.test = 30, .quick = 100, .ci = 200, .full = 1000});
  // In memory where there is such a file system: a kill loses no page cache, and there many more updates are struck.
  const std::filesystem::path place = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir();
  const auto root = place / ("wayside_kill_test." + std::to_string(::getpid()));
  std::filesystem::remove_all(root);
  std::uint64_t random = 20261121;
  unsigned last_told = 0, struck = 0, torn = 0, lost = 0, bricks = 0, commits = 0;
  // On a machine so busy that no update ends in so short a life, more lives are tried.
  for (int i = 0; i < kills || (commits == 0 && i < 20 * kills); ++i) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) updates_for_ever(world, root, pipe[1]);
    ::close(pipe[1]);
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    ::usleep(static_cast<useconds_t>((random >> 33U) % kLongestLife_us));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the process ended by itself: " << WEXITSTATUS(status);
    ++struck;
    std::uint16_t told = 0;
    while (::read(pipe[0], &told, sizeof told) == sizeof told) {
      last_told = told;
      ++commits;
    }
    ::close(pipe[0]);

    // Looked at without an updater, which would count as a start; that the device starts shows the next child.
    auto disk = base::DiskStorage::open(root).value();
    auto store = BlobStore::open(disk).value();
    bool damaged = false;
    const auto journal = Journal::load(disk, damaged);
    const auto slots = Slots::load(disk);
    const bool readable = journal && slots && !damaged && !slots->damaged();
    bricks += readable ? 0 : 1;
    ASSERT_TRUE(readable) << "kill " << i;
    const auto slot = slots->slot("detector");
    const auto wrong = slot.active ? check_whole(store, *slot.active) : std::string{};
    torn += wrong.empty() ? 0 : 1;
    ASSERT_EQ(wrong, "") << "kill " << i;
    const unsigned have = slot.committed ? number_of(store, *slot.committed) : 0;
    lost += have < last_told ? 1 : 0;
    ASSERT_GE(have, last_told) << "kill " << i;
    if (have + 5 > kVersions) {  // the versions are used up: a new device
      std::filesystem::remove_all(root);
      last_told = 0;
    }
  }
  std::filesystem::remove_all(root);
  EXPECT_GT(commits, 0U) << "some updates must have ended, or nothing was tried";
  testing_support::figure("kill_9", struck);
  testing_support::figure("kill_9_commits", commits);
  testing_support::figure("kill_9_bricks", bricks);
  testing_support::figure("kill_9_torn_models", torn);
  testing_support::figure("kill_9_lost_states", lost);
}

}  // namespace
}  // namespace wayside::ota
