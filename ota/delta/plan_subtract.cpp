// SPDX-License-Identifier: Apache-2.0
// Aligned subtraction: for each block the shift against the old file whose residuals cost least.
#include <algorithm>
#include <array>
#include <cmath>

#include "ota/delta/delta.h"
#include "ota/delta/delta_model.h"
#include "ota/delta/seed_index.h"

namespace wayside::ota {
namespace {

constexpr std::size_t kBlockBytes = 1024;
/// Tensors lie at multiples of 16 in a .tflite, and 16 equal weights in a row are no accident.
constexpr std::size_t kSeedBytes = 16;
/// Shifts that a block tries besides the last one, none, and alignment at the end.
constexpr std::size_t kMaxSeedShifts = 2;

struct Choice {
  DeltaKind kind = DeltaKind::insert;
  std::int64_t shift = 0;
  double bits = 0;
};

/// Order-0 entropy of a block in bits.
class Entropy {
 public:
  Entropy() {
    for (std::size_t n = 2; n <= kBlockBytes; ++n)
      n_log_n_[n] = static_cast<double>(n) * std::log2(static_cast<double>(n));
  }
  template <class At>
  [[nodiscard]] double bits(std::size_t count, At at) const {
    std::array<std::uint16_t, 256> histogram{};
    for (std::size_t i = 0; i < count; ++i) ++histogram[at(i)];
    double sum = n_log_n_[count];
    for (const std::uint16_t n : histogram) sum -= n_log_n_[n];
    return sum;
  }

 private:
  std::array<double, kBlockBytes + 1> n_log_n_{};
};

class Planner {
 public:
  Planner(BytesView base, BytesView target) : base_(base), target_(target), seeds_(base, kSeedBytes) {}

  std::vector<DeltaStep> plan() {
    std::vector<DeltaStep> steps;
    for (std::size_t at = 0; at < target_.size(); at += kBlockBytes) {
      const BytesView block = target_.subspan(at, std::min(kBlockBytes, target_.size() - at));
      const Choice choice = choose(at, block);
      const auto from = static_cast<std::uint64_t>(static_cast<std::int64_t>(at) + choice.shift);
      const bool insert = choice.kind == DeltaKind::insert;
      const bool joins = !steps.empty() && steps.back().kind == choice.kind &&
                         (insert || steps.back().base_offset + steps.back().bytes == from);
      if (joins) {
        steps.back().bytes += block.size();
      } else {
        steps.push_back({.kind = choice.kind, .base_offset = insert ? 0 : from, .bytes = block.size()});
      }
    }
    return steps;
  }

 private:
  /// The old bytes under `block` at this shift; empty where they are not all there.
  [[nodiscard]] BytesView under(std::size_t at, BytesView block, std::int64_t shift) const {
    const std::int64_t from = static_cast<std::int64_t>(at) + shift;
    if (from < 0 || static_cast<std::size_t>(from) + block.size() > base_.size()) return {};
    return base_.subspan(static_cast<std::size_t>(from), block.size());
  }

  void consider(Choice& best, std::size_t at, BytesView block, std::int64_t shift) const {
    const BytesView old = under(at, block, shift);
    if (old.empty()) return;
    if (std::ranges::equal(old, block)) {
      if (best.kind != DeltaKind::copy || best.bits > 0) best = {.kind = DeltaKind::copy, .shift = shift, .bits = 0};
      return;
    }
    const double bits = entropy_.bits(block.size(), [&](std::size_t i) {
      return static_cast<std::uint8_t>(std::to_integer<int>(block[i]) - std::to_integer<int>(old[i]));
    });
    if (bits < best.bits) best = {.kind = DeltaKind::add, .shift = shift, .bits = bits};
  }

  Choice choose(std::size_t at, BytesView block) {
    Choice best{
        .bits = entropy_.bits(block.size(), [&](std::size_t i) { return std::to_integer<std::uint8_t>(block[i]); })};
    const double alone = best.bits;
    consider(best, at, block, last_shift_);
    if (best.kind == DeltaKind::copy) return best;
    consider(best, at, block, 0);
    consider(best, at, block, static_cast<std::int64_t>(base_.size()) - static_cast<std::int64_t>(target_.size()));
    // Looking further pays where no shift has been found that explains half of the block.
    if (best.bits > alone / 2) {
      for (const std::int64_t shift : seed_shifts(at, block)) consider(best, at, block, shift);
    }
    if (best.kind != DeltaKind::insert) last_shift_ = best.shift;
    return best;
  }

  [[nodiscard]] std::vector<std::int64_t> seed_shifts(std::size_t at, BytesView block) const {
    std::vector<std::int64_t> shifts;
    if (block.size() < kSeedBytes) return shifts;
    RollingHash hash(kSeedBytes);
    for (const std::byte byte : block.first(kSeedBytes)) hash.add(byte);
    for (std::size_t i = 0;; ++i) {
      if (const auto found = seeds_.find(hash.value(), block.subspan(i, kSeedBytes))) {
        const auto shift = static_cast<std::int64_t>(*found) - static_cast<std::int64_t>(at + i);
        if (std::ranges::find(shifts, shift) == shifts.end()) shifts.push_back(shift);
      }
      if (shifts.size() == kMaxSeedShifts || i + kSeedBytes == block.size()) return shifts;
      hash.roll(block[i], block[i + kSeedBytes]);
    }
  }

  BytesView base_, target_;
  SeedIndex seeds_;
  Entropy entropy_;
  std::int64_t last_shift_ = 0;
};

}  // namespace

std::vector<DeltaStep> plan_subtract(BytesView base, BytesView target) { return Planner(base, target).plan(); }

}  // namespace wayside::ota
