// SPDX-License-Identifier: Apache-2.0
// YuNet: a face computed by hand, and outputs that are missing.
#include "optimizer/heads/yunet.h"

#include <cmath>
#include <string>
#include <vector>

#include "tests/optimizer/heads/head_fixture.h"

namespace wayside::optimizer {
namespace {

/// 32 rows and 64 columns of px: 32, 8 and 2 cells.
ir::Graph yunet() {
  std::vector<std::pair<std::string, ir::Shape>> outputs;
  for (const auto& [name, each] :
       {std::pair{"cls", 1}, std::pair{"obj", 1}, std::pair{"bbox", 4}, std::pair{"kps", 10}})
    for (const int stride : {8, 16, 32})
      outputs.emplace_back(std::string(name) + "_" + std::to_string(stride),
                           ir::Shape{1, 2048 / stride / stride, each});
  return outputs_only({1, 32, 64, 3}, outputs);
}

TEST(YunetHead, DecodesAFace) {
  const auto graph = yunet();
  std::vector<std::vector<float>> outputs;
  for (const auto id : graph.outputs) outputs.emplace_back(ir::element_count(graph.tensors[id].shape));
  // Stride 16, row 1, column 2.
  outputs[1][6] = 0.9F;
  outputs[4][6] = 0.4F;
  const std::vector<float> box{0.5F, 0.25F, std::log(1.5F), 0};
  for (std::size_t i = 0; i < 4; ++i) outputs[7][6 * 4 + i] = box[i];
  for (std::size_t i = 0; i < 10; ++i) outputs[10][6 * 10 + i] = 0.1F * static_cast<float>(i);
  const auto head = make_head({.kind = HeadKind::yunet}, graph);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->class_count, 1);
  const auto found = head->decode(outputs);
  ASSERT_EQ(found.size(), 1U);
  expect_box(found[0], {28, 12, 52, 28, 0}, 0.6F);  // centre (2.5, 1.25) * 16, size 24 x 16
  const auto faces = decode_yunet(*yunet_levels(graph), outputs, 0.5F);
  ASSERT_EQ(faces.size(), 1U);
  EXPECT_NEAR(faces[0].landmarks[1].x_px, 2.2 * 16, 1e-4);
  EXPECT_NEAR(faces[0].landmarks[1].y_px, 1.3 * 16, 1e-4);
  EXPECT_TRUE(decode_yunet(*yunet_levels(graph), outputs, 0.7F).empty());
}

TEST(YunetHead, NamesTheOutputThatIsMissing) {
  auto graph = yunet();
  graph.tensors[graph.outputs[8]].name = "other";
  expect_refused({.kind = HeadKind::yunet}, graph, "an output bbox_32 of 8 numbers");
  graph = yunet();
  graph.tensors[graph.outputs[3]].shape = {1, 31, 1};
  expect_refused({.kind = HeadKind::yunet}, graph, "an output obj_8 of 32 numbers");
}

}  // namespace
}  // namespace wayside::optimizer
