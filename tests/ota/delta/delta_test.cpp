// SPDX-License-Identifier: Apache-2.0
// Deltas: what is encoded decodes to the same file, small where the change is small; damaged ones are refused.
#include "ota/delta/delta.h"

#include <gtest/gtest.h>

#include "ota/delta/delta_model.h"
#include "tests/ota/delta/synthetic_model.h"

namespace wayside::ota {
namespace {

using test::SeededRandom;

struct Memory final : ByteSink {
  Bytes bytes;
  base::Result<void> write(BytesView more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
};

DeltaExpectation expect(BytesView base, BytesView target) {
  return {
      .base_hash = sha256_of(base).value(), .target_hash = sha256_of(target).value(), .target_bytes = target.size()};
}

base::Result<Bytes> decode(BytesView delta, BytesView base, const DeltaExpectation& expected,
                           std::size_t step = 50'000) {
  const SpanSource delta_source(delta);
  const SpanSource base_source(base);
  WAYSIDE_TRY(DeltaDecoder decoder, DeltaDecoder::open(delta_source, base_source, expected));
  Memory memory;
  while (true) {
    const std::size_t before = memory.bytes.size();
    WAYSIDE_TRY(const bool done, decoder.step(memory, step));
    EXPECT_LE(memory.bytes.size() - before, step) << "a step does bounded work";
    if (done) return std::move(memory.bytes);
  }
}

Bytes concat(std::initializer_list<BytesView> parts) {
  Bytes all;
  for (const BytesView part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// Size of the better of patch and subtract; both must decode.
std::pair<std::size_t, std::size_t> sizes(const Bytes& base, const Bytes& target) {
  const auto patch = encode_delta(base, target, plan_patch(base, target));
  const auto subtract = encode_delta(base, target, plan_subtract(base, target));
  EXPECT_TRUE(patch && subtract);
  EXPECT_EQ(decode(*patch, base, expect(base, target)).value(), target);
  EXPECT_EQ(decode(*subtract, base, expect(base, target)).value(), target);
  return {patch->size(), subtract->size()};
}

TEST(DeltaTest, tiny_and_odd_files) {
  const Bytes empty;
  const Bytes one(1, std::byte{7});
  const Bytes zeros(100'000);
  const Bytes weights = test::make_weights(100'000, 1);
  for (const Bytes* base : {&empty, &one, &zeros, &weights}) {
    for (const Bytes* target : {&empty, &one, &zeros, &weights}) {
      const auto [patch, subtract] = sizes(*base, *target);
      EXPECT_LT(patch, target->size() * 82 / 100 + 200) << base->size() << " " << target->size();
      EXPECT_LT(subtract, target->size() * 82 / 100 + 200);
      if (base == target) {
        EXPECT_LE(patch, 100U);
      }
    }
  }
}

TEST(DeltaTest, an_insertion_costs_what_was_inserted) {
  const Bytes base = test::make_weights(1 << 20U, 2);
  const Bytes head = test::make_weights(1000, 3);
  const BytesView whole(base);
  const auto [patch, subtract] = sizes(base, concat({head, whole}));
  EXPECT_LT(patch, 1100U);
  EXPECT_LT(subtract, 3500U) << "two blocks more at most";
  const auto cut = sizes(base, concat({whole.first(300'000), whole.subspan(310'000)}));
  EXPECT_LT(cut.first, 200U);
  const auto swapped = sizes(base, concat({whole.subspan(500'000), head, whole.first(500'000)}));
  EXPECT_LT(swapped.first, 1200U);
}

TEST(DeltaTest, tensors_that_moved_and_changed_a_little_are_subtracted) {
  const Bytes base = test::make_weights(1 << 20U, 4);
  const Bytes head = test::make_weights(160, 5);
  const Bytes moved = concat({head, BytesView(base).first(600'000), head, BytesView(base).subspan(600'000)});
  const Bytes target = test::nudge(moved, 0.1, 6);
  const auto [patch, subtract] = sizes(base, target);
  EXPECT_LT(subtract, target.size() / 100 * 9) << "10 % of +-1 have 0.569 bits each (7.1 %)";
  EXPECT_GT(patch, 3 * subtract);
}

TEST(DeltaTest, random_edits_round_trip) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SeededRandom random(seed);
    const Bytes base = seed % 4 == 0 ? Bytes(random.below(9000)) : test::make_weights(random.below(9000), seed);
    Bytes target = base;
    for (std::uint64_t edit = random.below(6); edit > 0; --edit) {
      const auto at = static_cast<std::ptrdiff_t>(random.below(target.size() + 1));
      const auto end =
          std::min<std::ptrdiff_t>(at + static_cast<std::ptrdiff_t>(random.below(500)), std::ssize(target));
      const Bytes fresh = test::make_weights(random.below(500), random.next());
      if (random.below(2) == 0)
        target.erase(target.begin() + at, target.begin() + end);
      else
        target.insert(target.begin() + at, fresh.begin(), fresh.end());
    }
    SCOPED_TRACE(seed);
    (void)sizes(base, target);
  }
}

TEST(DeltaTest, repetitive_files_take_linear_time) {
  // The same 48 bytes over and over: every seed matches everywhere. A quadratic matcher would take minutes.
  Bytes base(4 << 20U);
  for (std::size_t i = 0; i < base.size(); ++i) base[i] = static_cast<std::byte>(i % 48);
  Bytes target = base;
  for (std::size_t i = 0; i < target.size(); i += 997) target[i] = std::byte{0xee};
  (void)sizes(base, target);
}

TEST(DeltaTest, every_flipped_byte_and_every_cut_is_refused) {
  const Bytes base = test::make_weights(3000, 7);
  const Bytes target = test::nudge(test::redraw_regions(base, 0.1, 2, 8), 0.05, 9);
  const Bytes good = encode_delta(base, target, plan_subtract(base, target)).value();
  const auto expected = expect(base, target);
  ASSERT_EQ(decode(good, base, expected).value(), target);
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes bad = good;
    bad[at] ^= std::byte{0x10};
    EXPECT_FALSE(decode(bad, base, expected)) << "flipped at " << at;
    EXPECT_FALSE(decode(BytesView(good).first(at), base, expected)) << "cut at " << at;
  }
  Bytes longer = good;
  longer.push_back(std::byte{0});
  EXPECT_EQ(decode(longer, base, expected).error().code, base::Code::corrupt);
}

TEST(DeltaTest, a_delta_for_something_else_is_refused) {
  const Bytes base = test::make_weights(3000, 7);
  const Bytes target = test::nudge(base, 0.05, 9);
  const Bytes good = encode_delta(base, target, plan_subtract(base, target)).value();
  EXPECT_EQ(decode(good, target, expect(base, target)).error().code, base::Code::corrupt) << "lying base";
  EXPECT_FALSE(decode(good, BytesView(base).first(2999), expect(base, target)));
  EXPECT_FALSE(decode(good, base, expect(base, base)));
  EXPECT_FALSE(decode(good, target, expect(target, target)));
}

TEST(DeltaTest, plans_that_do_not_cover_the_file_are_refused) {
  const Bytes base(100), target(100);
  EXPECT_FALSE(encode_delta(base, target, {}));
  EXPECT_FALSE(encode_delta(base, target, {{.kind = DeltaKind::copy, .base_offset = 1, .bytes = 100}}));
  EXPECT_FALSE(encode_delta(base, target, {{.kind = DeltaKind::insert, .bytes = 101}}));
  EXPECT_FALSE(encode_delta(base, target, {{.kind = DeltaKind::insert, .bytes = 0}}));
}

TEST(DeltaTest, figures_of_the_design_hold_on_two_mebibytes) {
  const Bytes base = test::make_weights(2 << 20U, 10);
  const double full = 0.80 * static_cast<double>(base.size());  // entropy of N(0,20): 6.37 bits a byte
  const auto percent = [&](const Bytes& target) {
    const auto [patch, subtract] = sizes(base, target);
    return 100 * static_cast<double>(std::min(patch, subtract)) / full;
  };
  EXPECT_LE(percent(test::redraw_regions(base, 0.01, 1, 11)), 1.2);
  EXPECT_LE(percent(test::redraw_regions(base, 0.01, 64, 12)), 1.45) << "regions are 25 times smaller than in 50 MiB";
  EXPECT_LE(percent(test::nudge(base, 0.01, 13)), 2.0);
  EXPECT_LE(percent(test::nudge(base, 0.3, 14)), 19.5);
}

}  // namespace
}  // namespace wayside::ota
