// SPDX-License-Identifier: Apache-2.0
// Order of layers by what four bits cost them, and the search for the most that fit.
#include "optimizer/report/mixed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "optimizer/quantize/int4.h"
#include "tests/optimizer/small_graph.h"

namespace wayside::optimizer {
namespace {

TEST(LargestThatFits, IsTheLastThatDoes) {
  for (std::size_t most = 0; most <= 20; ++most) {
    for (std::size_t limit = 0; limit <= most; ++limit) {
      std::set<std::size_t> asked;
      const auto found = largest_that_fits(most, [&](std::size_t count) -> base::Result<bool> {
        EXPECT_TRUE(asked.insert(count).second) << count << " was measured twice";
        return count <= limit;
      });
      ASSERT_TRUE(found && *found);
      EXPECT_EQ(**found, limit) << "of " << most;
      EXPECT_LE(asked.size(), 7U) << "2 + log2(20)";
    }
  }
}

TEST(LargestThatFits, IsNothingWhereEightBitsDoNotFit) {
  const auto found = largest_that_fits(5, [](std::size_t) -> base::Result<bool> { return false; });
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
  EXPECT_FALSE(largest_that_fits(
      5, [](std::size_t) -> base::Result<bool> { return base::fail(base::Code::bad_state, "stopped"); }));
}

TEST(LayersBySensitivity, TheLeastSensitiveIsFirst) {
  const ir::Graph graph = small_graph(3);
  std::mt19937 random(4);
  std::vector<ir::Values> samples(4, ir::Values(16 * 16 * 3));
  for (auto& sample : samples) {
    for (float& value : sample) value = std::uniform_real_distribution<float>(0, 1)(random);
  }
  const auto layers = layers_by_sensitivity(graph, samples);
  ASSERT_EQ(layers.size(), 5U);
  for (std::size_t i = 1; i < layers.size(); ++i) EXPECT_GE(layers[i - 1].four_bit_db, layers[i].four_bit_db);
  EXPECT_LT(layers.back().four_bit_db, 40) << "four bits are heard somewhere";
  const auto sensitivity = [&] {
    std::vector<double> out(graph.ops.size());
    for (const auto& layer : layers) out[layer.op] = layer.four_bit_db;
    return out;
  }();
  for (std::size_t count = 0; count <= layers.size(); ++count) {
    const auto formats = choose_int4(graph, sensitivity, share_of(layers, count));
    for (std::size_t i = 0; i < layers.size(); ++i)
      EXPECT_EQ(formats[layers[i].op] == WeightFormat::int4, i < count) << i << " of " << count;
  }
}

}  // namespace
}  // namespace wayside::optimizer
