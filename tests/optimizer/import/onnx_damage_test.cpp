// SPDX-License-Identifier: Apache-2.0
// Untrusted ONNX bytes: every damage ends in one line of error, or in a graph whose shapes hold.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "optimizer/data/picture.h"
#include "optimizer/import/onnx_import.h"

namespace wayside::optimizer {
namespace {

std::vector<std::uint8_t> sample(const std::string& name) {
  auto bytes = read_bytes(std::filesystem::path(WAYSIDE_NODE_TESTS) / name / "model.onnx");
  EXPECT_TRUE(bytes);
  return bytes.value_or(std::vector<std::uint8_t>{});
}

const char* const kSamples[] = {"test_conv_with_strides_padding", "test_slice",
                                "test_reshape_reduced_dims",      "test_split_equal_parts_2d_opset13",
                                "test_maxpool_2d_ceil",           "test_gather_1",
                                "test_batchnorm_example",         "test_resize_upsample_sizes_nearest"};

TEST(OnnxDamage, TruncationsAndFlippedBytesAreRefusedOrHarmless) {
  std::mt19937 random(3);
  int refused = 0, total = 0;
  for (const std::string name : kSamples) {
    const auto whole = sample(name);
    for (int i = 0; i < 400; ++i) {
      auto bytes = whole;
      if (i % 4 == 0) bytes.resize(random() % bytes.size());
      for (int flips = 0; flips < 1 + i % 3 && !bytes.empty(); ++flips)
        bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
      const auto graph = import_onnx(bytes);
      ++total;
      if (graph) continue;
      ++refused;
      EXPECT_FALSE(graph.error().message.empty());
      EXPECT_EQ(graph.error().message.find('\n'), std::string::npos);
    }
  }
  EXPECT_GT(refused, total / 4);
}

TEST(OnnxDamage, ErrorsNameNodeOperatorAndForm) {
  auto bytes = sample("test_maxpool_2d_ceil");
  std::string text(bytes.begin(), bytes.end());
  const auto at = text.find("MaxPool");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 7, "LppPool");
  bytes.assign(text.begin(), text.end());
  const auto graph = import_onnx(bytes);
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, base::Code::unsupported);
  EXPECT_EQ(graph.error().message,
            "node \"y\" (LppPool): operator not supported; nearest: a form made of Conv, Gemm, pools, elementwise and "
            "reshaping operators");
}

TEST(OnnxDamage, NamesAMissingFile) {
  const auto graph = import_onnx(std::filesystem::path("/nowhere/model.onnx"));
  ASSERT_FALSE(graph);
  EXPECT_NE(graph.error().message.find("/nowhere/model.onnx"), std::string::npos);
}

}  // namespace
}  // namespace wayside::optimizer
