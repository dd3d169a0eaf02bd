// SPDX-License-Identifier: Apache-2.0
// Finds the table-free form of a quantised sum, and proves it for all 65536 pairs of bytes.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "accel/cpu/kernels/elementwise.h"
#include "accel/cpu/kernels/requant.h"

namespace wayside::accel::cpu {
namespace {

constexpr std::int32_t kLow = -128, kHigh = 127;
/// More fraction bits than this do not help: the tables themselves are rounded to about 2^-20. With fewer hardly a sum
/// has a form, and kernels may take the first 16 bits of the shift for granted.
constexpr std::int32_t kMaxShift = 23, kMinShift = 16;
/// Units of `offset` that it may be moved by, either way. More means more pairs to compare, at 2 * 32 of at least 2^16
/// units a step still few; 6 was too little for a sum of an ordinary residual network.
constexpr std::int32_t kMaxMove = 32;
/// Pairs near a step beyond which the tables are no straight lines and the search ends.
constexpr std::size_t kMaxNearPairs = 4096;

/// table[x ^ flip] as a line: |table - (slope * x + start)| <= error for x = -128..127.
struct Line {
  double slope = 0, start = 0, error = 0;
};

std::size_t index_of(std::int32_t x, std::uint8_t flip) { return static_cast<std::uint8_t>(x) ^ flip; }

Line fit(const std::array<std::int32_t, 256>& table, std::uint8_t flip) {
  const auto at = [&](std::int32_t x) { return static_cast<double>(table[index_of(x, flip)]); };
  Line line;
  line.slope = (at(kHigh) - at(kLow)) / (kHigh - kLow);
  double least = 0, most = 0;
  for (std::int32_t x = kLow; x <= kHigh; ++x) {
    const double apart = at(x) - at(kLow) - (line.slope * (x - kLow));
    least = std::min(least, apart);
    most = std::max(most, apart);
  }
  line.start = at(kLow) - (line.slope * kLow) + ((least + most) / 2);
  line.error = (most - least) / 2;
  return line;
}

std::int64_t largest_magnitude(const std::array<std::int32_t, 256>& table) {
  std::int64_t largest = 0;
  for (const std::int32_t value : table) largest = std::max(largest, std::abs(std::int64_t{value}));
  return largest;
}

class Search {
 public:
  explicit Search(const TableSumSpec& spec)
      : spec_(spec),
        flip_(spec.is_unsigned ? 0x80 : 0),
        zero_point_(spec.requant.zero_point - (spec.is_unsigned ? 128 : 0)),
        line_a_(fit(spec.table_a, flip_)),
        line_b_(fit(spec.table_b, flip_)),
        scale_(std::ldexp(static_cast<double>(spec.requant.multiplier[0]), spec.requant.shift[0] - 31)) {}

  std::optional<LinearSum> run() {
    const auto& requant = spec_.requant;
    const std::int64_t bound = largest_magnitude(spec_.table_a) + largest_magnitude(spec_.table_b);
    const std::int32_t left = std::max(requant.shift[0], 0);
    if (requant.multiplier[0] < 0 || left > 30 || requant.shift[0] < -31) return std::nullopt;
    if ((bound << left) >= (std::int64_t{1} << 31)) return std::nullopt;
    for (std::int32_t shift = kMaxShift; shift >= kMinShift; --shift) {
      if (set_form(shift)) return prove() ? std::optional(form_) : std::nullopt;
    }
    return std::nullopt;
  }

 private:
  struct Pair {
    std::int32_t a = 0, b = 0;
  };

  bool set_form(std::int32_t shift);
  bool prove();
  bool collect_near();
  bool move_offset();
  [[nodiscard]] std::int64_t sum(Pair pair) const {
    const std::int64_t high = 256 * ((std::int64_t{pair.a} * form_.high_a) + (std::int64_t{pair.b} * form_.high_b));
    const std::int64_t low = 256 * ((std::int64_t{pair.a} * form_.low_a) + (std::int64_t{pair.b} * form_.low_b));
    return high + (low >> 15) + form_.offset;
  }
  /// The exact result before clamping, in the domain of s8.
  [[nodiscard]] std::int64_t exact(Pair pair) const {
    const std::int32_t total = spec_.table_a[index_of(pair.a, flip_)] + spec_.table_b[index_of(pair.b, flip_)];
    const auto& requant = spec_.requant;
    return std::int64_t{multiply_by_quantized_multiplier(total, requant.multiplier[0], requant.shift[0])} + zero_point_;
  }

