// SPDX-License-Identifier: Apache-2.0
// OutboxRecord: one event that waits for the broker, and its form in a segment file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace wayside::agent {

struct OutboxRecord {
  std::uint64_t sequence = 0;  ///< names the event for ever; from a PersistentCounter
  std::int64_t wall_ms = 0;    ///< Unix time of the event
  std::string topic;
  std::string payload;
  bool operator==(const OutboxRecord&) const = default;
};

/// As the largest MQTT message of the contract; bounds what a damaged length can make us read.
inline constexpr std::size_t kMaxRecordBytes = 96 * 1024;

/// Bytes of a record in a segment file:
///   u32 length of the body, u32 CRC-32 of the body, body = u64 sequence, i64 wall_ms, u16 topic length, topic,
///   payload;
/// all little endian. CRC-32 is that of IEEE 802.3 (reflected, polynomial 0xEDB88320).
[[nodiscard]] std::size_t encoded_bytes(const OutboxRecord& record);
void append_encoded(const OutboxRecord& record, std::vector<std::byte>& out);
/// Reads the record at the front of `bytes` and removes it from there; nothing when it is torn or damaged.
[[nodiscard]] std::optional<OutboxRecord> take_encoded(std::span<const std::byte>& bytes);

}  // namespace wayside::agent
