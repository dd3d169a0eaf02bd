// SPDX-License-Identifier: Apache-2.0
// Power cut at every operation of provisioning, update, commit, rollback and garbage collection; then random double
// cuts.
#include <gtest/gtest.h>

#include <array>

#include "base/log.h"
#include "tests/ota/updater/sim_device.h"
#include "tests/support/figures.h"

namespace wayside::ota {
namespace {

using testing_support::figure;
using testing_support::run_in_full;

/// First installation, a second version, a bad one that is rolled back, and two more, so that the oldest is collected.
constexpr std::array<const char*, 5> kStory = {"1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0"};
constexpr const char* kBad = "3.0.0";

struct Counts {
  std::uint64_t points = 0, bricks = 0, torn = 0, lost = 0, unfinished = 0;
};

struct Lab {
  SimWorld world;
  SimClock clock;
  std::vector<Digest> manifests;
  Lab() {
    base::init_logging(base::LogLevel::error);
    for (const char* version : kStory) {
      auto manifest = world.make(version);
      manifest.watch.max_restarts = 5;
      manifests.push_back(world.publish(manifest));
    }
  }
  [[nodiscard]] std::size_t index_of(const Digest& manifest) const {
    return static_cast<std::size_t>(std::ranges::find(manifests, manifest) - manifests.begin());
  }

  /// What the outside was told before the power went.
  struct Told {
    std::set<std::string> commands;
    std::optional<std::size_t> committed;
  };

  /// Runs from wherever the disk is to the end of the story; false when the power went.
  bool run(base::Storage& storage, Told& told, std::size_t first = 0) {
    auto store = BlobStore::open(storage);
    if (!store) return false;
    SimGates gates(world, *store);
    gates.bad_watch = {kBad};
    auto updater = Updater::open(storage, *store, gates, clock, sim_options(world));
    if (!updater) return false;
    for (std::size_t i = first; i < kStory.size(); ++i) {
      if (!updater->offer(world.envelopes.at(kStory[i]))) return false;
      const auto command = world.command(kStory[i]);
      if (updater->outcome(command.id) == nullptr && updater->state() == State::idle) {
        if (!updater->command(command)) return false;
      }
      while (updater->state() != State::idle) {
        if (!updater->poll()) return false;
      }
      const auto* outcome = updater->outcome(command.id);
      if (outcome == nullptr) {  // it was the update before that had to end first
        --i;
        continue;
      }
      told.commands.insert(command.id);
      if (outcome->committed) told.committed = i;
    }
    return true;
  }

  /// What must hold after any cut, before anything else happens.
  void check(base::FaultyStorage storage, const Told& told, Counts& counts, const std::string& where) {
    auto store = BlobStore::open(storage);
    std::optional<base::Result<Updater>> updater;
    std::optional<SimGates> gates;
    if (store) {
      gates.emplace(world, *store);
      updater.emplace(Updater::open(storage, *store, *gates, clock, sim_options(world)));
    }
    if (!updater || !*updater || (*updater)->damaged()) {
      ++counts.bricks;
      ADD_FAILURE() << where << ": the device does not start";
      return;
    }
    const auto wrong = check_loadable(**updater, *store, "detector");
    counts.torn += wrong.empty() ? 0 : 1;
    EXPECT_EQ(wrong, "") << where;
    const auto blobs = store->list();
    for (const Digest& digest : blobs.value()) {
      if (store->verify(digest)) continue;
      ++counts.torn;
      ADD_FAILURE() << where << ": torn blob";
    }
    const auto slot = (*updater)->slots().slot("detector");
    const bool lost = told.committed && (!slot.committed || index_of(slot.committed->manifest) < *told.committed);
    bool forgot = false;
    for (const auto& id : told.commands) forgot = forgot || (*updater)->outcome(id) == nullptr;
    counts.lost += lost || forgot ? 1 : 0;
    EXPECT_FALSE(lost) << where << ": a reported commit is gone";
    EXPECT_FALSE(forgot) << where << ": a reported command would be done again";
  }

