// SPDX-License-Identifier: Apache-2.0
// The profile of a small network: one line for each layer, work as counted by hand, bottlenecks named, pages well
// formed.
#include "optimizer/report/profile.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "optimizer/tflite/writer.h"
#include "tests/optimizer/small_graph.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;

TEST(Profile, HasEveryLayerWithItsWork) {
  const fs::path file = fs::path(testing::TempDir()) / ("profile." + std::to_string(::getpid()) + ".tflite");
  std::vector<ir::Values> samples;
  for (int i = 0; i < 100; ++i) samples.emplace_back(16 * 16 * 3, 0.01F * static_cast<float>(i));
  const auto quantized = quantize_after_training(small_graph(3), samples, {0, 0}, {}, {});
  ASSERT_TRUE(quantized);
  ASSERT_TRUE(save_file(file, *write_tflite(quantized->integer, "test")));
  const auto measured = profile("small", file, *quantized, {samples[10], samples[90]});
  fs::remove(file);
  ASSERT_TRUE(measured) << measured.error().message;
  ASSERT_EQ(measured->layers.size(), quantized->graph.ops.size());
  const auto& stem = measured->layers[0];
  EXPECT_EQ(stem.tensor, "stem");
  EXPECT_EQ(stem.mac_count, 8U * 8 * 8 * 27);
  EXPECT_EQ(stem.moved_bytes, 16U * 16 * 3 + 8 * 8 * 8 + 8 * 27 + 8 * 4);
  double sum = 0;
  for (const auto& layer : measured->layers) {
    EXPECT_GT(layer.mean_us, 0) << layer.tensor;
    EXPECT_GT(layer.sqnr_db, 0) << layer.tensor;
    EXPECT_EQ(layer.alone, 1) << layer.tensor << ": the engine computes what is simulated";
    sum += layer.mean_us;
  }
  EXPECT_NEAR(sum, measured->total_us, 1e-6);
  EXPECT_NE(to_text(*measured).find("boxes_2"), std::string::npos);
  EXPECT_FALSE(profile("small", file, *quantized, samples)) << "the file is gone";
}

ModelProfile made_up() {
  return {
      .model = "net",
      .layers =
          {{.op = "conv", .tensor = "large", .mean_us = 70, .mac_count = 7'000'000, .moved_bytes = 1000, .sqnr_db = 40},
           {.op = "depthwise_conv",
            .tensor = "wide",
            .mean_us = 25,
            .mac_count = 9000,
            .moved_bytes = 10'000,
            .sqnr_db = 12},
           {.op = "concat", .tensor = "a<b", .mean_us = 5, .moved_bytes = 9, .sqnr_db = 15}},
      .total_us = 100};
}

TEST(Profile, NamesTheBottlenecks) {
  const auto named = bottlenecks(made_up());
  ASSERT_EQ(named.size(), 4U);
  EXPECT_EQ(named[0], "conv large takes 70 % of the time: bound by arithmetic, 100.0 GMAC/s");
  EXPECT_EQ(named[1],
            "depthwise_conv wide takes 25 % of the time: bound by memory, 0.9 multiply-accumulates for each byte");
  EXPECT_EQ(named[2], "depthwise_conv wide is noisy: 12.0 dB of signal to rounding");
  EXPECT_EQ(named[3], "concat a<b is noisy: 15.0 dB of signal to rounding");
  EXPECT_EQ(bottlenecks({}).size(), 1U);
}

TEST(Profile, PageIsWellFormed) {
  const auto page = fs::path(testing::TempDir()) / ("profile." + std::to_string(::getpid()) + ".html");
  std::ofstream(page) << to_html(made_up());
  // Every tag is closed and every name escaped: the page is XML too.
  const auto command =
      "python3 -c 'import sys, xml.dom.minidom as m; t = open(sys.argv[1]).read(); "
      "d = m.parseString(t[t.index(\"<html\"):]); sys.exit(len(d.getElementsByTagName(\"rect\")) != 3)' " +
      page.string();
  EXPECT_EQ(std::system(command.c_str()), 0);
  fs::remove(page);
}

}  // namespace
}  // namespace wayside::optimizer
