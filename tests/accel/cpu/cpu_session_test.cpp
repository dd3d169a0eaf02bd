// SPDX-License-Identifier: Apache-2.0
// Sessions: interface, aliases, constants, several inputs, threads, no allocation while running.
#include "accel/cpu/cpu_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <thread>

#include "tests/accel/model_builder.h"
#include "tests/allocation_counter.h"

namespace wayside::accel::cpu {
namespace {

using ::testing::ElementsAre;
using testing::ModelBuilder;
using testing::small_model;

std::unique_ptr<CpuSession> create(const ModelBuilder& model, unsigned thread_count = 1) {
  const auto bytes = model.build();  // freed on return: the session must not need it
  auto session = CpuSession::create(bytes, {.thread_count = thread_count, .split_all = true}, best_level());
  EXPECT_TRUE(session) << session.error().message;
  return session ? std::move(*session) : nullptr;
}

std::vector<int> output_of(const CpuSession& session, std::size_t index = 0) {
  std::vector<int> values;
  for (const std::byte byte : session.output(index)) values.push_back(std::to_integer<std::int8_t>(byte));
  return values;
}

void set_input(CpuSession& session, std::size_t index, const std::vector<int>& values) {
  const auto input = session.input(index);
  ASSERT_EQ(input.size(), values.size());
  std::ranges::transform(values, input.begin(), [](int value) { return static_cast<std::byte>(value); });
}

TEST(CpuSessionTest, DescribesInputsOutputsAndSizes) {
  const auto session = create(small_model());
  ASSERT_TRUE(session);
  ASSERT_EQ(session->inputs().size(), 1U);
  EXPECT_THAT(session->inputs()[0].shape, ElementsAre(1, 4, 4, 2));
  EXPECT_EQ(session->inputs()[0].type, DType::i8);
  EXPECT_FLOAT_EQ(session->inputs()[0].quantization.scale, 0.02F);
  EXPECT_EQ(session->inputs()[0].quantization.zero_point, -1);
  EXPECT_EQ(session->input(0).size(), 32U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(session->input(0).data()) % 64, 0U);
  ASSERT_EQ(session->outputs().size(), 1U);
  EXPECT_EQ(session->output(0).size(), 3U);
  EXPECT_EQ(session->info().mac_count, 16U * 18 * 4 + 48);
  EXPECT_GT(session->info().weight_bytes, 0U);
  EXPECT_GT(session->info().arena_bytes, 0U);
  EXPECT_EQ(session->operators().size(), 5U);
  EXPECT_FALSE(session->operators()[2].runs);  // RESHAPE
}

TEST(CpuSessionTest, ProbabilitiesAddUpAndRunsRepeat) {
  const auto session = create(small_model());
  ASSERT_TRUE(session);
  const std::vector<int> picture = [] {
    std::vector<int> values(32);
    for (int i = 0; i < 32; ++i) values[static_cast<std::size_t>(i)] = i * 7 % 256 - 128;
    return values;
  }();
  set_input(*session, 0, picture);
  ASSERT_TRUE(session->run());
  const auto first = output_of(*session);
  int sum = 0;
  for (const int value : first) sum += value + 128;
  EXPECT_NEAR(sum, 256, 3);
  set_input(*session, 0, picture);
  EXPECT_EQ(output_of(*session), first) << "writing the input must not change the last output";
  ASSERT_TRUE(session->run());
  EXPECT_EQ(output_of(*session), first);
}

TEST(CpuSessionTest, RunAllocatesNothing) {
  for (const unsigned threads : {1U, 2U}) {
    const auto session = create(small_model(), threads);
    ASSERT_TRUE(session);
    ASSERT_TRUE(session->run());
    const std::size_t before = test::allocation_count();
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(session->run());
    EXPECT_EQ(test::allocation_count(), before) << threads << " threads";
  }
}

TEST(CpuSessionTest, SessionsShareThreadsFromSeveralCallers) {
  const auto threads = make_cpu_threads({.thread_count = 2});
  const auto bytes = small_model().build();
  const std::vector<int> picture(32, 55);
  const auto alone = create(small_model());
  set_input(*alone, 0, picture);
  ASSERT_TRUE(alone->run());
  std::vector<std::unique_ptr<CpuSession>> sessions;
  for (int priority = 0; priority < 3; ++priority) {
    auto session =
        CpuSession::create(bytes, {.threads = threads, .priority = priority, .split_all = true}, best_level());
    ASSERT_TRUE(session) << session.error().message;
    sessions.push_back(std::move(*session));
  }
  std::vector<std::thread> callers;
  std::atomic<int> wrong = 0;
  for (auto& session : sessions) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        set_input(*session, 0, picture);
        if (!session->run() || output_of(*session) != output_of(*alone)) ++wrong;
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(CpuSessionTest, AReshapedInputAsOutputIsACopy) {
  ModelBuilder model;
  const auto in = model.activation({2, 3}), flat = model.activation({6}), out = model.activation({3, 2});
  model.op(OpCode::reshape, {in, model.constant_i32({6})}, {flat});
  model.op(OpCode::reshape, {flat, model.constant_i32({3, 2})}, {out});
  model.inputs = {in};
  model.outputs = {out};
  const auto session = create(model);
  ASSERT_TRUE(session);
  set_input(*session, 0, {1, 2, 3, 4, 5, 6});
  ASSERT_TRUE(session->run());
  set_input(*session, 0, {0, 0, 0, 0, 0, 0});
  EXPECT_THAT(output_of(*session), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(CpuSessionTest, AReshapedConstantNeedsNoWork) {
  ModelBuilder model;
  const auto in = model.activation({1, 2});
  const auto constant = model.tensor({.name = "c", .shape = {2}, .scales = {0.5F}, .zero_points = {0}, .data = {3, 4}});
  const auto row = model.activation({1, 2}), sum = model.activation({1, 2});
  model.op(OpCode::reshape, {constant, model.constant_i32({1, 2})}, {row});
  model.op(OpCode::add, {in, row}, {sum});
  model.inputs = {in};
  model.outputs = {sum, row};
  const auto session = create(model);
  ASSERT_TRUE(session);
  set_input(*session, 0, {10, 20});
  ASSERT_TRUE(session->run());
  EXPECT_THAT(output_of(*session, 0), ElementsAre(13, 24));
  EXPECT_THAT(output_of(*session, 1), ElementsAre(3, 4));
}

TEST(CpuSessionTest, SeveralInputsAndOutputsKeepTheirOrder) {
  ModelBuilder model;
  const auto a = model.activation({1, 2}), b = model.activation({1, 2});
  const auto sum = model.activation({1, 2}), difference = model.activation({1, 2});
  model.op(OpCode::sub, {a, b}, {difference});
  model.op(OpCode::add, {a, b}, {sum});
  model.inputs = {b, a};
  model.outputs = {sum, difference};
  const auto session = create(model);
  ASSERT_TRUE(session);
  set_input(*session, 0, {1, 2});
  set_input(*session, 1, {10, 20});
  ASSERT_TRUE(session->run());
  EXPECT_THAT(output_of(*session, 0), ElementsAre(11, 22));
  EXPECT_THAT(output_of(*session, 1), ElementsAre(9, 18));
}

TEST(CpuSessionTest, AnUnreadInputKeepsItsPlaceApart) {
  ModelBuilder model;
  const auto used = model.activation({1, 2}), unused = model.activation({1, 4}), out = model.activation({1, 2});
  model.op(OpCode::relu, {used}, {out});
  model.inputs = {unused, used};
  model.outputs = {out};
  const auto session = create(model);
  ASSERT_TRUE(session);
  set_input(*session, 1, {-5, 6});
  set_input(*session, 0, {9, 9, 9, 9});
  ASSERT_TRUE(session->run());
  EXPECT_THAT(output_of(*session), ElementsAre(0, 6));
}

std::int32_t concatenate(ModelBuilder& model, const std::vector<std::int32_t>& parts, int rows, int axis = 0) {
  const auto joined = model.activation({rows, 100});
  model.op(OpCode::concatenation, parts, {joined}, schema::BuiltinOptions::ConcatenationOptions,
           [axis](auto& fbb) { return schema::CreateConcatenationOptions(fbb, axis); });
  return joined;
}

/// Parts are computed where the concatenation has them, unless they are read later, twice there, or model inputs.
ModelBuilder joining_model() {
  ModelBuilder model;
  const auto in = model.activation({1, 100}), other = model.activation({1, 100});
  const auto relu = [&](std::int32_t from, int rows) {
    const auto out = model.activation({rows, 100});
    model.op(OpCode::relu, {from}, {out});
    return out;
  };
  const auto first = relu(in, 1), read_later = relu(other, 1), second = model.activation({1, 100});
  model.op(OpCode::add, {in, other}, {second});
  const auto inner = concatenate(model, {first, second, first, in, read_later}, 5);
  const auto outer = concatenate(model, {relu(second, 1), inner, second}, 7);
  const auto last = model.activation({7, 100}), shown = model.activation({1, 100});
  model.op(OpCode::add, {outer, read_later}, {last});  // may write over `outer`
  model.op(OpCode::sub, {read_later, in}, {shown});
  model.inputs = {in, other};
  model.outputs = {last, shown, concatenate(model, {relu(shown, 1), relu(in, 1)}, 2)};
  return model;
}

TEST(CpuSessionTest, PartsOfAConcatenationTakeNoRoomOfTheirOwn) {
  ModelBuilder model;
  const auto in = model.activation({1, 100}), other = model.activation({1, 100});
  const auto sum = model.activation({1, 100}), difference = model.activation({1, 100});
  const auto product = model.activation({1, 100});
  model.op(OpCode::add, {in, other}, {sum});
  model.op(OpCode::sub, {in, other}, {difference});
  model.op(OpCode::mul, {in, other}, {product});
  model.inputs = {in, other};
  model.outputs = {concatenate(model, {sum, difference}, 2), product};
  const auto session = create(model);
  ASSERT_TRUE(session);
  EXPECT_EQ(session->info().arena_bytes, 128U + 128 + 256 + 128);  // both inputs, both outputs
}

TEST(CpuSessionTest, PartsOfAConcatenationAreComputedInPlace) {
  const auto session = create(joining_model());
  const auto bytes = joining_model().build();
  const auto copying = CpuSession::create(bytes, {.thread_count = 1}, Level::reference);
  ASSERT_TRUE(session && copying) << copying.error().message;
  for (int round = 0; round < 2; ++round) {
    for (CpuSession* one : {session.get(), copying->get()}) {
      for (std::size_t index = 0; index < 2; ++index) {
        std::vector<int> values(100);
        for (int i = 0; i < 100; ++i) values[static_cast<std::size_t>(i)] = (i * (7 + round) + 50) % 256 - 128;
        set_input(*one, index, values);
      }
      ASSERT_TRUE(one->run());
    }
    for (std::size_t index = 0; index < 3; ++index) {
      EXPECT_EQ(output_of(*session, index), output_of(**copying, index)) << "output " << index;
    }
  }
}

/// Bytes of item `item` of input `index`: different for all.
std::vector<int> item_values(std::size_t count, std::size_t item, std::size_t index) {
  std::vector<int> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<int>((i * 37 + item * 101 + index * 11) % 256) - 128;
  }
  return values;
}

/// Every item of every batch size equals the same item alone, also when the sizes change.
void expect_items_alone(const ModelBuilder& model, std::size_t max_batch, unsigned thread_count) {
  const auto alone = create(model);
  const auto bytes = model.build();
  const SessionOptions options{.thread_count = thread_count, .max_batch = max_batch, .split_all = true};
  const auto batched = CpuSession::create(bytes, options, best_level());
  ASSERT_TRUE(batched) << batched.error().message;
  CpuSession& session = **batched;
  EXPECT_EQ(session.max_batch(), max_batch);
  for (const std::size_t count : {max_batch, std::size_t{1}, (max_batch + 1) / 2, max_batch}) {
    ASSERT_TRUE(session.set_batch(count));
    for (std::size_t index = 0; index < session.inputs().size(); ++index) {
      const std::size_t size = alone->input(index).size();
      std::vector<int> all;
      for (std::size_t item = 0; item < count; ++item)
        std::ranges::copy(item_values(size, item, index), std::back_inserter(all));
      EXPECT_EQ(session.inputs()[index].byte_count(), all.size());
      set_input(session, index, all);
    }
    ASSERT_TRUE(session.run());
    for (std::size_t item = 0; item < count; ++item) {
      for (std::size_t index = 0; index < session.inputs().size(); ++index) {
        set_input(*alone, index, item_values(alone->input(index).size(), item, index));
      }
      ASSERT_TRUE(alone->run());
      for (std::size_t index = 0; index < session.outputs().size(); ++index) {
        const auto expected = output_of(*alone, index), got = output_of(session, index);
        ASSERT_EQ(got.size(), expected.size() * count);
        ASSERT_TRUE(std::ranges::equal(expected, std::span(got).subspan(item * expected.size(), expected.size())))
            << "item " << item << " of " << count << ", output " << index << ", " << thread_count << " threads";
      }
    }
  }
}

TEST(CpuSessionTest, ItemsOfABatchEqualSingleRuns) {
  ModelBuilder constant_output;
  const auto in = constant_output.activation({1, 2});
  const auto constant =
      constant_output.tensor({.name = "c", .shape = {2}, .scales = {0.5F}, .zero_points = {0}, .data = {3, 4}});
  const auto row = constant_output.activation({1, 2}), sum = constant_output.activation({1, 2});
  constant_output.op(OpCode::reshape, {constant, constant_output.constant_i32({1, 2})}, {row});
  constant_output.op(OpCode::add, {in, row}, {sum});
  constant_output.inputs = {in};
  constant_output.outputs = {sum, row};
  ModelBuilder two_inputs;
  const auto a = two_inputs.activation({3}), b = two_inputs.activation({3});
  const auto difference = two_inputs.activation({3}), flat = two_inputs.activation({1, 3});
  two_inputs.op(OpCode::sub, {a, b}, {difference});
  two_inputs.op(OpCode::reshape, {a, two_inputs.constant_i32({1, 3})}, {flat});
  two_inputs.inputs = {b, a};
  two_inputs.outputs = {difference, flat};
  for (const unsigned threads : {1U, 2U, 3U}) {
    for (const std::size_t max_batch : {1U, 2U, 5U}) {
      expect_items_alone(small_model(), max_batch, threads);
      expect_items_alone(constant_output, max_batch, threads);
      expect_items_alone(two_inputs, max_batch, threads);
      expect_items_alone(joining_model(), max_batch, threads);
    }
  }
}

TEST(CpuSessionTest, BatchesAllocateNothingAndHaveBounds) {
  const auto bytes = small_model().build();
  const auto made = CpuSession::create(bytes, {.thread_count = 2, .max_batch = 4, .split_all = true}, best_level());
  ASSERT_TRUE(made) << made.error().message;
  CpuSession& session = **made;
  EXPECT_THAT(session.inputs()[0].shape, ElementsAre(1, 4, 4, 2));
  ASSERT_TRUE(session.set_batch(4));
  EXPECT_THAT(session.inputs()[0].shape, ElementsAre(4, 4, 4, 2));
  EXPECT_THAT(session.outputs()[0].shape, ElementsAre(4, 3));
  ASSERT_TRUE(session.run());
  const std::size_t before = test::allocation_count();
  for (const std::size_t count : {1U, 3U, 4U}) {
    ASSERT_TRUE(session.set_batch(count));
    ASSERT_TRUE(session.run());
  }
  EXPECT_EQ(test::allocation_count(), before);
  for (const std::size_t count : {0U, 5U}) {
    const auto refused = session.set_batch(count);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, ::testing::HasSubstr("loaded for 1 to 4"));
  }
  EXPECT_EQ(session.input(0).size(), 4U * 32) << "a refused batch changes nothing";
  for (const std::size_t max_batch : {std::size_t{0}, kMaxBatch + 1}) {
    const auto refused = CpuSession::create(bytes, {.max_batch = max_batch}, best_level());
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, ::testing::HasSubstr("must be 1 to 64"));
  }
}

TEST(CpuSessionTest, AnOverlargeArenaIsRefused) {
  ModelBuilder model;
  const auto in = model.activation({1, 200, 1024, 1024}), first = model.activation({1, 200, 1024, 1024}),
             out = model.activation({1, 200, 1024, 1024});
  model.op(OpCode::relu, {in}, {first});
  model.op(OpCode::relu, {first}, {out});
  model.inputs = {in};
  model.outputs = {out};
  const auto bytes = model.build();
  const auto session = CpuSession::create(bytes, {}, Level::reference);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, base::Code::exhausted);
  EXPECT_THAT(session.error().message, ::testing::HasSubstr("MB of activation memory"));
}

}  // namespace
}  // namespace wayside::accel::cpu
