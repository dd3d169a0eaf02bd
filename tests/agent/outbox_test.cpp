// SPDX-License-Identifier: Apache-2.0
// Outbox: order, bounds, restart, torn segments, power cuts, failing disks.
#include "agent/outbox.h"

#include <gtest/gtest.h>

#include <format>
#include <random>
#include <set>
#include <string>

namespace wayside::agent {
namespace {

using std::chrono::seconds;

class OutboxTest : public testing::Test {
 protected:
  OutboxRecord record(std::uint64_t sequence, std::size_t payload_bytes = 100) {
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.wall_now().time_since_epoch());
    return {.sequence = sequence,
            .wall_ms = now.count(),
            .topic = "te/device/a///e/detection",
            .payload = std::string(payload_bytes, 'x')};
  }
  Outbox open(OutboxOptions options = {}) {
    auto outbox = Outbox::open(storage_, options, clock_);
    EXPECT_TRUE(outbox) << outbox.error().message;
    return std::move(*outbox);
  }
  static std::vector<std::uint64_t> drain(Outbox& outbox) {
    std::vector<std::uint64_t> sequences;
    while (const auto taken = outbox.take()) {
      sequences.push_back(taken->sequence);
      outbox.acked(taken->sequence);
    }
    return sequences;
  }
  static std::vector<std::uint64_t> range(std::uint64_t first, std::uint64_t last) {
    std::vector<std::uint64_t> numbers;
    for (auto number = first; number <= last; ++number) numbers.push_back(number);
    return numbers;
  }

  base::FaultyStorage storage_{7};
  base::ManualClock clock_;
};

TEST_F(OutboxTest, WhileTheBrokerKeepsUpNothingIsWritten) {
  auto outbox = open();
  const auto before = storage_.operation_count();
  for (std::uint64_t sequence = 1; sequence <= 500; ++sequence) {
    outbox.push(record(sequence));
    const auto taken = outbox.take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->sequence, sequence);
    outbox.acked(sequence);
  }
  EXPECT_EQ(storage_.operation_count(), before);
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0U);
}

TEST_F(OutboxTest, KeepsOrderOverDiskAndMemory) {
  auto outbox = open();
  for (std::uint64_t sequence = 1; sequence <= 3000; ++sequence) outbox.push(record(sequence));  // some 450 kB
  EXPECT_GT(storage_.list("")->size(), 3U);
  EXPECT_EQ(drain(outbox), range(1, 3000));
  EXPECT_TRUE(outbox.empty());
  EXPECT_TRUE(storage_.list("")->empty());
  EXPECT_EQ(outbox.dropped(), 0U);
}

TEST_F(OutboxTest, GivenBackRecordsKeepTheirPlace) {
  auto outbox = open();
  for (std::uint64_t sequence = 1; sequence <= 5; ++sequence) outbox.push(record(sequence));
  for (int index = 0; index < 3; ++index) ASSERT_TRUE(outbox.take());
  outbox.give_back(2);
  outbox.acked(1);
  outbox.give_back(3);
  EXPECT_EQ(drain(outbox), range(2, 5));
}

TEST_F(OutboxTest, ARestartFindsWhatWasSpilled) {
  {
    auto outbox = open();
    for (std::uint64_t sequence = 1; sequence <= 20; ++sequence) outbox.push(record(sequence));
    ASSERT_TRUE(outbox.take());  // 1 is being sent when the broker goes away: it must survive too
    EXPECT_FALSE(outbox.spill_due());
    clock_.advance(Outbox::kSpillAfter);
    EXPECT_TRUE(outbox.spill_due());
    ASSERT_TRUE(outbox.spill());
    EXPECT_FALSE(outbox.spill_due());
  }
  auto outbox = open();
  EXPECT_EQ(outbox.last_sequence(), 20U);
  EXPECT_EQ(drain(outbox), range(1, 20));
  EXPECT_TRUE(storage_.list("")->empty());
}

TEST_F(OutboxTest, SpillingWhatIsBeingSentDoesNotSendItTwice) {
  auto outbox = open();
  for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) outbox.push(record(sequence));
  ASSERT_TRUE(outbox.take());
  ASSERT_TRUE(outbox.take());
  ASSERT_TRUE(outbox.spill());
  outbox.push(record(5));
  outbox.acked(1);
  outbox.give_back(2);
  EXPECT_EQ(drain(outbox), range(2, 5));
  EXPECT_TRUE(outbox.empty());
  EXPECT_TRUE(storage_.list("")->empty());
}

TEST_F(OutboxTest, TheOldestIsDroppedAndCountedAtTheBound) {
  auto outbox = open({.max_bytes = 256 * 1024});
  for (std::uint64_t sequence = 1; sequence <= 5000; ++sequence) outbox.push(record(sequence));
  ASSERT_TRUE(outbox.spill());
  EXPECT_LE(outbox.bytes(), 256U * 1024);
  const auto kept = drain(outbox);
  ASSERT_FALSE(kept.empty());
  EXPECT_EQ(kept.back(), 5000U);
  EXPECT_EQ(kept, range(kept.front(), 5000));
  EXPECT_EQ(outbox.dropped() + kept.size(), 5000U);
}

