// SPDX-License-Identifier: Apache-2.0
// Shape arithmetic and printing.
#include "accel/cpu/graph.h"

#include <algorithm>
#include <cassert>

#include "base/plain_line.h"

namespace wayside::accel::cpu {

Shape::Shape(std::span<const std::int32_t> dims) : rank_(dims.size()) {
  assert(dims.size() <= kMaxRank);
  std::ranges::copy(dims, dims_.begin());
}

std::size_t Shape::product(std::size_t first, std::size_t last) const {
  std::size_t count = 1;
  for (std::size_t axis = first; axis < last; ++axis) count *= static_cast<std::size_t>(dims_[axis]);
  return count;
}

std::array<std::int32_t, kMaxRank> Shape::extended() const {
  std::array<std::int32_t, kMaxRank> out;
  out.fill(1);
  std::copy_n(dims_.begin(), rank_, out.begin() + static_cast<std::ptrdiff_t>(kMaxRank - rank_));
  return out;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (axis > 0) text += ',';
    text += std::to_string(shape[axis]);
  }
  return text + "]";
}

std::string printable(std::string_view text) {
  constexpr std::size_t kMaxLength = 64;
  return base::plain_line(text, kMaxLength);
}

}  // namespace wayside::accel::cpu
