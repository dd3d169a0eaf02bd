// SPDX-License-Identifier: Apache-2.0
// Truncated and bit-flipped models: an error or a model that runs, never a crash. Run it under the sanitizers too.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "accel/cpu/cpu_session.h"
#include "tests/accel/model_builder.h"

namespace wayside::accel::cpu {
namespace {

using testing::ModelBuilder;

/// Loads an exact copy, so that sanitizers see every read beyond it; runs what loads.
bool load_and_run(std::span<const std::byte> bytes) {
  const std::vector<std::byte> exact(bytes.begin(), bytes.end());
  auto session = CpuSession::create(exact, {}, best_level());
  if (!session) {
    EXPECT_FALSE(session.error().message.empty());
    EXPECT_EQ(session.error().message.find('\n'), std::string::npos) << session.error().message;
    return false;
  }
  constexpr std::uint64_t kRunnableMacs = 100'000'000;  // a flip in a shape must not make the test slow
  if ((*session)->info().mac_count > kRunnableMacs) return true;
  EXPECT_TRUE((*session)->run());
  return true;
}

TEST(DamagedModelTest, TruncationAtEveryByte) {
  const auto bytes = testing::small_model().build();
  ASSERT_TRUE(load_and_run(bytes));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    load_and_run(std::span(bytes).first(length));
  }
}

void flip_bits(const std::vector<std::byte>& bytes, std::uint32_t seed, int rounds, std::size_t most_flips) {
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < rounds; ++round) {
    auto damaged = bytes;
    const std::size_t flips = 1 + (random() % most_flips);
    for (std::size_t i = 0; i < flips; ++i) {
      damaged[random() % damaged.size()] ^= static_cast<std::byte>(1U << (random() % 8));
    }
    load_and_run(damaged);
  }
}

TEST(DamagedModelTest, SeededBitFlips) { flip_bits(testing::small_model().build(), 1, 4000, 3); }

/// Every operator that takes constants or options which decide where it reads and writes.
ModelBuilder layout_model() {
  using schema::BuiltinOptions;
  ModelBuilder model;
  const auto in = model.activation({1, 4, 6, 2});
  const auto padded = model.activation({1, 6, 8, 2});
  model.op(OpCode::pad, {in, model.constant_i32({0, 0, 1, 1, 1, 1, 0, 0}, {4, 2})}, {padded});
  const auto turned = model.activation({1, 8, 6, 2});
  model.op(OpCode::transpose, {padded, model.constant_i32({0, 2, 1, 3})}, {turned});
  const auto sliced = model.activation({1, 4, 3, 2});
  model.op(
      OpCode::strided_slice,
      {turned, model.constant_i32({0, 0, 0, 0}), model.constant_i32({1, 8, 6, 2}), model.constant_i32({1, 2, 2, 1})},
      {sliced}, BuiltinOptions::StridedSliceOptions,
      [](auto& fbb) { return schema::CreateStridedSliceOptions(fbb, 1); });
  const auto cut = model.activation({1, 2, 3, 2});
  model.op(OpCode::slice, {sliced, model.constant_i32({0, 1, 0, 0}), model.constant_i32({1, 2, -1, 2})}, {cut});
  const auto left = model.activation({1, 2, 3, 1}), right = model.activation({1, 2, 3, 1});
  model.op(OpCode::split, {model.constant_i32({3}), cut}, {left, right}, BuiltinOptions::SplitOptions,
           [](auto& fbb) { return schema::CreateSplitOptions(fbb, 2); });
  const auto joined = model.activation({1, 2, 3, 2});
  model.op(OpCode::concatenation, {left, right}, {joined}, BuiltinOptions::ConcatenationOptions,
           [](auto& fbb) { return schema::CreateConcatenationOptions(fbb, 3); });
  const auto larger = model.activation({1, 5, 7, 2});
  model.op(OpCode::resize_bilinear, {joined, model.constant_i32({5, 7})}, {larger},
           BuiltinOptions::ResizeBilinearOptions,
           [](auto& fbb) { return schema::CreateResizeBilinearOptions(fbb, false, true); });
  const auto nearest = model.activation({1, 3, 4, 2});
  model.op(OpCode::resize_nearest_neighbor, {larger, model.constant_i32({3, 4})}, {nearest},
           BuiltinOptions::ResizeNearestNeighborOptions,
           [](auto& fbb) { return schema::CreateResizeNearestNeighborOptions(fbb, true); });
  const auto weights = model.tensor({.name = "w",
                                     .shape = {2, 2, 2, 2},
                                     .scales = {0.01F, 0.02F},
                                     .zero_points = {0, 0},
                                     .data = std::vector<std::uint8_t>(16, 3)});
  const auto spread = model.activation({1, 6, 8, 2});
  model.op(OpCode::transpose_conv, {model.constant_i32({1, 6, 8, 2}), weights, nearest}, {spread},
           BuiltinOptions::TransposeConvOptions,
           [](auto& fbb) { return schema::CreateTransposeConvOptions(fbb, schema::Padding::SAME, 2, 2); });
  const auto slopes =
      model.tensor({.name = "a", .shape = {1, 1, 2}, .scales = {0.1F}, .zero_points = {0}, .data = {1, 2}});
  const auto bent = model.activation({1, 6, 8, 2});
  model.op(OpCode::prelu, {spread, slopes}, {bent});
  const auto mean = model.activation({1, 2});
  model.op(OpCode::mean, {bent, model.constant_i32({1, 2})}, {mean});
  const auto packed = model.activation({1, 2, 2});
  model.op(OpCode::pack, {mean, mean}, {packed}, BuiltinOptions::PackOptions,
           [](auto& fbb) { return schema::CreatePackOptions(fbb, 2, 1); });
  const auto top = model.activation({1, 2}), bottom = model.activation({1, 2});
  model.op(OpCode::unpack, {packed}, {top, bottom}, BuiltinOptions::UnpackOptions,
           [](auto& fbb) { return schema::CreateUnpackOptions(fbb, 2, 1); });
  const auto product = model.activation({1, 2});
  model.op(OpCode::mul, {top, bottom}, {product});
  model.inputs = {in};
  model.outputs = {product};
  return model;
}

TEST(DamagedModelTest, LayoutOperatorsRun) { EXPECT_TRUE(load_and_run(layout_model().build())); }

TEST(DamagedModelTest, SeededBitFlipsInLayoutOperators) { flip_bits(layout_model().build(), 2, 4000, 3); }

}  // namespace
}  // namespace wayside::accel::cpu
