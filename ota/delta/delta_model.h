// SPDX-License-Identifier: Apache-2.0
// DeltaModel: how the operations, numbers and bytes of a delta become decisions of the range coder; one text for both
// directions.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "ota/delta/range_coder.h"

namespace wayside::ota {

/// Direction "write": codes the given value and returns it.
struct DeltaWriting {
  RangeEncoder& coder;
  bool bit(Bit& model, bool value) {
    coder.encode(model, value);
    return value;
  }
  std::uint32_t raw(std::uint32_t value, unsigned count) {
    coder.encode_raw(value, count);
    return value;
  }
};

/// Direction "read": ignores the given value and returns what the stream holds.
struct DeltaReading {
  RangeDecoder& coder;
  bool bit(Bit& model, bool) { return coder.decode(model); }
  std::uint32_t raw(std::uint32_t, unsigned count) { return coder.decode_raw(count); }
};

enum class DeltaKind : std::uint8_t {
  copy,   ///< bytes of the base as they are
  add,    ///< bytes of the base plus a residual each, modulo 256
  insert  ///< new bytes
};

/// 8 decisions along a binary tree, most significant bit first.
class ByteModel {
 public:
  template <class Direction>
  std::uint8_t code(Direction direction, std::uint8_t value) {
    std::uint32_t node = 1;
    for (unsigned i = 8; i-- > 0;) node = node << 1U | direction.bit(nodes_[node], ((value >> i) & 1U) != 0);
    return static_cast<std::uint8_t>(node);
  }

 private:
  std::array<Bit, 256> nodes_{};
};

/// Numbers below 2^32: the position of the highest bit is modelled, the bits below it travel as they are (Elias gamma
/// with a learnt prefix).
class NumberModel {
 public:
  template <class Direction>
  std::uint32_t code(Direction direction, std::uint32_t value) {
    const auto width = static_cast<unsigned>(std::bit_width(value));
    std::uint32_t node = 1;
    for (unsigned i = kPrefixBits; i-- > 0;) node = node << 1U | direction.bit(nodes_[node], ((width >> i) & 1U) != 0);
    // A damaged stream may claim up to 63 bits: 32 is taken then, and the number is refused by its bound.
    const unsigned read = std::min(node - (1U << kPrefixBits), 32U);
    if (read <= 1) return read;
    const std::uint32_t top = std::uint32_t{1} << (read - 1);
    return top | direction.raw(value & (top - 1), read - 1);
  }

 private:
  static constexpr unsigned kPrefixBits = 6;
  std::array<Bit, 1U << kPrefixBits> nodes_{};
};

/// A residual byte: zero, then plus or minus one, then anything. Which is likely is learnt apart for each size of the
/// two residuals before it, so that runs of zeros cost next to nothing.
class ResidualModel {
 public:
  template <class Direction>
  std::uint8_t code(Direction direction, std::uint8_t value) {
    const std::size_t context = history_;
    const bool changed = direction.bit(zero_[context], value != 0);
    if (!changed) {
      remember(0);
      return 0;
    }
    const bool large = direction.bit(one_[context], value != 1 && value != 0xff);
    if (!large) {
      remember(1);
      return direction.bit(sign_, value == 0xff) ? 0xff : 1;
    }
    remember(2);
    return large_.code(direction, value);
  }

 private:
  void remember(std::size_t size) { history_ = (history_ * 3 + size) % 9; }
  std::size_t history_ = 0;
  std::array<Bit, 9> zero_{}, one_{};
  Bit sign_{};
  ByteModel large_{};
};

/// All that is learnt along one delta. About 3 KiB.
struct DeltaModel {
  std::array<Bit, 3> is_insert{}, is_add{};  ///< by the operation before
  std::array<NumberModel, 3> length{};       ///< by the operation
  Bit moved{}, backwards{};
  NumberModel jump{};
  ByteModel literal{};
  ResidualModel residual{};
  DeltaKind before = DeltaKind::insert;

  template <class Direction>
  DeltaKind kind(Direction direction, DeltaKind value) {
    const auto context = static_cast<std::size_t>(before);
    if (direction.bit(is_insert[context], value == DeltaKind::insert)) {
      before = DeltaKind::insert;
    } else {
      before = direction.bit(is_add[context], value == DeltaKind::add) ? DeltaKind::add : DeltaKind::copy;
    }
    return before;
  }

  /// Difference between where the base is read and where the last operation left off plus what was inserted since.
  template <class Direction>
  std::int64_t shift(Direction direction, std::int64_t value) {
    if (!direction.bit(moved, value != 0)) return 0;
    const bool back = direction.bit(backwards, value < 0);
    const std::int64_t distance = jump.code(direction, static_cast<std::uint32_t>(back ? -value : value));
    return back ? -distance : distance;
  }
};

}  // namespace wayside::ota
