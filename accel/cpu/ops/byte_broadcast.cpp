// SPDX-License-Identifier: Apache-2.0
// Makes the runs that a kernel sees as long as the shapes allow.
#include "accel/cpu/ops/byte_broadcast.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace wayside::accel::cpu::ops {
namespace {

constexpr std::size_t kInner = kMaxRank - 1, kOuter = kMaxRank - 2;
/// Copies of a short row together: long against the cost of a call, short against a level-1 cache.
constexpr std::size_t kCopiesBytes = 4096;

}  // namespace

ByteBroadcast::ByteBroadcast(const Broadcast& shapes, std::unique_ptr<BinaryKernel> kernel)
    : shapes_(shapes), kernel_(std::move(kernel)) {
  const auto& [out_shape, dims, stride_a, stride_b] = shapes_;
  const bool dense_inner = stride_a[kInner] != 0 && stride_b[kInner] != 0;
  const bool one_run = std::ranges::all_of(dims.begin(), dims.begin() + kInner, [](auto dim) { return dim == 1; });
  const bool two_dims = std::ranges::all_of(dims.begin(), dims.begin() + kOuter, [](auto dim) { return dim == 1; });
  if (dense_inner && one_run) {
    repeat_ = Repeat::none;
  } else if (dense_inner && two_dims && (stride_a[kOuter] == 0) != (stride_b[kOuter] == 0)) {
    repeat_ = Repeat::row;
    repeats_a_ = stride_a[kOuter] == 0;
  }
  row_count_ = out_shape.element_count() / row_bytes();
  copies_ = std::clamp<std::size_t>(kCopiesBytes / row_bytes(), 1, row_count_);
}

std::size_t ByteBroadcast::scratch_bytes() const {
  switch (repeat_) {
    case Repeat::none: return 0;
    case Repeat::row: return copies_ * row_bytes();
    case Repeat::any: return 2 * copies_ * row_bytes();
  }
  return 0;
}

void ByteBroadcast::run(const RunContext& context) const {
  switch (repeat_) {
    case Repeat::none:
      kernel_->run(context.input<std::uint8_t>(0), context.input<std::uint8_t>(1), context.output<std::uint8_t>(),
                   row_bytes(), context.pool);
      return;
    case Repeat::row: run_rows(context); return;
    case Repeat::any: run_any(context); return;
  }
}

void ByteBroadcast::run_rows(const RunContext& context) const {
  auto* copies = reinterpret_cast<std::uint8_t*>(context.scratch);
  const std::size_t bytes = row_bytes();
  for (std::size_t i = 0; i < copies_; ++i) {
    std::memcpy(copies + (i * bytes), context.input<std::uint8_t>(repeats_a_ ? 0 : 1), bytes);
  }
  const std::uint8_t* rows = context.input<std::uint8_t>(repeats_a_ ? 1 : 0);
  std::uint8_t* out = context.output<std::uint8_t>();
  for (std::size_t row = 0; row < row_count_; row += copies_) {
    const std::size_t at = row * bytes, size = std::min(copies_, row_count_ - row) * bytes;
    kernel_->run(repeats_a_ ? copies : rows + at, repeats_a_ ? rows + at : copies, out + at, size, context.pool);
  }
}

void ByteBroadcast::run_any(const RunContext& context) const {
  const std::size_t bytes = row_bytes();
  auto* rows_a = reinterpret_cast<std::uint8_t*>(context.scratch);
  auto* rows_b = rows_a + copies_ * bytes;
  const auto place = [bytes](std::uint8_t* to, const std::uint8_t* from, std::ptrdiff_t stride) {
    stride == 0 ? std::memset(to, *from, bytes) : std::memcpy(to, from, bytes);
  };
  std::uint8_t* out = context.output<std::uint8_t>();
  std::size_t ready = 0, left = row_count_;
  shapes_.for_each_row([&](std::ptrdiff_t at_a, std::ptrdiff_t at_b) {
    place(rows_a + ready * bytes, context.input<std::uint8_t>(0) + at_a, shapes_.stride_a[kInner]);
    place(rows_b + ready * bytes, context.input<std::uint8_t>(1) + at_b, shapes_.stride_b[kInner]);
    --left;
    if (++ready < copies_ && left > 0) return;
    kernel_->run(rows_a, rows_b, out, ready * bytes, context.pool);
    out += ready * bytes;
    ready = 0;
  });
}

}  // namespace wayside::accel::cpu::ops
