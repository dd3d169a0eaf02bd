// SPDX-License-Identifier: Apache-2.0
// Reading output tensors: single elements as real numbers, and the scan for cells whose best class passes a threshold,
// in the tensor's own type.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>

#include "accel/accelerator.h"

namespace wayside::agent {

/// One element; `index` must be inside. f32, i16, i8 and u8; others read as 0.
[[nodiscard]] inline float real_at(const accel::TensorInfo& info, std::span<const std::byte> bytes, std::size_t index) {
  const auto quantised = [&](std::int32_t value) {
    return info.quantization.scale * static_cast<float>(value - info.quantization.zero_point);
  };
  switch (info.type) {
    case accel::DType::i8: return quantised(static_cast<std::int8_t>(bytes[index]));
    case accel::DType::u8: return quantised(static_cast<std::uint8_t>(bytes[index]));
    case accel::DType::i16: {
      std::int16_t value = 0;
      std::memcpy(&value, bytes.data() + 2 * index, sizeof value);
      return quantised(value);
    }
    case accel::DType::f32: {
      float value = 0;
      std::memcpy(&value, bytes.data() + 4 * index, sizeof value);
      return value;
    }
    default: return 0;
  }
}

/// The smallest value of type T whose real number reaches `threshold`; empty when none does.
template <class T>
std::optional<T> quantised_threshold(const accel::Quantization& q, float threshold) {
  if constexpr (std::is_floating_point_v<T>) {
    return threshold;
  } else {
    const auto real = [&](std::int64_t value) { return q.scale * static_cast<float>(value - q.zero_point); };
    constexpr std::int64_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
    if (!(real(kHigh) >= threshold)) return std::nullopt;
    if (real(kLow) >= threshold) return static_cast<T>(kLow);
    // Between the two: start at the rounded answer and step to the exact one (float rounding: one step at most).
    auto value = static_cast<std::int64_t>(std::ceil(threshold / q.scale)) + q.zero_point;
    while (value > kLow && real(value - 1) >= threshold) --value;
    while (value < kHigh && real(value) < threshold) ++value;
    return static_cast<T>(value);
  }
}

/// Scores laid out as cells of `cell_stride` elements whose classes are `class_stride` apart, starting at `offset`.
struct ScoreLayout {
  std::size_t offset = 0;
  std::size_t cell_count = 0, cell_stride = 0;
  std::size_t class_count = 0, class_stride = 1;
  std::span<const std::uint16_t> wanted{};  ///< classes that count, each < class_count; empty: all
};

/// Calls found(cell, class_id, element) for each cell whose best class is at least `threshold` (NaN never is).
template <class T, class Found>
void scan_cells(const T* scores, const ScoreLayout& layout, T threshold, Found&& found) {
  for (std::size_t cell = 0; cell < layout.cell_count; ++cell) {
    const T* score = scores + layout.offset + cell * layout.cell_stride;
    bool any = false;
    for (std::size_t c = 0; c < layout.class_count; ++c) any |= score[c * layout.class_stride] >= threshold;
    if (!any) continue;
    std::size_t best = 0;
    T best_score = std::numeric_limits<T>::lowest();
    const auto consider = [&](std::size_t c) {
      if (score[c * layout.class_stride] > best_score) {
        best = c;
        best_score = score[c * layout.class_stride];
      }
    };
    for (std::size_t c = 0; layout.wanted.empty() && c < layout.class_count; ++c) consider(c);
    for (const std::uint16_t c : layout.wanted) consider(c);
    if (!(best_score >= threshold)) continue;
    found(static_cast<std::uint32_t>(cell), static_cast<std::int32_t>(best),
          layout.offset + cell * layout.cell_stride + best * layout.class_stride);
  }
}

/// scan_cells for a tensor of whatever type, with a threshold in real numbers. Types: i8, u8, f32.
template <class Found>
void scan_tensor(const accel::TensorInfo& info, std::span<const std::byte> bytes, const ScoreLayout& layout,
                 float threshold, Found&& found) {
  const auto run = [&]<class T>(const T* scores) {
    if (const auto limit = quantised_threshold<T>(info.quantization, threshold))
      scan_cells(scores, layout, *limit, found);
  };
  switch (info.type) {
    case accel::DType::i8: return run(reinterpret_cast<const std::int8_t*>(bytes.data()));
    case accel::DType::u8: return run(reinterpret_cast<const std::uint8_t*>(bytes.data()));
    case accel::DType::f32: return run(reinterpret_cast<const float*>(bytes.data()));
    default: return;
  }
}

}  // namespace wayside::agent