  const TableSumSpec& spec_;
  std::uint8_t flip_;
  std::int32_t zero_point_;
  Line line_a_, line_b_;
  double scale_;
  LinearSum form_;
  std::int32_t margin_ = 0;  // results whose sum is at least this far from a step agree
  std::vector<Pair> near_;
};

/// The constants for one shift; false where they leave their types or the sum can leave int32.
bool Search::set_form(std::int32_t shift) {
  const double unit = std::ldexp(1.0, shift);
  const double slope_a = std::round(line_a_.slope * scale_ * unit * 128);
  const double slope_b = std::round(line_b_.slope * scale_ * unit * 128);
  constexpr double kSlopeLimit = (1 << 30) - 1;  // high parts of 16 bits
  if (std::abs(slope_a) > kSlopeLimit || std::abs(slope_b) > kSlopeLimit) return false;
  const double offset = std::round(((((line_a_.start + line_b_.start) * scale_) + zero_point_ + 0.5) * unit) + 0.5);
  constexpr double kRoom = 1 << 18,
                   kSumLimit = 0x7FF00000;  // room for the low parts, the margin, and high parts' floors
  if (std::abs(slope_a) + std::abs(slope_b) + std::abs(offset) + kRoom > kSumLimit) return false;
  const auto split = [](double slope, std::int16_t& high, std::int16_t& low) {
    const auto whole = static_cast<std::int32_t>(slope);
    high = static_cast<std::int16_t>(whole >> 15);
    low = static_cast<std::int16_t>(whole & 0x7FFF);
  };
  split(slope_a, form_.high_a, form_.low_a);
  split(slope_b, form_.high_b, form_.low_b);
  form_.offset = static_cast<std::int32_t>(offset);
  form_.shift = shift;
  // Errors in units of the sum: both slopes (half a unit * 128 / 2^7 each), the floor and the offset (one each), the
  // tables' distance from their lines, and gemmlowp's first rounding, which moves steps by half of its own unit.
  const double table_error = (line_a_.error + line_b_.error) * scale_;
  const double first_rounding = spec_.requant.shift[0] < 0 ? std::ldexp(0.5, spec_.requant.shift[0]) : 0;
  margin_ = static_cast<std::int32_t>(std::ceil(((table_error + first_rounding) * unit) + 4)) + kMaxMove;
  return margin_ < (1 << 16);
}

bool Search::prove() { return collect_near() && move_offset(); }

bool Search::collect_near() {
  std::array<std::int32_t, 256> high_b, low_b;
  for (std::int32_t b = kLow; b <= kHigh; ++b) {
    high_b[b - kLow] = (256 * b * form_.high_b) + form_.offset + margin_;
    low_b[b - kLow] = 256 * b * form_.low_b;
  }
  const std::uint32_t mask = (1U << form_.shift) - 1;
  const auto limit = static_cast<std::uint32_t>(2 * margin_);
  for (std::int32_t a = kLow; a <= kHigh; ++a) {
    const std::int32_t high_a = 256 * a * form_.high_a, low_a = 256 * a * form_.low_a;
    const auto near = [&](std::size_t i) {
      const std::int32_t sum = high_a + high_b[i] + ((low_a + low_b[i]) >> 15);
      return (static_cast<std::uint32_t>(sum) & mask) <= limit ? 1U : 0U;
    };
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < high_b.size(); ++i) count += near(i);
    for (std::size_t i = 0; count > 0 && i < high_b.size(); ++i) {
      if (near(i) != 0) near_.push_back({a, static_cast<std::int32_t>(i) + kLow});
    }
    if (near_.size() > kMaxNearPairs) return false;
  }
  return true;
}

/// Each near pair allows the offset an interval; any common value serves.
bool Search::move_offset() {
  std::int64_t least = -kMaxMove, most = kMaxMove;
  const std::int32_t domain = spec_.is_unsigned ? 128 : 0;
  const std::int64_t clamp_min = spec_.requant.clamp_min - domain, clamp_max = spec_.requant.clamp_max - domain;
  for (const Pair pair : near_) {
    const std::int64_t wanted = std::clamp(exact(pair), clamp_min, clamp_max);
    const std::int64_t have = sum(pair);
    const std::int64_t unit = std::int64_t{1} << form_.shift;
    if (wanted > clamp_min) least = std::max(least, (wanted * unit) - have);
    if (wanted < clamp_max) most = std::min(most, ((wanted + 1) * unit) - 1 - have);
  }
  if (least > most) return false;
  form_.offset += static_cast<std::int32_t>(std::clamp<std::int64_t>(0, least, most));
  return true;
}

}  // namespace

std::optional<LinearSum> find_linear_sum(const TableSumSpec& spec) { return Search(spec).run(); }

}  // namespace wayside::accel::cpu
