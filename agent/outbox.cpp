// SPDX-License-Identifier: Apache-2.0
// The outbox's bookkeeping between memory and segment files.
#include "agent/outbox.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <span>

#include "base/log.h"

namespace wayside::agent {
namespace {

constexpr std::string_view kSuffix = ".seg";
/// A segment is closed before it outgrows kSegmentBytes, unless one record alone is larger.
constexpr std::size_t kMaxSegmentBytes = Outbox::kSegmentBytes + kMaxRecordBytes + 1024;

std::string segment_name(std::uint64_t id) { return std::format("{:020}{}", id, kSuffix); }

std::optional<std::uint64_t> segment_id(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  std::uint64_t id = 0;
  const auto* end = name.data() + name.size() - kSuffix.size();
  const auto [at, error] = std::from_chars(name.data(), end, id);
  if (error != std::errc{} || at != end || id == 0) return std::nullopt;
  return id;
}

}  // namespace

base::Result<Outbox> Outbox::open(base::Storage& storage, OutboxOptions options, base::Clock& clock) {
  Outbox outbox(storage, options, clock);
  WAYSIDE_CHECK(outbox.find_segments());
  return outbox;
}

base::Result<void> Outbox::find_segments() {
  WAYSIDE_CHECK(storage_->make_directory(""));
  WAYSIDE_TRY(const auto names, storage_->list(""));
  for (const auto& name : names) {
    const auto id = segment_id(name);
    if (!id) continue;  // not ours; leave it alone
    auto bytes = storage_->read(name, kMaxSegmentBytes);
    if (!bytes) {
      base::log_warn("outbox segment={} event=unreadable reason=\"{}\"", name, bytes.error().message);
      continue;
    }
    segments_[*id] = {.bytes = bytes->size()};
    disk_bytes_ += bytes->size();
    last_sequence_ = std::max(last_sequence_, *id);
    std::span<const std::byte> rest = *bytes;
    while (const auto record = take_encoded(rest)) last_sequence_ = std::max(last_sequence_, record->sequence);
  }
  return {};
}

void Outbox::push(OutboxRecord record) {
  last_sequence_ = std::max(last_sequence_, record.sequence);
  const std::size_t bytes = encoded_bytes(record);
  if (bytes > kMaxRecordBytes) {
    ++dropped_;
    return;
  }
  const auto sequence = record.sequence;
  waiting_[sequence] = {.record = std::move(record)};
  count_memory(bytes);
  if (memory_only_bytes_ <= kMemoryBytes) return;
  if (auto spilled = spill(); !spilled) {
    base::log_warn("outbox event=disk_failed reason=\"{}\"", spilled.error().message);
    while (memory_only_bytes_ > kMemoryBytes && !waiting_.empty()) drop_oldest_in_memory();
  }
}

void Outbox::count_memory(std::size_t bytes) {
  if (memory_only_bytes_ == 0) memory_only_since_ = clock_->now();
  memory_only_bytes_ += bytes;
}

std::optional<OutboxRecord> Outbox::take() {
  while (true) {
    const SegmentId oldest = oldest_unloaded();
    if (oldest != 0 && (waiting_.empty() || oldest < waiting_.begin()->first)) {
      load_segment(oldest);
      continue;
    }
    if (waiting_.empty()) return std::nullopt;
    auto node = waiting_.extract(waiting_.begin());
    if (too_old(node.mapped().record)) {
      ++dropped_;
      forget(node.mapped());
      continue;
    }
    const auto inserted = sending_.insert(std::move(node));
    return inserted.position->second.record;
  }
}

void Outbox::acked(std::uint64_t sequence) {
  const auto node = sending_.extract(sequence);
  if (!node.empty()) forget(node.mapped());
}

void Outbox::give_back(std::uint64_t sequence) {
  auto node = sending_.extract(sequence);
  if (!node.empty()) waiting_.insert(std::move(node));
}

void Outbox::forget(const Held& held) {
  if (held.segment == 0) {
    memory_only_bytes_ -= encoded_bytes(held.record);
  } else {
    settle(held.segment);
  }
}

void Outbox::settle(SegmentId id) {
  const auto found = segments_.find(id);
  if (found == segments_.end() || !found->second.outstanding) return;
  if (--*found->second.outstanding == 0) remove_segment(id);
}

void Outbox::remove_segment(SegmentId id) {
  const auto found = segments_.find(id);
  if (found == segments_.end()) return;
  if (auto removed = storage_->remove(segment_name(id)); !removed) {
    // The file stays and would be sent again after a restart; receivers know duplicates by their sequence.
    base::log_warn("outbox segment={} event=not_removed reason=\"{}\"", id, removed.error().message);
  }
  disk_bytes_ -= found->second.bytes;
  segments_.erase(found);
  if (open_segment_ == id) open_segment_ = 0;
}

base::Result<void> Outbox::spill() {
  std::vector<HeldBySequence::value_type*> batch;
  for (auto* held : {&sending_, &waiting_}) {
    for (auto& entry : *held) {
      if (entry.second.segment == 0) batch.push_back(&entry);
    }
  }
  std::ranges::sort(batch, {}, [](const auto* entry) { return entry->first; });
  while (!batch.empty()) {
    WAYSIDE_TRY(const std::size_t written, write_batch(batch));
    batch.erase(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(written));
  }
  return {};
}

/// Writes as many records of the batch as fit into one segment; returns how many.
base::Result<std::size_t> Outbox::write_batch(std::vector<HeldBySequence::value_type*>& batch) {
  const auto open = segments_.find(open_segment_);
  std::size_t used = open != segments_.end() ? open->second.bytes : kSegmentBytes;
  SegmentId id = open_segment_;
  if (used + encoded_bytes(batch.front()->second.record) > kSegmentBytes) {
    id = batch.front()->first;
    used = 0;
  }
  std::vector<std::byte> bytes;
  std::size_t count = 0;
  for (; count < batch.size(); ++count) {
    const auto& record = batch[count]->second.record;
    if (count > 0 && used + bytes.size() + encoded_bytes(record) > kSegmentBytes) break;
    append_encoded(record, bytes);
  }
  while (!segments_.empty() && disk_bytes_ + bytes.size() > options_.max_bytes && segments_.begin()->first != id) {
    evict_oldest_segment();
  }
  WAYSIDE_CHECK(append_segment(id, bytes));
  Segment& segment = segments_[id];
  segment.outstanding = segment.outstanding.value_or(0) + count;
  for (std::size_t index = 0; index < count; ++index) {
    const auto sequence = batch[index]->first;
    memory_only_bytes_ -= encoded_bytes(batch[index]->second.record);
    if (const auto sent = sending_.find(sequence); sent != sending_.end()) {
      sent->second.segment = id;
      segment.ignored.insert(sequence);
    } else {
      waiting_.erase(sequence);
    }
  }
  return count;
}

base::Result<void> Outbox::append_segment(SegmentId id, const std::vector<std::byte>& bytes) {
  const bool is_new = id != open_segment_;
  const std::string name = segment_name(id);
  auto done = storage_->append(name, bytes);
  if (done) done = storage_->sync_file(name);
  if (done && is_new) done = storage_->sync_directory("");
  if (!done) {
    // The tail may be torn: never append behind it. A file that holds nothing else goes.
    open_segment_ = 0;
    if (is_new) (void)storage_->remove(name);
    return done;
  }
  open_segment_ = id;
  segments_[id].bytes += bytes.size();
  disk_bytes_ += bytes.size();
  return {};
}

std::vector<OutboxRecord> Outbox::read_segment(SegmentId id) {
  std::vector<OutboxRecord> records;
  const auto bytes = storage_->read(segment_name(id), kMaxSegmentBytes);
  if (!bytes) {
    base::log_warn("outbox segment={} event=unreadable reason=\"{}\"", id, bytes.error().message);
    ++torn_segments_;
    return records;
  }
  std::span<const std::byte> rest = *bytes;
  while (auto record = take_encoded(rest)) records.push_back(std::move(*record));
  if (!rest.empty()) {
    ++torn_segments_;
    base::log_warn("outbox segment={} event=torn records={} lost_bytes={}", id, records.size(), rest.size());
  }
  return records;
}

void Outbox::load_segment(SegmentId id) {
  if (open_segment_ == id) open_segment_ = 0;
  Segment& segment = segments_[id];
  std::size_t outstanding = 0;
  for (const auto* held : {&sending_, &waiting_}) {
    outstanding += static_cast<std::size_t>(
        std::ranges::count_if(*held, [id](const auto& entry) { return entry.second.segment == id; }));
  }
  for (auto& record : read_segment(id)) {
    const auto sequence = record.sequence;
    if (segment.ignored.contains(sequence) || waiting_.contains(sequence) || sending_.contains(sequence)) continue;
    waiting_[sequence] = {.record = std::move(record), .segment = id};
    ++outstanding;
  }
  segment.loaded = true;
  segment.outstanding = outstanding;
  if (outstanding == 0) remove_segment(id);
}

void Outbox::evict_oldest_segment() {
  const SegmentId id = segments_.begin()->first;
  const Segment& segment = segments_.begin()->second;
  std::uint64_t lost = 0;
  if (!segment.loaded) {
    for (const auto& record : read_segment(id)) lost += segment.ignored.contains(record.sequence) ? 0 : 1;
  }
  lost += std::erase_if(waiting_, [id](const auto& entry) { return entry.second.segment == id; });
  for (auto& [sequence, held] : sending_) {
    if (held.segment != id) continue;
    held.segment = 0;  // still on its way; if it comes back it is in memory only
    count_memory(encoded_bytes(held.record));
  }
  dropped_ += lost;
  base::log_warn("outbox event=full dropped={} total_dropped={}", lost, dropped_);
  remove_segment(id);
}

void Outbox::drop_oldest_in_memory() {
  const auto oldest = std::ranges::find_if(waiting_, [](const auto& entry) { return entry.second.segment == 0; });
  const auto victim = oldest != waiting_.end() ? oldest : waiting_.begin();
  ++dropped_;
  const Held held = std::move(victim->second);
  waiting_.erase(victim);
  forget(held);
}

bool Outbox::too_old(const OutboxRecord& record) const {
  using std::chrono::milliseconds;
  const auto now = std::chrono::duration_cast<milliseconds>(clock_->wall_now().time_since_epoch());
  return now - milliseconds(record.wall_ms) > options_.max_age;
}

Outbox::SegmentId Outbox::oldest_unloaded() const {
  const auto found = std::ranges::find_if(segments_, [](const auto& entry) { return !entry.second.loaded; });
  return found == segments_.end() ? 0 : found->first;
}

bool Outbox::spill_due() const { return memory_only_bytes_ > 0 && clock_->now() - memory_only_since_ >= kSpillAfter; }

bool Outbox::empty() const { return waiting_.empty() && sending_.empty() && segments_.empty(); }
std::size_t Outbox::bytes() const { return memory_only_bytes_ + disk_bytes_; }

}  // namespace wayside::agent
