// SPDX-License-Identifier: Apache-2.0
// The helpers under the operators against naive loops; the operators themselves are compared with TFLite's reference
// kernels in tests/conformance.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "accel/cpu/ops/broadcast.h"
#include "accel/cpu/ops/op_table.h"
#include "accel/cpu/ops/operator.h"
#include "accel/cpu/ops/strided_copy.h"

namespace wayside::accel::cpu {
namespace {

constexpr std::uint32_t kSeed = 11;

TEST(OpTableTest, CodesAndNamesAreUnique) {
  std::set<std::int32_t> codes;
  std::set<std::string_view> names;
  for (const auto& entry : op_table()) {
    EXPECT_TRUE(codes.insert(static_cast<std::int32_t>(entry.code)).second) << entry.name;
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_EQ(find_op(static_cast<std::int32_t>(entry.code)), &entry);
  }
  EXPECT_EQ(find_op(static_cast<std::int32_t>(OpCode::custom)), nullptr);
  EXPECT_EQ(find_op(-1), nullptr);
}

TEST(WindowAxisTest, SameAndValid) {
  const auto same = window_axis(Padding::same, 5, 3, 2, 1);
  ASSERT_TRUE(same);
  EXPECT_EQ(same->out, 3);
  EXPECT_EQ(same->pad_before, 1);
  const auto uneven = window_axis(Padding::same, 224, 3, 2, 1);
  ASSERT_TRUE(uneven);
  EXPECT_EQ(uneven->out, 112);
  EXPECT_EQ(uneven->pad_before, 0);  // the odd one goes behind
  const auto valid = window_axis(Padding::valid, 7, 3, 2, 2);
  ASSERT_TRUE(valid);
  EXPECT_EQ(valid->out, 2);
  EXPECT_FALSE(window_axis(Padding::valid, 2, 3, 1, 1));
  EXPECT_FALSE(window_axis(Padding::same, 5, 0, 1, 1));
  EXPECT_FALSE(window_axis(Padding::same, 5, 3, 0, 1));
  EXPECT_FALSE(window_axis(Padding::same, 5, 3, 1, -1));
}

std::size_t flat(const std::vector<std::int32_t>& index, const Shape& shape) {
  std::size_t at = 0;
  const std::size_t skip = index.size() - shape.rank();
  for (std::size_t d = 0; d < shape.rank(); ++d) {
    at = at * static_cast<std::size_t>(shape[d]) + (shape[d] == 1 ? 0 : static_cast<std::size_t>(index[skip + d]));
  }
  return at;
}

bool next(std::vector<std::int32_t>& index, const Shape& shape) {
  for (std::size_t d = shape.rank(); d-- > 0;) {
    if (++index[d] < shape[d]) return true;
    index[d] = 0;
  }
  return false;
}

TEST(BroadcastTest, EqualsTheNaiveWalk) {
  std::mt19937 random(kSeed);
  for (int round = 0; round < 500; ++round) {
    std::vector<std::int32_t> dims(1 + (random() % 5)), a_dims, b_dims;
    for (auto& dim : dims) dim = 1 + static_cast<std::int32_t>(random() % 4);
    a_dims = b_dims = dims;
    for (auto& dim : a_dims) dim = random() % 3 == 0 ? 1 : dim;
    for (auto& dim : b_dims) dim = random() % 3 == 0 ? 1 : dim;
    b_dims.erase(b_dims.begin(), b_dims.begin() + static_cast<std::ptrdiff_t>(random() % b_dims.size()));
    const Shape a{std::span<const std::int32_t>(a_dims)}, b{std::span<const std::int32_t>(b_dims)};
    const auto broadcast = ops::Broadcast::create(a, b);
    ASSERT_TRUE(broadcast) << to_string(a) << to_string(b);
    std::vector<int> va(a.element_count()), vb(b.element_count()), out(broadcast->out_shape.element_count());
    std::iota(va.begin(), va.end(), 1);
    std::iota(vb.begin(), vb.end(), 1);
    broadcast->apply(va.data(), vb.data(), out.data(), [](int x, int y) { return x * 1000 + y; });
    std::vector<std::int32_t> index(broadcast->out_shape.rank(), 0);
    std::size_t i = 0;
    do {
      ASSERT_EQ(out[i], va[flat(index, a)] * 1000 + vb[flat(index, b)])
          << to_string(a) << to_string(b) << " element " << i << " seed " << kSeed;
      ++i;
    } while (next(index, broadcast->out_shape));
  }
}

TEST(BroadcastTest, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(ops::Broadcast::create(Shape{2, 3}, Shape{2, 4}));
  EXPECT_FALSE(ops::Broadcast::create(Shape{2}, Shape{3}));
}

TEST(StridedCopyTest, PermutationsEqualTheNaiveCopy) {
  std::mt19937 random(kSeed);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::int32_t> dims(1 + (random() % 5));
    for (auto& dim : dims) dim = 1 + static_cast<std::int32_t>(random() % 4);
    const Shape in{std::span<const std::int32_t>(dims)};
    std::vector<std::size_t> order(in.rank());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::shuffle(order, random);
    const auto strides = ops::dense_strides(in.extended());
    const std::size_t front = kMaxRank - in.rank();
    ops::StridedCopy copy;
    copy.dims.fill(1);
    std::vector<std::int32_t> out_dims;
    for (std::size_t d = 0; d < order.size(); ++d) {
      out_dims.push_back(in[order[d]]);
      copy.dims[front + d] = in[order[d]];
      copy.in_stride[front + d] = strides[front + order[d]];
    }
    copy.out_stride = ops::dense_strides(copy.dims);
    copy.element_bytes = sizeof(std::int32_t);
    std::vector<std::int32_t> from(in.element_count()), to(in.element_count(), -1);
    std::iota(from.begin(), from.end(), 0);
    copy.run(reinterpret_cast<const std::byte*>(from.data()), reinterpret_cast<std::byte*>(to.data()));
    const Shape out{std::span<const std::int32_t>(out_dims)};
    std::vector<std::int32_t> index(out.rank(), 0);
    std::size_t i = 0;
    do {
      std::vector<std::int32_t> source(index.size());
      for (std::size_t d = 0; d < order.size(); ++d) source[order[d]] = index[d];
      ASSERT_EQ(to[i++], from[flat(source, in)]) << to_string(in) << " seed " << kSeed;
    } while (next(index, out));
  }
}

TEST(StridedCopyTest, BackwardsAndWithGaps) {
  ops::StridedCopy copy;
  copy.dims.fill(1);
  copy.dims[5] = 3;
  copy.in_stride[5] = -2;
  copy.in_offset = 5;
  copy.out_stride[5] = 1;
  const char in[] = "abcdef";
  char out[4] = {};
  copy.run(reinterpret_cast<const std::byte*>(in), reinterpret_cast<std::byte*>(out));
  EXPECT_STREQ(out, "fdb");
}

}  // namespace
}  // namespace wayside::accel::cpu
