// SPDX-License-Identifier: Apache-2.0
// ByteReader and ByteWriter: the bounded integers and byte strings that all binary documents of ota/ are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <format>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::ota {

using Bytes = std::vector<std::byte>;
using BytesView = std::span<const std::byte>;

/// A 64-bit number needs ten groups of seven bits.
inline constexpr std::size_t kMaxVarintBytes = 10;

/// Reads from untrusted bytes; nothing is read beyond their end and no number beyond its bound is let through.
class ByteReader {
 public:
  explicit ByteReader(BytesView bytes) : left_(bytes) {}

  [[nodiscard]] std::size_t left() const { return left_.size(); }

  base::Result<BytesView> bytes(std::size_t count, std::string_view what) {
    if (count > left_.size()) return truncated(what);
    const BytesView taken = left_.first(count);
    left_ = left_.subspan(count);
    return taken;
  }

  base::Result<std::uint8_t> u8(std::string_view what) {
    if (left_.empty()) return truncated(what);
    const auto value = std::to_integer<std::uint8_t>(left_.front());
    left_ = left_.subspan(1);
    return value;
  }

  /// Unsigned LEB128 (DWARF 5, section 7.6) in its shortest form only, so that each number has one spelling.
  base::Result<std::uint64_t> varint(std::uint64_t max, std::string_view what) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < kMaxVarintBytes; ++i) {
      if (i >= left_.size()) return truncated(what);
      const auto byte = std::to_integer<std::uint64_t>(left_[i]);
      const bool last = (byte & 0x80U) == 0;
      if (i == kMaxVarintBytes - 1 && byte > 1) break;  // more than 64 bits
      value |= (byte & 0x7fU) << (7 * i);
      if (!last) continue;
      if (byte == 0 && i > 0) return base::fail(base::Code::corrupt, std::format("{}: padded number", what));
      left_ = left_.subspan(i + 1);
      if (value > max) {
        return base::fail(base::Code::corrupt, std::format("{}: {} is more than {}", what, value, max));
      }
      return value;
    }
    return base::fail(base::Code::corrupt, std::format("{}: number has more than 64 bits", what));
  }

  /// Fails unless everything was read.
  base::Result<void> end(std::string_view what) const {
    if (left_.empty()) return {};
    return base::fail(base::Code::corrupt, std::format("{}: {} bytes too many", what, left_.size()));
  }

 private:
  static std::unexpected<base::Error> truncated(std::string_view what) {
    return base::fail(base::Code::corrupt, std::format("{}: the bytes end too early", what));
  }
  BytesView left_;
};

/// Appends to a byte vector what ByteReader reads.
class ByteWriter {
 public:
  void u8(std::uint8_t value) { out_.push_back(static_cast<std::byte>(value)); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80U; value >>= 7U) u8(static_cast<std::uint8_t>(value | 0x80U));
    u8(static_cast<std::uint8_t>(value));
  }
  void bytes(BytesView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view text) { bytes(std::as_bytes(std::span(text))); }
  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] Bytes take() { return std::move(out_); }

 private:
  Bytes out_;
};

/// Bytes that ByteWriter::varint spends on `value`.
[[nodiscard]] constexpr std::size_t varint_bytes(std::uint64_t value) {
  std::size_t bytes = 1;
  for (; value >= 0x80U; value >>= 7U) ++bytes;
  return bytes;
}

[[nodiscard]] inline std::string_view text_of(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline BytesView bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace wayside::ota
