// SPDX-License-Identifier: Apache-2.0
// The folders of the targets: complete, and their scripts run against stand-ins that know the vendors' arguments.
#include "optimizer/emit/targets.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <format>
#include <fstream>
#include <map>
#include <sstream>

#include "optimizer/emit/onnx_writer.h"
#include "optimizer/emit/vendor_step.h"
#include "optimizer/import/onnx_import.h"
#include "optimizer/quantize/scales.h"
#include "tests/optimizer/small_graph.h"

namespace wayside::optimizer::emit {
namespace {

namespace fs = std::filesystem;

TEST(Targets, AreNamedOrAll) {
  EXPECT_EQ(parse_targets("all")->size(), 4U);
  EXPECT_EQ(*parse_targets("rk3588,cpu-int8,rk3588"), (std::vector{Target::rk3588, Target::cpu_int8}));
  const auto unknown = parse_targets("cpu-int8,edgetpu");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("edgetpu"), std::string::npos);
}

class TargetFolders : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder);
    ir::Graph graph = small_graph(3);
    graph.tensors[graph.inputs[0]].name = "pic\"ture";  // any text may be a tensor's name
    const std::vector<Range> ranges(graph.tensors.size(), {.low = -3, .high = 3});
    const auto scales = scales_for(graph, ranges, {0, 0});
    quantized = {.graph = graph, .scheme = {scales, {}}, .integer = *quantize(graph, scales)};
    for (int i = 0; i < 5; ++i) calibration.emplace_back(16 * 16 * 3, static_cast<float>(i) * 50);
    std::ofstream(folder / "chosen.tflite") << "a model";
    work = {.model = "3-street",
            .tflite = folder / "chosen.tflite",
            .quantized = &quantized,
            .calibration = &calibration,
            .folder = folder / "targets"};
  }
  void TearDown() override { fs::remove_all(folder); }
  TargetStatus emitted(Target target) {
    auto status = emit_target(target, work);
    EXPECT_TRUE(status) << status.error().message;
    for (const auto& file : status->files) EXPECT_GT(fs::file_size(work.folder / file), 0U) << file;
    return status.value_or(TargetStatus{});
  }
  std::string text(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream(work.folder / file).rdbuf();
    return out.str();
  }
  int shell(const std::string& command) {
    return std::system(("cd '" + work.folder.string() +
                        "' && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH='" WAYSIDE_SOURCE_DIR
                        "/tests/optimizer/emit/vendor' " +
                        command + " >log 2>&1")
                           .c_str());
  }

  fs::path folder = fs::path(testing::TempDir()) / ("targets." + std::to_string(::getpid()));
  Quantized quantized;
  std::vector<ir::Values> calibration;
  TargetWork work;
};

TEST_F(TargetFolders, CpuIsReady) {
  EXPECT_EQ(emitted(Target::cpu_int8).state, "ready");
  EXPECT_EQ(text("cpu-int8/3-street.tflite"), "a model");
}

TEST_F(TargetFolders, HailoScriptCompiles) {
  EXPECT_NE(emitted(Target::hailo8).state.find("Dataflow Compiler"), std::string::npos);
  ASSERT_EQ(shell("python3 hailo8/compile.py hailo8l"), 0) << text("log");
  EXPECT_EQ(text("hailo8/net_3_street.hef").substr(0, 4), "\x01HEF");
  EXPECT_NE(shell("python3 hailo8/compile.py hailo15"), 0);
  EXPECT_NE(text("hailo8/README.md").find("Fewer than 1024"), std::string::npos);
}

TEST_F(TargetFolders, RknnScriptCompiles) {
  emitted(Target::rk3588);
  ASSERT_EQ(shell("python3 rk3588/compile.py mmse"), 0) << text("log");
  EXPECT_EQ(text("rk3588/net_3_street.rknn").substr(0, 4), "RKNN");
  EXPECT_NE(shell("python3 rk3588/compile.py best"), 0);
}

