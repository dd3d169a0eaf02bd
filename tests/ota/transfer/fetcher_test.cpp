// SPDX-License-Identifier: Apache-2.0
// Fetcher and server over a simulated link: routes, budgets, losses, cuts at every storage operation, sites.
#include "ota/transfer/fetcher.h"

#include <gtest/gtest.h>

#include "tests/ota/transfer/simulated_link.h"

namespace wayside::ota {
namespace {

using namespace std::chrono_literals;
using test::digest;
using test::SimulatedDevice;
using test::SimulatedSite;

class FetcherTest : public testing::Test {
 protected:
  FetcherTest() {
    EXPECT_TRUE(repository_.publish(SpanSource(old_)));
    EXPECT_TRUE(repository_.publish(SpanSource(fresh_)));
    site_.servers = {&server_};
  }
  void install_old(SimulatedDevice& device) { ASSERT_TRUE(device.store->put(old_)); }
  FetchGoal goal() const { return {.target = digest(fresh_), .target_bytes = fresh_.size(), .bases = {digest(old_)}}; }
  void expect_complete(SimulatedDevice& device, const Bytes& wanted) {
    ASSERT_EQ(device.fetcher->state(), FetchState::done) << device.fetcher->failure_text();
    EXPECT_TRUE(device.store->read(digest(wanted), wanted.size()).value() == wanted);
    EXPECT_TRUE(device.storage->list("staging").value().empty());
    EXPECT_TRUE(device.storage->list("transfer").value().empty()) << "nothing is left behind";
  }
  /// Fetches from a fresh device that may have the old version; returns the progress.
  FetchProgress fetch(FetchGoal goal, bool has_old) {
    storage_ = std::make_unique<base::FaultyStorage>(1);
    SimulatedDevice& device = site_.add_device(*storage_);
    if (has_old) install_old(device);
    device.connect(site_.now);
    device.fetcher->start(std::move(goal), site_.now);
    EXPECT_TRUE(site_.run(600s));
    return device.fetcher->progress();
  }

