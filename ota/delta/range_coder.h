// SPDX-License-Identifier: Apache-2.0
// Adaptive binary range coder: codes yes/no decisions in as many bits as they surprise.
#pragma once

#include <cstdint>
#include <vector>

#include "ota/delta/byte_source.h"

namespace wayside::ota {

/// Probability that a decision is 0, learnt at two speeds whose mean is used: the fast one follows changes, the slow
/// one gets close to the truth (the mixing of lpaq's StateMaps in its simplest form). 16 bits each.
class Bit {
 public:
  /// In (0, 2^15): never certain, so that the other outcome stays codable; costs at best 0.0014 bit a decision.
  [[nodiscard]] std::uint32_t probability() const {
    const std::uint32_t mean = (static_cast<std::uint32_t>(fast_) + slow_) >> 2U;
    return mean < kLeast ? kLeast : mean > kOne - kLeast ? kOne - kLeast : mean;
  }
  void learn(bool one) {
    if (one) {
      fast_ = static_cast<std::uint16_t>(fast_ - (fast_ >> kFastShift));
      slow_ = static_cast<std::uint16_t>(slow_ - (slow_ >> kSlowShift));
    } else {
      fast_ = static_cast<std::uint16_t>(fast_ + ((0xffffU - fast_) >> kFastShift));
      slow_ = static_cast<std::uint16_t>(slow_ + ((0xffffU - slow_) >> kSlowShift));
    }
  }
  static constexpr std::uint32_t kBits = 15;
  static constexpr std::uint32_t kOne = 1U << kBits;

 private:
  static constexpr std::uint32_t kLeast = 32;
  static constexpr unsigned kFastShift = 5;
  static constexpr unsigned kSlowShift = 8;
  std::uint16_t fast_ = 0x8000;
  std::uint16_t slow_ = 0x8000;
};

/// Range coder with carry as in the LZMA SDK's specification (lzma-specification.txt, "Range Decoder"), with 15-bit
/// probabilities. Appends to a vector that it owns.
class RangeEncoder {
 public:
  void encode(Bit& bit, bool one);
  /// The low `count` bits of `value` as they are.
  void encode_raw(std::uint32_t value, unsigned count);
  [[nodiscard]] Bytes finish();

 private:
  void shift_low();
  std::uint64_t low_ = 0;
  std::uint32_t range_ = 0xffffffff;
  std::uint64_t pending_ = 1;  ///< bytes held back until a carry can no longer reach them
  std::uint8_t cache_ = 0;
  Bytes out_;
};

/// Reads what RangeEncoder wrote, from untrusted bytes through a buffer of kBufferBytes. Past the end it reads zeros
/// and remembers it: the user asks overran() and stops; so a cut stream costs no unbounded work.
class RangeDecoder {
 public:
  static constexpr std::size_t kBufferBytes = 16 * 1024;

  /// `source` from `offset` to its end; must outlive this.
  static base::Result<RangeDecoder> open(const ByteSource& source, std::uint64_t offset);
  [[nodiscard]] bool decode(Bit& bit);
  [[nodiscard]] std::uint32_t decode_raw(unsigned count);
  /// Read more than was there, or the medium failed.
  [[nodiscard]] bool overran() const { return overran_; }
  /// Everything was consumed and the last number is as the encoder left it: no byte can be changed unseen.
  [[nodiscard]] bool at_end() const {
    return !overran_ && code_ == 0 && buffer_at_ == buffer_.size() && offset_ == source_->size();
  }

 private:
  RangeDecoder(const ByteSource& source, std::uint64_t offset) : source_(&source), offset_(offset) {}
  std::uint32_t next_byte();
  void normalize();
  const ByteSource* source_;
  std::uint64_t offset_;
  Bytes buffer_;
  std::size_t buffer_at_ = 0;
  std::uint32_t range_ = 0xffffffff;
  std::uint32_t code_ = 0;
  bool overran_ = false;
};

}  // namespace wayside::ota
