// SPDX-License-Identifier: Apache-2.0
// Outbox: events in order until the broker has acknowledged them; in memory while it answers, on disk while it does
// not.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/outbox_record.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/storage.h"

namespace wayside::agent {

struct OutboxOptions {
  std::size_t max_bytes = 16 * 1024 * 1024;  ///< of all segment files
  std::chrono::seconds max_age{604800};
};

/// Life of a record: push -> take (being sent) -> acked (gone) or give_back (sent again, in its old place).
/// Order is by sequence. Delivery is at least once: after a crash, what was sent but not yet acknowledged on disk is
/// sent again; receivers tell duplicates by the sequence number.
///
/// To spare flash, nothing is written while the broker keeps up. spill() writes what waits to segment files and syncs
/// them; the owner calls it when the broker is away (at latest kSpillAfter after the oldest waiting event, so that a
/// power cut costs at most that much), and push() does when kMemoryBytes wait. One segment file is at most
/// kSegmentBytes; the ring of segments is bounded by max_bytes: the oldest segment goes and its events are counted as
/// dropped.
///
/// A segment file "<first sequence, 20 digits>.seg" is a row of records (outbox_record.h). A torn or damaged record
/// ends its segment: what follows in that file is left out and counted. One owner thread.
class Outbox {
 public:
  static constexpr std::size_t kSegmentBytes = 64 * 1024;
  static constexpr std::size_t kMemoryBytes = 64 * 1024;
  static constexpr std::chrono::seconds kSpillAfter{1};

  /// Finds the segments of earlier runs. `storage` is the outbox's own directory.
  static base::Result<Outbox> open(base::Storage& storage, OutboxOptions options, base::Clock& clock);

  /// Takes one event. Larger than kMaxRecordBytes: counted as dropped. Never fails: when the disk does, memory holds up
  /// to kMemoryBytes and then drops the oldest.
  void push(OutboxRecord record);
  /// The oldest record that is neither being sent nor too old; it now counts as being sent.
  std::optional<OutboxRecord> take();
  void acked(std::uint64_t sequence);
  /// The record was not delivered: it will be taken again, before younger ones.
  void give_back(std::uint64_t sequence);
  /// Writes everything that is only in memory, what is being sent included, to disk. Errors: the storage's; nothing is
  /// lost by them.
  base::Result<void> spill();

  /// True when the oldest event that is only in memory has waited for kSpillAfter.
  [[nodiscard]] bool spill_due() const;
  [[nodiscard]] bool empty() const;         ///< nothing waits and nothing is being sent
  [[nodiscard]] std::size_t bytes() const;  ///< of all that is not yet acknowledged, memory and disk
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }  ///< too old, too large, or pushed out
  [[nodiscard]] std::uint64_t torn_segments() const { return torn_segments_; }
  [[nodiscard]] std::uint64_t last_sequence() const { return last_sequence_; }  ///< the highest ever pushed or found

 private:
  using SegmentId = std::uint64_t;  // the first sequence in it; 0: in memory only
  struct Segment {
    std::size_t bytes = 0;
    /// Records neither acknowledged nor dropped; unknown for a segment of an earlier run until it is loaded.
    std::optional<std::size_t> outstanding{};
    bool loaded = false;                ///< all of it is in waiting_ or sending_
    std::set<std::uint64_t> ignored{};  ///< not to be loaded: these were being sent when they were written
  };
  struct Held {
    OutboxRecord record;
    SegmentId segment = 0;
  };
  using HeldBySequence = std::map<std::uint64_t, Held>;

  Outbox(base::Storage& storage, OutboxOptions options, base::Clock& clock)
      : storage_(&storage), options_(options), clock_(&clock) {}
  base::Result<void> find_segments();
  base::Result<std::size_t> write_batch(std::vector<HeldBySequence::value_type*>& batch);
  base::Result<void> append_segment(SegmentId id, const std::vector<std::byte>& bytes);
  std::vector<OutboxRecord> read_segment(SegmentId id);
  void load_segment(SegmentId id);
  void forget(const Held& held);
  void settle(SegmentId id);
  void remove_segment(SegmentId id);
  void evict_oldest_segment();
  void drop_oldest_in_memory();
  void count_memory(std::size_t bytes);
  [[nodiscard]] bool too_old(const OutboxRecord& record) const;
  [[nodiscard]] SegmentId oldest_unloaded() const;

  base::Storage* storage_;
  OutboxOptions options_;
  base::Clock* clock_;
  HeldBySequence waiting_;
  HeldBySequence sending_;
  std::map<SegmentId, Segment> segments_;
  std::size_t disk_bytes_ = 0;
  std::size_t memory_only_bytes_ = 0;
  base::MonotonicTime memory_only_since_{0};
  std::uint64_t dropped_ = 0;
  std::uint64_t torn_segments_ = 0;
  std::uint64_t last_sequence_ = 0;
  SegmentId open_segment_ = 0;  // the youngest, appended to in this run; 0: none
};

}  // namespace wayside::agent
