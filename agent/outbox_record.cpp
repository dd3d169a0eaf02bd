// SPDX-License-Identifier: Apache-2.0
// Encoding and checking of outbox records.
#include "agent/outbox_record.h"

#include <array>

namespace wayside::agent {
namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kFixedBodyBytes = 8 + 8 + 2;

constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) != 0 ? 0xEDB88320U : 0U);
    table[byte] = value;
  }
  return table;
}();

std::uint32_t crc32(std::span<const std::byte> bytes) {
  std::uint32_t value = 0xFFFFFFFFU;
  for (const std::byte byte : bytes)
    value = (value >> 8) ^ kCrcTable[(value ^ static_cast<std::uint32_t>(byte)) & 0xFFU];
  return ~value;
}

void put(std::vector<std::byte>& out, std::uint64_t value, unsigned byte_count) {
  for (unsigned index = 0; index < byte_count; ++index) out.push_back(static_cast<std::byte>(value >> (8 * index)));
}

std::uint64_t get(std::span<const std::byte> bytes, std::size_t offset, unsigned byte_count) {
  std::uint64_t value = 0;
  for (unsigned index = 0; index < byte_count; ++index) {
    value |= static_cast<std::uint64_t>(bytes[offset + index]) << (8 * index);
  }
  return value;
}

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::size_t encoded_bytes(const OutboxRecord& record) {
  return kHeaderBytes + kFixedBodyBytes + record.topic.size() + record.payload.size();
}

void append_encoded(const OutboxRecord& record, std::vector<std::byte>& out) {
  std::vector<std::byte> body;
  body.reserve(encoded_bytes(record));
  put(body, record.sequence, 8);
  put(body, static_cast<std::uint64_t>(record.wall_ms), 8);
  put(body, record.topic.size(), 2);
  for (const char c : record.topic) body.push_back(static_cast<std::byte>(c));
  for (const char c : record.payload) body.push_back(static_cast<std::byte>(c));
  put(out, body.size(), 4);
  put(out, crc32(body), 4);
  out.insert(out.end(), body.begin(), body.end());
}

std::optional<OutboxRecord> take_encoded(std::span<const std::byte>& bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  const std::size_t length = get(bytes, 0, 4);
  if (length < kFixedBodyBytes || length > kMaxRecordBytes || length > bytes.size() - kHeaderBytes) return std::nullopt;
  const auto body = bytes.subspan(kHeaderBytes, length);
  if (crc32(body) != get(bytes, 4, 4)) return std::nullopt;
  const std::size_t topic_bytes = get(body, 16, 2);
  if (topic_bytes > length - kFixedBodyBytes) return std::nullopt;
  OutboxRecord record;
  record.sequence = get(body, 0, 8);
  record.wall_ms = static_cast<std::int64_t>(get(body, 8, 8));
  record.topic = text(body.subspan(kFixedBodyBytes, topic_bytes));
  record.payload = text(body.subspan(kFixedBodyBytes + topic_bytes));
  bytes = bytes.subspan(kHeaderBytes + length);
  return record;
}

}  // namespace wayside::agent
