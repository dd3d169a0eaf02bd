// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the range coder.
#include "ota/delta/range_coder.h"

namespace wayside::ota {
namespace {

constexpr std::uint32_t kTop = 1U << 24U;  // below it another byte is shifted in or out
constexpr int kFlushBytes = 5;             // the 32 bits of `low` and the byte held back

}  // namespace

void RangeEncoder::encode(Bit& bit, bool one) {
  const std::uint32_t bound = (range_ >> Bit::kBits) * bit.probability();
  if (one) {
    low_ += bound;
    range_ -= bound;
  } else {
    range_ = bound;
  }
  bit.learn(one);
  while (range_ < kTop) {
    range_ <<= 8U;
    shift_low();
  }
}

void RangeEncoder::encode_raw(std::uint32_t value, unsigned count) {
  while (count-- > 0) {
    range_ >>= 1U;
    if (((value >> count) & 1U) != 0) low_ += range_;
    while (range_ < kTop) {
      range_ <<= 8U;
      shift_low();
    }
  }
}

void RangeEncoder::shift_low() {
  const bool carry = low_ > 0xffffffffU;
  if (low_ < 0xff000000U || carry) {
    std::uint8_t byte = cache_;
    do {
      out_.push_back(static_cast<std::byte>(byte + (carry ? 1U : 0U)));
      byte = 0xff;
    } while (--pending_ != 0);
    cache_ = static_cast<std::uint8_t>(low_ >> 24U);
  }
  ++pending_;
  low_ = (low_ & 0x00ffffffU) << 8U;
}

Bytes RangeEncoder::finish() {
  for (int i = 0; i < kFlushBytes; ++i) shift_low();
  return std::move(out_);
}

base::Result<RangeDecoder> RangeDecoder::open(const ByteSource& source, std::uint64_t offset) {
  RangeDecoder decoder(source, offset);
  if (decoder.next_byte() != 0) return base::fail(base::Code::corrupt, "delta: the coded stream does not start with 0");
  for (int i = 0; i < 4; ++i) decoder.code_ = decoder.code_ << 8U | decoder.next_byte();
  if (decoder.overran_) return base::fail(base::Code::corrupt, "delta: the coded stream is cut");
  return decoder;
}

std::uint32_t RangeDecoder::next_byte() {
  if (buffer_at_ == buffer_.size()) {
    const std::uint64_t left = source_->size() - std::min(offset_, source_->size());
    buffer_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(left, kBufferBytes)));
    buffer_at_ = 0;
    if (buffer_.empty() || !source_->read_at(offset_, buffer_)) {
      buffer_.clear();
      overran_ = true;
      return 0;
    }
    offset_ += buffer_.size();
  }
  return std::to_integer<std::uint32_t>(buffer_[buffer_at_++]);
}

void RangeDecoder::normalize() {
  while (range_ < kTop) {
    range_ <<= 8U;
    code_ = code_ << 8U | next_byte();
  }
}

bool RangeDecoder::decode(Bit& bit) {
  const std::uint32_t bound = (range_ >> Bit::kBits) * bit.probability();
  const bool one = code_ >= bound;
  if (one) {
    code_ -= bound;
    range_ -= bound;
  } else {
    range_ = bound;
  }
  bit.learn(one);
  normalize();
  return one;
}

std::uint32_t RangeDecoder::decode_raw(unsigned count) {
  std::uint32_t value = 0;
  while (count-- > 0) {
    range_ >>= 1U;
    const bool one = code_ >= range_;
    if (one) code_ -= range_;
    value = value << 1U | (one ? 1U : 0U);
    normalize();
  }
  return value;
}

}  // namespace wayside::ota