TEST_F(OutboxTest, TooOldEventsAreDroppedAndCounted) {
  auto outbox = open({.max_age = seconds(60)});
  outbox.push(record(1));
  clock_.advance(seconds(61));
  outbox.push(record(2));
  EXPECT_EQ(drain(outbox), range(2, 2));
  EXPECT_EQ(outbox.dropped(), 1U);
}

TEST_F(OutboxTest, ATornSegmentLosesOnlyItsTail) {
  {
    auto outbox = open();
    for (std::uint64_t sequence = 1; sequence <= 10; ++sequence) outbox.push(record(sequence));
    ASSERT_TRUE(outbox.spill());
  }
  const auto name = storage_.list("")->at(0);
  auto bytes = *storage_.read(name, 1 << 20);
  bytes.resize(bytes.size() - 30);
  ASSERT_TRUE(storage_.write(name, bytes));
  auto outbox = open();
  outbox.push(record(11));
  auto expected = range(1, 9);
  expected.push_back(11);
  EXPECT_EQ(drain(outbox), expected);
  EXPECT_EQ(outbox.torn_segments(), 1U);
  EXPECT_TRUE(outbox.empty());
}

TEST_F(OutboxTest, ForeignFilesAreLeftAlone) {
  const std::string_view text = "hello";
  ASSERT_TRUE(storage_.write("README", std::as_bytes(std::span(text))));
  auto outbox = open();
  EXPECT_EQ(drain(outbox), range(1, 0));
  EXPECT_EQ(storage_.list("")->size(), 1U);
}

TEST_F(OutboxTest, AFailingDiskCostsOnlyTheOldestInMemory) {
  auto outbox = open();
  storage_.cut_at(storage_.operation_count());
  for (std::uint64_t sequence = 1; sequence <= 2000; ++sequence) outbox.push(record(sequence));
  EXPECT_LE(outbox.bytes(), Outbox::kMemoryBytes);
  const auto kept = drain(outbox);
  EXPECT_EQ(kept, range(2000 - kept.size() + 1, 2000));
  EXPECT_EQ(outbox.dropped() + kept.size(), 2000U);
}

TEST_F(OutboxTest, AnOversizedEventIsCountedNotStored) {
  auto outbox = open();
  outbox.push(record(1, kMaxRecordBytes));
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.dropped(), 1U);
}

/// Cuts the power at each storage operation in turn: what spill() reported as written must be found afterwards.
TEST_F(OutboxTest, NothingThatWasSpilledIsLostByAPowerCut) {
  for (std::uint64_t cut = 0; cut < 60; ++cut) {
    base::FaultyStorage storage(cut * 31 + 1);
    std::set<std::uint64_t> safe;
    std::set<std::uint64_t> received;
    storage.cut_at(cut);
    if (auto outbox = Outbox::open(storage, {}, clock_)) {
      std::uint64_t sequence = 0;
      for (int round = 0; round < 8; ++round) {
        for (int index = 0; index < 5; ++index) outbox->push(record(++sequence, 9000));
        if (round % 3 == 2) {
          if (const auto taken = outbox->take()) {
            received.insert(taken->sequence);
            outbox->acked(taken->sequence);
          }
        }
        if (!outbox->spill()) break;
        for (auto number = safe.size() + 1; number <= sequence; ++number) safe.insert(number);
      }
    }
    storage.power_cut();
    storage.cut_at(~std::uint64_t{0});
    auto outbox = Outbox::open(storage, {}, clock_);
    ASSERT_TRUE(outbox) << outbox.error().message;
    for (const auto number : drain(*outbox)) received.insert(number);
    for (const auto number : safe) EXPECT_TRUE(received.contains(number)) << number << " lost, cut at " << cut;
  }
}

/// Random pushes, sends, losses and spills: order within a connection, nothing lost, nothing twice.
TEST_F(OutboxTest, RandomUseLosesAndRepeatsNothing) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    base::FaultyStorage storage(seed);
    auto outbox = Outbox::open(storage, {}, clock_);
    ASSERT_TRUE(outbox);
    std::mt19937 random(seed);
    std::uint64_t sequence = 0;
    std::set<std::uint64_t> sending;
    std::multiset<std::uint64_t> delivered;
    for (int step = 0; step < 2000; ++step) {
      switch (random() % 6) {
        case 0:
        case 1: outbox->push(record(++sequence, 1 + random() % 3000)); break;
        case 2:
          if (sending.size() < 16) {
            if (const auto taken = outbox->take()) sending.insert(taken->sequence);
          }
          break;
        case 3:
          if (!sending.empty()) {
            delivered.insert(*sending.begin());
            outbox->acked(*sending.begin());
            sending.erase(sending.begin());
          }
          break;
        case 4:
          if (random() % 20 == 0) {
            for (const auto number : sending) outbox->give_back(number);
            sending.clear();
          }
          break;
        case 5:
          if (random() % 10 == 0) {
            ASSERT_TRUE(outbox->spill());
          }
          break;
        default: break;
      }
    }
    for (const auto number : sending) outbox->give_back(number);
    for (const auto number : drain(*outbox)) delivered.insert(number);
    EXPECT_EQ(std::vector<std::uint64_t>(delivered.begin(), delivered.end()), range(1, sequence)) << "seed " << seed;
    EXPECT_TRUE(outbox->empty()) << "seed " << seed;
    EXPECT_EQ(outbox->bytes(), 0U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace wayside::agent