  void check_end(base::FaultyStorage& storage, Counts& counts, const std::string& where) {
    auto store = BlobStore::open(storage).value();
    SimGates gates(world, store);
    const auto updater = Updater::open(storage, store, gates, clock, sim_options(world)).value();
    const auto slot = updater.slots().slot("detector");
    const auto good = slot.active && slot.active->manifest == manifests[4] && slot.committed == slot.active &&
                      slot.previous.size() == kPinnedPrevious && slot.previous[0].manifest == manifests[3] &&
                      slot.previous[1].manifest == manifests[1];
    const auto* bad = updater.outcome(std::string("cmd-") + kBad);
    // 3 manifests, 3 models, 3 golden outputs, 1 golden input; the first version and the bad one are collected.
    const auto blobs = store.list().value().size();
    const bool whole = good && bad != nullptr && !bad->committed && bad->model_failed && blobs == 10;
    counts.unfinished += whole ? 0 : 1;
    EXPECT_TRUE(whole) << where << ": blobs " << blobs << " good " << good;
  }
};

TEST(PowerCutTest, at_every_operation_no_brick_no_torn_model_no_lost_commit) {
  Lab lab;
  Counts counts;
  const auto seeds = testing_support::tries<std::uint64_t>({.test = 2, .quick = 2, .ci = 4, .full = 20});
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    base::FaultyStorage fresh(seed * 0x9E3779B97F4A7C15ULL);
    if (seed % 2 == 0) fresh.reorder_directory_changes();
    base::FaultyStorage whole = fresh;
    Lab::Told all;
    ASSERT_TRUE(lab.run(whole, all));
    for (std::uint64_t cut = 0; cut < whole.operation_count(); ++cut) {
      const auto where = "seed " + std::to_string(seed) + " cut " + std::to_string(cut);
      base::FaultyStorage storage = fresh;
      storage.reseed(seed * 1'000'003 + cut);
      storage.cut_at(cut);
      Lab::Told told;
      ASSERT_FALSE(lab.run(storage, told)) << where;
      storage.power_cut();
      ++counts.points;
      lab.check(storage, told, counts, where);
      ASSERT_TRUE(lab.run(storage, told)) << where << ": does not finish";
      lab.check_end(storage, counts, where);
      if (HasFailure()) break;
    }
  }
  EXPECT_GT(counts.points, 500U);
  figure("power_cut_points", counts.points);
  figure("power_cut_bricks", counts.bricks);
  figure("power_cut_torn_models", counts.torn);
  figure("power_cut_lost_states", counts.lost);
  figure("power_cut_unfinished", counts.unfinished);
}

TEST(PowerCutTest, random_double_cuts) {
  Lab lab;
  Counts counts;
  const auto pairs = testing_support::tries<std::uint64_t>({.test = 500, .quick = 2'000, .ci = 10'000, .full = 50'000});
  std::uint64_t both = 0;
  for (int reorder = 0; reorder < 2; ++reorder) {
    // From the second version on: rollback of the third, then commits with garbage collection.
    base::FaultyStorage prepared(77);
    if (reorder == 1) prepared.reorder_directory_changes();
    {
      Lab::Told told;
      base::FaultyStorage scout = prepared;
      std::uint64_t second = 0;
      for (std::uint64_t cut = 50; told.committed != 1U; cut += 5, second = cut) {
        scout = prepared;
        told = {};
        scout.cut_at(cut);
        (void)lab.run(scout, told);
      }
      prepared.cut_at(second);
      told = {};
      (void)lab.run(prepared, told);
      prepared.power_cut();
    }
    Lab::Told before;
    before.committed = 1;
    base::FaultyStorage whole = prepared;
    Lab::Told all = before;
    ASSERT_TRUE(lab.run(whole, all, 2));
    const auto first = prepared.operation_count();
    const auto length = whole.operation_count() - first;
    std::uint64_t random = 0x2545F4914F6CDD1DULL;
    for (std::uint64_t i = 0; i < pairs / 2; ++i) {
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      const auto cut_one = first + (random >> 33U) % length;
      const auto where = "reorder " + std::to_string(reorder) + " pair " + std::to_string(i);
      base::FaultyStorage storage = prepared;
      storage.reseed(random);
      storage.cut_at(cut_one);
      Lab::Told told = before;
      (void)lab.run(storage, told, 2);
      storage.power_cut();
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      // Half of the second cuts fall into the first operations after the restart: the recovery itself.
      const auto span = random % 2 == 0 ? 30U : length;
      storage.cut_at(storage.operation_count() + (random >> 33U) % span);
      const bool ended = lab.run(storage, told, 2);
      both += ended ? 0 : 1;
      storage.power_cut();
      ++counts.points;
      lab.check(storage, told, counts, where);
      ASSERT_TRUE(lab.run(storage, told, 2)) << where << ": does not finish";
      lab.check_end(storage, counts, where);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(both, pairs / 3) << "most second cuts must strike";
  figure("double_cuts", counts.points);
  figure("double_cut_bricks", counts.bricks);
  figure("double_cut_torn_models", counts.torn);
  figure("double_cut_lost_states", counts.lost);
  figure("double_cut_unfinished", counts.unfinished);
}

TEST(PowerCutTest, a_full_or_failing_disk_at_every_operation_keeps_the_old_model) {
  Lab lab;
  std::uint64_t points = 0;
  for (const int error : {ENOSPC, EIO, EROFS}) {
    base::FaultyStorage whole(5);
    Lab::Told all;
    ASSERT_TRUE(lab.run(whole, all));
    const std::uint64_t stride = run_in_full() ? 1 : 7;
    for (std::uint64_t at = 0; at < whole.operation_count(); at += stride, ++points) {
      base::FaultyStorage storage(5);
      storage.fail_once_at(at, error);
      Lab::Told told;
      Counts counts;
      (void)lab.run(storage, told);
      lab.check(storage, told, counts, "errno " + std::to_string(error) + " at " + std::to_string(at));
      if (HasFailure()) return;
    }
  }
  figure("disk_error_points", points);
}

}  // namespace
}  // namespace wayside::ota
