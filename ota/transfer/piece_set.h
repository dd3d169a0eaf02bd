// SPDX-License-Identifier: Apache-2.0
// PieceSet: which pieces of a blob a request asks for: a first number and a short bitmap behind it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "ota/delta/wire.h"

namespace wayside::ota {

/// Numbers in [first, first + kSpan). The first one is always in the set, so that each set has one spelling.
class PieceSet {
 public:
  /// Bits in one request: 64 bytes reach over 8 MiB of chunks of which few are missing.
  static constexpr std::uint32_t kSpan = 512;

  PieceSet() = default;

  /// Adds a number not smaller than the first one added; false, and nothing changes, where it lies beyond the span.
  bool add(std::uint32_t number) {
    if (bits_.empty()) first_ = number;
    if (number < first_ || number - first_ >= kSpan) return false;
    const std::uint32_t bit = number - first_;
    bits_.resize(std::max<std::size_t>(bits_.size(), bit / 8 + 1));
    bits_[bit / 8] |= static_cast<std::byte>(1U << (bit % 8));
    return true;
  }

  [[nodiscard]] bool empty() const { return bits_.empty(); }
  [[nodiscard]] std::uint32_t first() const { return first_; }

  /// Rising.
  [[nodiscard]] std::vector<std::uint32_t> numbers() const {
    std::vector<std::uint32_t> all;
    for (std::uint32_t bit = 0; bit < bits_.size() * 8; ++bit) {
      if ((bits_[bit / 8] & static_cast<std::byte>(1U << (bit % 8))) != std::byte{0}) all.push_back(first_ + bit);
    }
    return all;
  }

  void write(ByteWriter& writer) const {
    writer.varint(first_);
    writer.varint(bits_.size());
    writer.bytes(bits_);
  }

  /// From untrusted bytes: numbers below `count` only, first bit set, no empty last byte.
  static base::Result<PieceSet> read(ByteReader& reader, std::uint32_t count) {
    if (count == 0) return base::fail(base::Code::corrupt, "request: there are no pieces to ask for");
    WAYSIDE_TRY(const std::uint64_t first, reader.varint(count - 1, "request: first piece"));
    WAYSIDE_TRY(const std::uint64_t bytes, reader.varint(kSpan / 8, "request: size of the bitmap"));
    WAYSIDE_TRY(const BytesView bits, reader.bytes(static_cast<std::size_t>(bytes), "request: bitmap"));
    PieceSet set;
    set.first_ = static_cast<std::uint32_t>(first);
    set.bits_.assign(bits.begin(), bits.end());
    if (bits.empty() || (bits.front() & std::byte{1}) == std::byte{0} || bits.back() == std::byte{0}) {
      return base::fail(base::Code::corrupt, "request: bitmap is empty or padded");
    }
    const auto last_byte = std::to_integer<std::uint32_t>(bits.back());
    const std::uint64_t last = first + (bits.size() - 1) * 8 + static_cast<unsigned>(std::bit_width(last_byte)) - 1;
    if (last >= count) return base::fail(base::Code::corrupt, "request: piece beyond the end");
    return set;
  }

  bool operator==(const PieceSet&) const = default;

 private:
  std::uint32_t first_ = 0;
  Bytes bits_;
};

}  // namespace wayside::ota