  const Bytes old_ = test::make_weights(600'000, 1);
  const Bytes fresh_ = test::redraw_regions(old_, 0.2, 1, 2);
  base::FaultyStorage server_storage_{99};
  Repository repository_{server_storage_};
  BlobServer server_{repository_, {}};
  SimulatedSite site_;
  std::unique_ptr<base::FaultyStorage> storage_;
};

TEST_F(FetcherTest, nothing_waits_for_a_timeout_where_nothing_was_lost) {
  storage_ = std::make_unique<base::FaultyStorage>(1);
  SimulatedDevice& device = site_.add_device(*storage_);
  device.connect(site_.now);
  device.fetcher->start(goal(), site_.now);
  EXPECT_TRUE(
      site_.run(device.options.reply_timeout / 2, [&] { return device.fetcher->state() == FetchState::fetching; }) ||
      device.fetcher->state() == FetchState::fetching)
      << "offer and index are asked for one after the other, at once";
}

TEST_F(FetcherTest, a_full_download_costs_what_was_stated) {
  const FetchProgress progress = fetch(goal(), false);
  expect_complete(*site_.devices[0], fresh_);
  EXPECT_EQ(progress.route, RouteKind::full);
  EXPECT_EQ(progress.spent_bytes, progress.planned_bytes);
  EXPECT_LE(static_cast<double>(site_.devices[0]->wire_bytes()), 1.02 * static_cast<double>(progress.planned_bytes));
}

TEST_F(FetcherTest, nothing_waits_for_a_time_out) {
  const auto start = site_.now;
  fetch(goal(), false);
  expect_complete(*site_.devices[0], fresh_);
  EXPECT_LT(site_.now - start, FetcherOptions{}.reply_timeout) << "600 kB at 2 Mbit/s take 2 s";
}

TEST_F(FetcherTest, only_missing_chunks_are_fetched) {
  const FetchProgress progress = fetch(goal(), true);
  expect_complete(*site_.devices[0], fresh_);
  EXPECT_EQ(progress.route, RouteKind::chunks);
  EXPECT_EQ(progress.spent_bytes, progress.planned_bytes);
  EXPECT_LT(progress.planned_bytes, 600'000 * 0.8 * 0.35);
}

TEST_F(FetcherTest, deltas_are_taken_where_they_are_cheaper) {
  ASSERT_TRUE(repository_.publish_deltas(old_, fresh_));
  const FetchProgress patch = fetch(goal(), true);
  expect_complete(*site_.devices[0], fresh_);
  EXPECT_EQ(patch.route, RouteKind::patch);
  EXPECT_LT(patch.planned_bytes, 600'000 * 0.2 * 0.83);

  const Bytes nudged = test::nudge(old_, 0.3, 3);
  ASSERT_TRUE(repository_.publish_deltas(old_, nudged));
  site_.devices.clear();
  const FetchProgress subtract =
      fetch({.target = digest(nudged), .target_bytes = nudged.size(), .bases = {digest(old_)}}, true);
  expect_complete(*site_.devices[0], nudged);
  EXPECT_EQ(subtract.route, RouteKind::subtract);
  EXPECT_EQ(subtract.spent_bytes, subtract.planned_bytes);
  EXPECT_LT(subtract.planned_bytes, 600'000 * 0.8 * 0.2);
}

TEST_F(FetcherTest, the_same_version_costs_nothing) {
  (void)fetch({.target = digest(old_), .target_bytes = old_.size(), .bases = {digest(old_)}}, true);
  EXPECT_EQ(site_.devices[0]->fetcher->state(), FetchState::done);
  EXPECT_EQ(site_.devices[0]->wire_bytes(), 0U);
}

TEST_F(FetcherTest, an_empty_and_a_repetitive_file) {
  const Bytes empty;
  const Bytes zeros(500'000);
  ASSERT_TRUE(repository_.publish(SpanSource(empty)));
  ASSERT_TRUE(repository_.publish(SpanSource(zeros)));
  (void)fetch({.target = digest(empty), .target_bytes = 0}, false);
  expect_complete(*site_.devices[0], empty);
  site_.devices.clear();
  const FetchProgress progress = fetch({.target = digest(zeros), .target_bytes = zeros.size()}, false);
  expect_complete(*site_.devices[0], zeros);
  EXPECT_EQ(progress.spent_bytes, progress.planned_bytes);
  EXPECT_LT(progress.spent_bytes, 2000U) << "equal chunks travel once";
}

TEST_F(FetcherTest, a_dearer_route_is_refused_before_the_first_chunk) {
  FetchGoal limited = goal();
  const auto offer = repository_.offer(limited.target, limited.bases).value();
  limited.max_bytes = cheapest(offer)->price_bytes() - 1;
  (void)fetch(limited, true);
  EXPECT_EQ(site_.devices[0]->fetcher->failure(), FetchFailure::over_budget);
  EXPECT_LT(site_.devices[0]->wire_bytes(), 1000U);
  site_.devices.clear();
  ++limited.max_bytes;
  (void)fetch(limited, true);
  expect_complete(*site_.devices[0], fresh_);
}

TEST_F(FetcherTest, repeats_count_towards_the_budget) {
  FetchGoal limited = goal();
  limited.max_bytes = cheapest(repository_.offer(limited.target, {}).value())->price_bytes() + 30'000;
  int pieces = 0;
  site_.tamper = [&](base::mqtt::Message& message) {
    // Damages every third large message: it arrives, is paid for, and is of no use.
    if (message.payload.size() > 2000 && ++pieces % 3 == 0) message.payload[1000] ^= 1;
    return true;
  };
  const FetchProgress progress = fetch(limited, false);
  EXPECT_EQ(site_.devices[0]->fetcher->failure(), FetchFailure::over_budget);
  EXPECT_LE(progress.spent_bytes, limited.max_bytes);
  EXPECT_GT(progress.bad_pieces, 0U);
}

TEST_F(FetcherTest, free_space_is_checked_before_the_first_byte) {
  storage_ = std::make_unique<base::FaultyStorage>(1);
  SimulatedDevice& device = site_.add_device(*storage_);
  storage_->set_capacity(kReserveBytes + fresh_.size() - 1);
  device.connect(site_.now);
  device.fetcher->start(goal(), site_.now);
  EXPECT_TRUE(site_.run(600s));
  EXPECT_EQ(device.fetcher->failure(), FetchFailure::no_space);
  EXPECT_EQ(device.wire_bytes(), 0U);
}

TEST_F(FetcherTest, what_nobody_has_times_out_and_can_be_started_again) {
  FetchGoal unknown = goal();
  unknown.target = digest(bytes_of("something else"));
  unknown.give_up_after = 500s;
  (void)fetch(unknown, true);
  const Fetcher& fetcher = *site_.devices[0]->fetcher;
  EXPECT_EQ(fetcher.failure(), FetchFailure::timed_out);
  EXPECT_NE(fetcher.failure_text().find("not published"), std::string::npos) << fetcher.failure_text();
  EXPECT_LT(site_.devices[0]->wire_bytes(), 10'000U) << "asked with growing distance";
}

TEST_F(FetcherTest, losses_repeats_and_damages_do_not_matter) {
  test::SeededRandom random(5);
  site_.tamper = [&](base::mqtt::Message& message) {
    if (random.below(10) == 0) return false;
    if (random.below(10) == 0 && !message.payload.empty()) {
      message.payload[random.below(message.payload.size())] ^= static_cast<char>(1U << random.below(8));
    }
    return true;
  };
  const FetchProgress progress = fetch(goal(), false);
  expect_complete(*site_.devices[0], fresh_);
  EXPECT_GT(progress.bad_pieces, 0U);
}

TEST_F(FetcherTest, cuts_cost_at_most_what_was_under_way) {
  storage_ = std::make_unique<base::FaultyStorage>(1);
  SimulatedDevice& device = site_.add_device(*storage_);
  device.connect(site_.now);
  device.fetcher->start(goal(), site_.now);
  test::SeededRandom random(6);
  for (int cut = 0; cut < 10; ++cut) {
    (void)site_.run(std::chrono::milliseconds(50 + random.below(200)));
    device.cut(site_.now);
    if (cut % 2 == 1) {  // the process dies too
      device.boot();
      device.fetcher->start(goal(), site_.now);
    }
    site_.now += 5s;
    device.connect(site_.now);
  }
  EXPECT_TRUE(site_.run(600s));
  expect_complete(device, fresh_);
}

/// Power cuts at every storage operation of a small fetch, each followed by a restart: it completes, and what was
/// synced is not fetched again.
TEST_F(FetcherTest, power_cut_at_every_storage_operation) {
  const Bytes small = test::make_weights(90'000, 8);
  ASSERT_TRUE(repository_.publish(SpanSource(small)));
  const FetchGoal wanted{.target = digest(small), .target_bytes = small.size()};
  std::uint64_t operations = 0;
  {
    (void)fetch(wanted, false);
    operations = storage_->operation_count();
    site_.devices.clear();
  }
  ASSERT_GT(operations, 20U);
  for (std::uint64_t at = 0; at < operations; ++at) {
    SCOPED_TRACE(at);
    site_.devices.clear();
    base::FaultyStorage storage(at + 1);
    ASSERT_TRUE(BlobStore::open(storage));
    storage.cut_at(storage.operation_count() + at);
    auto device = std::make_unique<SimulatedDevice>();
    device->options.device = "gate-1";
    device->storage = &storage;
    auto opened = BlobStore::open(storage);
    if (opened) {
      device->store = std::make_unique<BlobStore>(std::move(*opened));
      device->fetcher = std::make_unique<Fetcher>(storage, *device->store, device->options);
      site_.devices.push_back(std::move(device));
      SimulatedDevice& first = *site_.devices[0];
      first.connect(site_.now);
      first.fetcher->start(wanted, site_.now);
      (void)site_.run(600s);
      first.cut(site_.now);
    }
    const std::uint32_t before = site_.devices.empty() ? 0 : site_.devices[0]->fetcher->progress().chunks_done;
    site_.devices.clear();
    storage.power_cut();
    SimulatedDevice& second = site_.add_device(storage);
    second.connect(site_.now);
    second.fetcher->start(wanted, site_.now);
    EXPECT_TRUE(site_.run(600s));
    ASSERT_EQ(second.fetcher->state(), FetchState::done) << second.fetcher->failure_text();
    EXPECT_TRUE(second.store->read(wanted.target, small.size()).value() == small);
    const FetchProgress& progress = second.fetcher->progress();
    if (progress.chunks_total > 0) {
      EXPECT_GE(progress.chunks_resumed + 1, before) << "at most the chunk that was being written is lost";
    }
  }
}

TEST_F(FetcherTest, a_flipped_bit_in_the_staging_file_is_noticed) {
  storage_ = std::make_unique<base::FaultyStorage>(1);
  SimulatedDevice& device = site_.add_device(*storage_);
  device.connect(site_.now);
  device.fetcher->start(goal(), site_.now);
  (void)site_.run(60s, [&] { return device.fetcher->progress().chunks_done >= 10; });
  const auto staged = BlobStore::staging_path(digest(fresh_));
  Bytes byte(1);
  ASSERT_TRUE(storage_->read_at(staged, 20'000, byte));
  byte[0] ^= std::byte{4};
  ASSERT_TRUE(storage_->write_at(staged, 20'000, byte));
  device.cut(site_.now);
  device.boot();
  device.connect(site_.now);
  device.fetcher->start(goal(), site_.now);
  EXPECT_TRUE(site_.run(600s));
  EXPECT_EQ(device.fetcher->progress().chunks_resumed, 9U);
  expect_complete(device, fresh_);
}

TEST_F(FetcherTest, one_publication_serves_a_site) {
  constexpr std::size_t kDevices = 8;
  std::vector<std::unique_ptr<base::FaultyStorage>> storages;
  FetchGoal wanted = goal();
  wanted.site = "plant-7";
  BlobServer second_server(repository_, {});
  site_.servers = {&server_, &second_server};
  for (std::size_t i = 0; i < kDevices; ++i) {
    storages.push_back(std::make_unique<base::FaultyStorage>(i));
    SimulatedDevice& device = site_.add_device(*storages.back(), "gate-" + std::to_string(i));
    device.connect(site_.now);
    device.fetcher->start(wanted, site_.now);
  }
  EXPECT_TRUE(site_.run(600s));
  for (const auto& device : site_.devices) expect_complete(*device, fresh_);
  const double published =
      static_cast<double>(server_.counters().payload_bytes + second_server.counters().payload_bytes);
  const double once = static_cast<double>(cheapest(repository_.offer(wanted.target, {}).value())->price_bytes());
  EXPECT_LT(published, 2.0 * once) << kDevices << " devices, each by itself, would be " << kDevices;
}

TEST_F(FetcherTest, servers_are_interchangeable_and_one_may_vanish) {
  BlobServer second_server(repository_, {});
  site_.servers = {&server_, &second_server};
  storage_ = std::make_unique<base::FaultyStorage>(1);
  SimulatedDevice& device = site_.add_device(*storage_);
  device.connect(site_.now);
  device.fetcher->start(goal(), site_.now);
  (void)site_.run(60s, [&] { return device.fetcher->progress().chunks_done >= 10; });
  EXPECT_GT(second_server.counters().messages, 0U);
  site_.servers = {&second_server};
  EXPECT_TRUE(site_.run(600s));
  expect_complete(device, fresh_);
}

TEST_F(FetcherTest, a_lying_server_cannot_make_a_wrong_file) {
  // The repository offers, under the wanted name, another file's chunks and index.
  const Bytes evil = test::make_weights(fresh_.size(), 66);
  ASSERT_TRUE(repository_.publish(SpanSource(evil)));
  const Bytes index = server_storage_.read("index/" + digest(evil).hex(), kMaxIndexBytes).value();
  const Bytes wire = server_storage_.read("wire/" + digest(evil).hex(), kMaxFileBytes).value();
  ChunkIndex lie = ChunkIndex::parse(index).value();
  lie.file_hash = digest(fresh_);
  ASSERT_TRUE(server_storage_.write("index/" + digest(fresh_).hex(), lie.serialize()));
  ASSERT_TRUE(server_storage_.write("wire/" + digest(fresh_).hex(), wire));
  Repository lying(server_storage_);
  BlobServer liar(lying, {});
  site_.servers = {&liar};
  (void)fetch(goal(), false);
  EXPECT_EQ(site_.devices[0]->fetcher->failure(), FetchFailure::corrupt);
  EXPECT_FALSE(site_.devices[0]->store->has(digest(fresh_)));
  EXPECT_TRUE(storage_->list("staging").value().empty());
}

TEST_F(FetcherTest, a_plan_that_the_servers_forgot_is_made_anew) {
  ASSERT_TRUE(repository_.publish_deltas(old_, fresh_));
  storage_ = std::make_unique<base::FaultyStorage>(1);
  SimulatedDevice& device = site_.add_device(*storage_);
  install_old(device);
  device.connect(site_.now);
  device.fetcher->start(goal(), site_.now);
  (void)site_.run(60s, [&] { return device.fetcher->progress().chunks_done >= 2; });
  ASSERT_EQ(device.fetcher->progress().route, RouteKind::patch);
  // The operator makes a new folder without the deltas; the device restarts with its old plan.
  base::FaultyStorage other_storage(98);
  Repository other(other_storage);
  ASSERT_TRUE(other.publish(SpanSource(fresh_)));
  BlobServer other_server(other, {});
  site_.servers = {&other_server};
  device.cut(site_.now);
  device.boot();
  device.connect(site_.now);
  device.fetcher->start(goal(), site_.now);
  EXPECT_TRUE(site_.run(3000s));
  expect_complete(device, fresh_);
  EXPECT_EQ(device.fetcher->progress().route, RouteKind::full);
}

/// Every call in every state: nothing breaks, and the file arrives in the end.
TEST_F(FetcherTest, every_call_is_legal_in_every_state) {
  ASSERT_TRUE(repository_.publish_deltas(old_, fresh_));
  const std::vector<std::function<void(SimulatedDevice&)>> calls = {
      [&](SimulatedDevice& device) { device.fetcher->start(goal(), site_.now); },
      [&](SimulatedDevice& device) { device.fetcher->cancel(); },
      [&](SimulatedDevice& device) { device.fetcher->on_connected(0, site_.now); },
      [&](SimulatedDevice& device) { device.fetcher->on_lost(); },
      [&](SimulatedDevice& device) { device.fetcher->work(site_.now); },
      [&](SimulatedDevice& device) {
        for (const Reply& reply : {Reply(Offer{.target = digest(fresh_), .target_bytes = 1}), Reply(BlobRefusal{}),
                                   Reply(Piece{.tag = tag_of(digest(fresh_)), .number = 3, .data = Bytes(9)})}) {
          device.fetcher->on_message(
              {.topic = "te/device/gate-1///blob/data", .payload = std::string(text_of(serialize(reply)))}, site_.now);
        }
      }};
  for (const FetchState state : {FetchState::idle, FetchState::asking, FetchState::indexing, FetchState::preparing,
                                 FetchState::fetching, FetchState::assembling, FetchState::done, FetchState::failed}) {
    for (std::size_t call = 0; call < calls.size(); ++call) {
      SCOPED_TRACE(std::string(to_string(state)) + " call " + std::to_string(call));
      site_.devices.clear();
      base::FaultyStorage storage(1);
      SimulatedDevice& device = site_.add_device(storage);
      install_old(device);
      device.connect(site_.now);
      if (state == FetchState::failed) {
        FetchGoal poor = goal();
        poor.max_bytes = 1;
        device.fetcher->start(poor, site_.now);
      } else if (state != FetchState::idle) {
        device.fetcher->start(goal(), site_.now);
      }
      (void)site_.run(600s, [&] { return device.fetcher->state() == state; });
      ASSERT_EQ(device.fetcher->state(), state);
      calls[call](device);
      device.fetcher->start(goal(), site_.now);
      device.connect(site_.now);
      EXPECT_TRUE(site_.run(600s));
      expect_complete(device, fresh_);
    }
  }
}

TEST_F(FetcherTest, a_foreign_reply_topic_is_refused) {
  const OfferRequest request{.target = digest(fresh_)};
  server_.on_message({.topic = "te/device/gate-1///blob/get",
                      .payload = std::string(text_of(serialize(Request(request)))),
                      .response_topic = "te/device/gate-2///blob/data"},
                     site_.now);
  EXPECT_FALSE(server_.next(site_.now));
  EXPECT_EQ(server_.counters().refused, 1U);
}

}  // namespace
}  // namespace wayside::ota