TEST_F(TargetFolders, TensorrtScriptBuilds) {
  emitted(Target::tensorrt);
  std::ofstream(work.folder / "trtexec") << "#!/bin/sh\nfor option; do case $option in\n"
                                            "--onnx=*|--calib=*) [ -s \"${option#*=}\" ] || exit 1 ;;\n"
                                            "--fp16|--int8|--saveEngine=*) ;;\n*) exit 1 ;; esac; done\n";
  fs::permissions(work.folder / "trtexec", fs::perms::owner_all);
  for (const char* kind : {"", "int8", "calibrated"})
    EXPECT_EQ(shell("TRTEXEC=\"$PWD/trtexec\" tensorrt/build_engine.sh " + std::string(kind)), 0)
        << kind << text("log");
  EXPECT_NE(shell("TRTEXEC=\"$PWD/trtexec\" tensorrt/build_engine.sh fp8"), 0);
  const auto again = import_onnx(work.folder / "tensorrt/model.onnx");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(ir::cost(*again).mac_count, ir::cost(quantized.graph).mac_count);
}

TEST_F(TargetFolders, TensorrtHasAGoldenSetOfItsOwn) {
  emitted(Target::tensorrt);
  const auto golden = float_golden(quantized, calibration);
  ASSERT_EQ(golden.count, 5U) << "all there are";
  EXPECT_EQ(text("tensorrt/golden.in").size(), 5U * 16 * 16 * 3 * sizeof(float));
  const auto outputs = text("tensorrt/golden.out");
  std::vector<float> found(outputs.size() / sizeof(float));
  std::memcpy(found.data(), outputs.data(), outputs.size());
  // The last case, in the order of the ONNX file.
  const auto wanted = ir::Interpreter(quantized.graph).run({calibration[4]});
  const auto& shape = quantized.graph.tensors[quantized.graph.outputs[0]].shape;
  const std::size_t size = wanted[0].size() + wanted[1].size(), start = 4 * size;
  ASSERT_EQ(found.size(), 5 * size);
  const auto pixels = static_cast<std::size_t>(shape[1] * shape[2]), channels = static_cast<std::size_t>(shape[3]);
  EXPECT_EQ(found[start + pixels + 2], wanted[0][2 * channels + 1]) << "channel 1, px 2";
  const auto readme = text("tensorrt/README.md");
  ASSERT_EQ(golden.max_abs.has_value(), readme.contains("--golden . --golden-cases 5")) << readme;
  if (golden.max_abs) {
    EXPECT_TRUE(readme.contains(std::format("--golden-max-abs {} ", *golden.max_abs))) << readme;
  }
}

TEST_F(TargetFolders, CalibrationCacheHasEveryTensorsScale) {
  const auto scales = symmetric_scales(quantized.integer.tensors);
  std::istringstream cache(calibration_cache(quantized.graph, scales));
  std::string line;
  std::getline(cache, line);
  EXPECT_EQ(line, "TRT-8201-EntropyCalibration2");
  std::map<std::string, std::string> entries;
  while (std::getline(cache, line)) entries[line.substr(0, line.rfind(':'))] = line.substr(line.rfind(' ') + 1);
  EXPECT_EQ(entries.at("pic\"ture").size(), 8U);
  for (const auto& op : quantized.graph.ops) {
    const auto& hex = entries.at(quantized.graph.tensors[op.output].name);
    const auto bits = static_cast<std::uint32_t>(std::stoul(hex, nullptr, 16));
    EXPECT_EQ(std::bit_cast<float>(bits), scales[op.output].scale);
  }
  EXPECT_EQ(entries.at("stem/linear"), entries.at("stem"));
}

TEST(Npy, BytesForPicturesFloatsElse) {
  const ir::Values whole{0, 7, 255}, real{0.5F, -1, 2};
  const auto bytes = npy({2, 3}, {&whole, &whole}), floats = npy({1, 3}, {&real});
  EXPECT_EQ((bytes.size() - 6) % 64, 0U);
  EXPECT_EQ(bytes.back(), 255);
  EXPECT_EQ((floats.size() - 12) % 64, 0U);
  EXPECT_NE(std::string(floats.begin(), floats.end()).find("'<f4', 'fortran_order': False, 'shape': (1, 3, )"),
            std::string::npos);
}

}  // namespace
}  // namespace wayside::optimizer::emit
