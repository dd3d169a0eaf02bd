// SPDX-License-Identifier: Apache-2.0
// Small helpers that the convolution drivers share: sizes, aligned storage, wrapping sums, short strided copies.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "accel/cpu/kernels/kernels.h"

namespace wayside::accel::cpu {

inline constexpr std::size_t kAlignment = 64;

[[nodiscard]] constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
[[nodiscard]] constexpr std::size_t align_up(std::size_t bytes) { return divide_up(bytes, kAlignment) * kAlignment; }

/// Zeroed bytes at a 64-byte boundary; from calloc, which does not clear what the kernel has just cleared.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t size) : memory_(std::calloc(size + kAlignment, 1)), size_(size) {
    if (memory_ == nullptr) throw std::bad_alloc();
  }
  [[nodiscard]] std::byte* data() const {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.get());
    return static_cast<std::byte*>(memory_.get()) + (align_up(address) - address);
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t size_ = 0;
};

[[nodiscard]] inline std::int32_t wrapping_sub(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
}
[[nodiscard]] inline std::int32_t wrapping_mul(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) * static_cast<std::uint32_t>(b));
}

/// The spec without what it borrows and what is needed for packing alone.
[[nodiscard]] inline ConvSpec shape_of(const ConvSpec& spec) {
  ConvSpec shape = spec;
  shape.weights = {};
  shape.bias = {};
  shape.requant = {};
  shape.output_table = {};
  shape.sums = nullptr;
  shape.packed = nullptr;
  return shape;
}

/// A weight byte as a number, its zero point still in it.
[[nodiscard]] inline std::int32_t weight_value(const ConvSpec& spec, std::uint8_t byte) {
  return spec.is_unsigned ? byte : std::bit_cast<std::int8_t>(byte);
}

/// The optional last step of a convolution: a table of bytes (ConvSpec::output_table).
class OutputTable {
 public:
  explicit OutputTable(std::span<const std::uint8_t> table) : bytes_(table.begin(), table.end()) {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
  /// row_count rows of row_bytes bytes, `stride` bytes apart, in place. `vector`: Isa::replace_bytes or null.
  void apply(std::uint8_t* rows, std::size_t row_count, std::size_t row_bytes, std::size_t stride,
             void (*vector)(std::uint8_t*, std::size_t, const std::uint8_t*)) const;

 private:
  std::vector<std::uint8_t> bytes_;
};

/// A pass over all weights.
[[nodiscard]] ConvSums conv_sums(const ConvSpec& spec);
/// spec.sums where the caller has them already, else they are counted into `counted`.
[[nodiscard]] inline const ConvSums& sums_of(const ConvSpec& spec, ConvSums& counted) {
  if (spec.sums != nullptr) return *spec.sums;
  counted = conv_sums(spec);
  return counted;
}

/// count pieces of `bytes` bytes, contiguous at `from`, written every `step` bytes.
void copy_every(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::size_t count, std::size_t step);
/// copy_every for three rows of pixels of kPixelBytes (1 or 3) at once, each byte xored with `flip`.
template <std::size_t kPixelBytes>
void copy_three_rows(std::uint8_t* to, const std::uint8_t* const (&rows)[3], std::size_t count, std::uint8_t flip);
/// The same with one value.
void fill_every(std::uint8_t* to, std::uint8_t value, std::size_t bytes, std::size_t count, std::size_t step);

}  // namespace wayside::accel::cpu
