// SPDX-License-Identifier: Apache-2.0
// Loading files, and the real models of the shared data where they are present.
#include "accel/cpu/cpu_accelerator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <ostream>

#include "tests/accel/cpu/temporary_file.h"
#include "tests/accel/model_builder.h"
#include "tests/allocation_counter.h"

namespace wayside::accel::cpu {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CpuAcceleratorTest, NamesItself) {
  const auto accelerator = make_cpu_accelerator();
  EXPECT_EQ(accelerator->name(), "cpu-int8");
  EXPECT_THAT(accelerator->describe(), HasSubstr(std::string(to_string(best_level()))));
}

TEST(CpuAcceleratorTest, LoadsAndRunsAFile) {
  const testing::TemporaryFile file("small.tflite", testing::small_model().build());
  const auto session = make_cpu_accelerator()->load(file.path(), {});
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_TRUE((*session)->run());
}

TEST(CpuAcceleratorTest, ErrorsNameTheFile) {
  const auto missing = make_cpu_accelerator()->load("/nowhere/x.tflite", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, base::Code::not_found);
  EXPECT_THAT(missing.error().message, StartsWith("model /nowhere/x.tflite: "));
  auto model = testing::small_model();
  model.tensors[1].scales.pop_back();
  model.tensors[1].zero_points.pop_back();
  const testing::TemporaryFile file("wrong.tflite", model.build());
  const auto wrong = make_cpu_accelerator()->load(file.path(), {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message,
            "model " + file.path().string() + ": tensor 1 \"conv/weights\": 3 scales for 4 channels");
}

std::filesystem::path models_folder() {
  const char* shared = std::getenv("WAYSIDE_SHARED");
  return std::filesystem::path(shared != nullptr ? shared : WAYSIDE_SHARED_DEFAULT) / "data/models/int8";
}

struct RealModel {
  const char* name;
  std::size_t input_count, output_count;
  std::uint64_t least_mega_macs, most_mega_macs;
  const char* cut_op;  ///< "" for none
};

void PrintTo(const RealModel& model, std::ostream* out) { *out << model.name; }

class RealModels : public ::testing::TestWithParam<RealModel> {};

TEST_P(RealModels, LoadRunTwiceAndAllocateNothing) {
  const RealModel& expected = GetParam();
  const auto path = models_folder() / (std::string(expected.name) + ".tflite");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent; set WAYSIDE_SHARED";
  auto loaded = load_cpu_session(path, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  CpuSession& session = **loaded;
  EXPECT_EQ(session.inputs().size(), expected.input_count);
  EXPECT_EQ(session.outputs().size(), expected.output_count);
  EXPECT_GE(session.info().mac_count, expected.least_mega_macs * 1'000'000);
  EXPECT_LE(session.info().mac_count, expected.most_mega_macs * 1'000'000);
  EXPECT_EQ(session.info().cut_ops.empty(), std::string(expected.cut_op).empty());
  if (!session.info().cut_ops.empty()) {
    EXPECT_EQ(session.info().cut_ops[0], expected.cut_op);
  }
  const auto fill = [&] {
    for (std::size_t i = 0; i < session.inputs().size(); ++i) {
      std::size_t at = 0;
      for (std::byte& byte : session.input(i)) byte = static_cast<std::byte>(at++ * 31 % 251);
    }
  };
  fill();
  const std::size_t before = test::allocation_count();
  ASSERT_TRUE(session.run());
  EXPECT_EQ(test::allocation_count(), before);
  const std::vector<std::byte> first(session.output(0).begin(), session.output(0).end());
  fill();
  ASSERT_TRUE(session.run());
  EXPECT_TRUE(std::ranges::equal(session.output(0), first));
}

INSTANTIATE_TEST_SUITE_P(
    Shared, RealModels,
    ::testing::Values(RealModel{"vww_96_int8", 1, 1, 7, 8, ""}, RealModel{"person_detect", 1, 1, 6, 8, ""},
                      RealModel{"pretrainedResnet_quant", 1, 1, 12, 13, ""},
                      RealModel{"mobilenet_v1_0.25_128_quant", 1, 1, 13, 15, ""},
                      RealModel{"mobilenet_v2_1.0_224_quant", 1, 1, 295, 310, ""},
                      RealModel{"mobilenet_v2_quantized_1x3x224x224", 1, 1, 295, 310, ""},
                      RealModel{"ssd_mobilenet_v1", 1, 2, 720, 740, "TFLite_Detection_PostProcess"},
                      RealModel{"posenet_mobilenet_v1_075_353_481_16_quant_decoder", 1, 3, 1000, 3000,
                                "PosenetDecoderOp"},
                      RealModel{"traffic_model", 3, 4, 100, 1000, "TFLite_Detection_PostProcess"}),
    [](const auto& param) {
      std::string name = param.param.name;
      std::ranges::replace(name, '.', '_');
      return name;
    });

TEST(RealModelsTest, SsdHeadOfMobilenet) {
  const auto path = models_folder() / "ssd_mobilenet_v1.tflite";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent; set WAYSIDE_SHARED";
  const auto session = load_cpu_session(path, {});
  ASSERT_TRUE(session) << session.error().message;
  const auto& ssd = (*session)->info().ssd;
  ASSERT_TRUE(ssd);
  constexpr std::size_t kAnchors = 1917;  // 19*19*3 + (10*10 + 5*5 + 3*3 + 2*2 + 1) * 6
  EXPECT_EQ(ssd->anchors.size(), kAnchors * 4);
  EXPECT_EQ((*session)->outputs()[ssd->box_output].shape, (std::vector<std::int32_t>{1, 1917, 4}));
  EXPECT_EQ((*session)->outputs()[ssd->score_output].shape, (std::vector<std::int32_t>{1, 1917, 91}));
  EXPECT_EQ(ssd->class_count, 90);
  EXPECT_FLOAT_EQ(ssd->y_scale, 10);
  EXPECT_FLOAT_EQ(ssd->w_scale, 5);
}

TEST(RealModelsTest, AFloatModelIsRefusedWithAdvice) {
  const auto path = models_folder() / "pretrainedResnet.tflite";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent; set WAYSIDE_SHARED";
  const auto session = load_cpu_session(path, {});
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, base::Code::unsupported);
  EXPECT_THAT(session.error().message, HasSubstr("quantise the model"));
}

}  // namespace
}  // namespace wayside::accel::cpu
