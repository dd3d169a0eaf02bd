// SPDX-License-Identifier: Apache-2.0
// SSD: boxes of several classes computed by hand, outputs told by size or name, and priors that do not fit.
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/optimizer/heads/head_fixture.h"

namespace wayside::optimizer {
namespace {

class SsdHead : public testing::Test {
 protected:
  /// Two priors: the left half of the picture and its middle.
  void SetUp() override {
    write({0, 0, 0.5F, 1, 0.25F, 0.25F, 0.75F, 0.75F, 0.1F, 0.1F, 0.2F, 0.2F, 0.1F, 0.1F, 0.2F, 0.2F});
  }
  void TearDown() override { std::filesystem::remove(spec.priors); }
  void write(const std::vector<float>& values) const {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 8), }\n";
    std::string npy = "\x93NUMPY\x01";
    npy += std::string(1, '\0') + static_cast<char>(header.size()) + std::string(1, '\0') + header;
    npy.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    std::ofstream(spec.priors, std::ios::binary) << npy;
  }
  HeadSpec spec{
      .kind = HeadKind::ssd,
      .priors = std::filesystem::path(testing::TempDir()) / ("priors." + std::to_string(::getpid()) + ".npy")};
};

TEST_F(SsdHead, DecodesSeveralClasses) {
  const auto head = make_head(spec, outputs_only({1, 100, 200, 3}, {{"mbox_conf", {1, 6}}, {"mbox_loc", {1, 8}}}));
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->class_count, 2);
  // The second: moved by 0.1 * 1 * 0.5 of the width, twice as high.
  const std::vector<std::vector<float>> outputs{{0.99F, 0.01F, 0, 0.1F, 0.3F, 0.6F},
                                                {0, 0, 0, 0, 1, 0, 0, 5 * std::log(2.0F)}};
  const auto found = head->decode(outputs);
  ASSERT_EQ(found.size(), 2U);
  expect_box(found[0], {60, 0, 160, 100, 0}, 0.3F);
  expect_box(found[1], {60, 0, 160, 100, 1}, 0.6F);
}

TEST_F(SsdHead, TellsScoresByNameWhereBothAreAlike) {
  for (const bool scores_first : {false, true}) {
    const std::pair<std::string, ir::Shape> loc{"mbox_loc", {1, 8}}, conf{"mbox_conf", {1, 8}};
    const auto head =
        make_head(spec, outputs_only({1, 100, 200, 3}, scores_first ? std::vector{conf, loc} : std::vector{loc, conf}));
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->class_count, 3);
    std::vector<std::vector<float>> outputs(2, std::vector<float>(8));
    outputs[scores_first ? 0 : 1][3] = 0.5F;
    const auto found = head->decode(outputs);
    ASSERT_EQ(found.size(), 1U);
    expect_box(found[0], {0, 0, 100, 100, 2}, 0.5F);
  }
}

TEST_F(SsdHead, RefusesOtherOutputsAndPriors) {
  expect_refused(spec, outputs_only({1, 100, 200, 3}, {{"loc", {1, 12}}, {"conf", {1, 6}}}), "loc of 8");
  expect_refused(spec, outputs_only({1, 100, 200, 3}, {{"loc", {1, 8}}, {"conf", {1, 5}}}), "conf [1,5]");
  expect_refused(spec, outputs_only({1, 100, 200, 3}, {{"loc", {1, 8}}, {"conf", {1, 2}}}), "background");
  expect_refused(spec, outputs_only({1, 100, 200, 3}, {{"loc", {1, 8}}}), "outputs: loc [1,8]");
  std::ofstream(spec.priors) << "no numbers";
  const auto damaged = make_head(spec, outputs_only({1, 100, 200, 3}, {{"loc", {1, 8}}, {"conf", {1, 6}}}));
  ASSERT_FALSE(damaged);
  EXPECT_TRUE(damaged.error().message.contains(spec.priors.string())) << damaged.error().message;
}

}  // namespace
}  // namespace wayside::optimizer
