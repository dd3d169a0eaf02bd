// SPDX-License-Identifier: Apache-2.0
// Import of .tflite files: TFLite's own results for every operator, real models beside the engine, damaged files.
#include "optimizer/import/tflite_import.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <print>
#include <string>
#include <vector>

#include "accel/cpu/model_reader.h"
#include "optimizer/data/picture.h"
#include "optimizer/import/import_model.h"
#include "optimizer/ir/interpreter.h"
#include "tests/conformance/engine_run.h"
#include "tests/conformance/golden.h"
#include "tests/conformance/seeded.h"
#include "tests/fuzz/mutate.h"
#include "tests/optimizer/import/stated_scheme.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;
using accel::DType;
using Bytes = std::vector<std::uint8_t>;

fs::path shared_data() {
  const char* shared = std::getenv("WAYSIDE_SHARED");
  return fs::path(shared == nullptr ? "../shared" : shared) / "data";
}

template <class Stored>
std::vector<float> spread(std::span<const std::uint8_t> bytes) {
  std::vector<float> out(bytes.size() / sizeof(Stored));
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = static_cast<float>(value);
  }
  return out;
}

/// Bytes of a tensor as real numbers.
std::vector<float> real(std::span<const std::uint8_t> bytes, DType type, const accel::Quantization& q) {
  if (type == DType::f32) return spread<float>(bytes);
  auto out = type == DType::i8    ? spread<std::int8_t>(bytes)
             : type == DType::u8  ? spread<std::uint8_t>(bytes)
             : type == DType::i16 ? spread<std::int16_t>(bytes)
                                  : spread<std::int32_t>(bytes);
  if (q.scale > 0) {
    for (float& value : out) value = q.scale * (value - static_cast<float>(q.zero_point));
  }
  return out;
}

struct Compared {
  std::size_t cases = 0, refused = 0, values = 0, near = 0;
  double largest_steps = 0;
};

/// One golden case: what the imported graph gives, rounded as the file says, in steps of the output.
void compare_case(const conformance::GoldenCase& item, Compared& compared) {
  const auto graph = import_tflite(item.model);
  if (!graph) {
    EXPECT_EQ(graph.error().code, base::Code::unsupported) << item.name << ": " << graph.error().message;
    ++compared.refused;
    return;
  }
  const auto model = accel::cpu::read_model(std::as_bytes(std::span(item.model)));
  ASSERT_TRUE(model) << item.name;
  std::vector<ir::Values> inputs;
  for (std::size_t i = 0; i < item.inputs.size(); ++i) {
    const auto& tensor = model->tensors[static_cast<std::size_t>(model->inputs[i])];
    inputs.push_back(real(item.inputs[i], tensor.type, tensor.quantization));
  }
  ir::Interpreter interpreter(*graph);
  interpreter.simulate(stated_scheme(*graph));
  const auto outputs = interpreter.run(inputs);
  ++compared.cases;
  for (const auto& wanted : item.outputs) {
    const auto at = std::ranges::find_if(model->outputs, [&](int number) {
      return model->tensors[static_cast<std::size_t>(number)].name == wanted.tensor;
    });
    ASSERT_NE(at, model->outputs.end()) << item.name << ": " << wanted.tensor;
    const auto& tensor = model->tensors[static_cast<std::size_t>(*at)];
    const auto expected = real(wanted.bytes, tensor.type, tensor.quantization);
    const auto& got = outputs[static_cast<std::size_t>(at - model->outputs.begin())];
    ASSERT_EQ(got.size(), expected.size()) << item.name;
    const float step = tensor.quantization.scale > 0 ? tensor.quantization.scale : 1e-3F;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double steps = static_cast<double>(std::abs(got[i] - expected[i]) / step);
      compared.largest_steps = std::max(compared.largest_steps, steps);
      compared.near += steps <= 1.01 ? 1 : 0;
      ++compared.values;
    }
  }
}

/// Every operator of the engine's goldens, made by TFLite's reference kernels: within one step nearly everywhere.
TEST(TfliteImport, GivesWhatTfliteGives) {
  Compared all;
  for (const auto& entry : fs::directory_iterator(WAYSIDE_GOLDEN_FOLDER)) {
    const auto name = entry.path().stem().string();
    if (entry.path().extension() != ".golden" || name == "real_models") continue;
    const auto cases = conformance::read_golden(entry.path());
    ASSERT_TRUE(cases) << cases.error().message;
    Compared one;
    for (const auto& item : *cases) compare_case(item, one);
    std::println("{}: {} cases, {} refused, {} of {} values within one step, largest difference {:.2f} steps", name,
                 one.cases, one.refused, one.near, one.values, one.largest_steps);
    EXPECT_GE(static_cast<double>(one.near), 0.99 * static_cast<double>(one.values)) << name;
    EXPECT_TRUE(name == "transpose_conv" || one.cases > 0) << name;
    all.cases += one.cases;
    all.refused += one.refused;
  }
  std::println("{} cases, {} refused", all.cases, all.refused);
  EXPECT_GT(all.cases, 300U);
}

TEST(TfliteImport, NamesOperatorAndNearestForm) {
  const auto cases = conformance::read_golden(fs::path(WAYSIDE_GOLDEN_FOLDER) / "transpose_conv.golden");
  ASSERT_TRUE(cases) << cases.error().message;
  const auto graph = import_tflite(cases->front().model);
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, base::Code::unsupported);
  EXPECT_TRUE(graph.error().message.starts_with("operator 0 TRANSPOSE_CONV \"")) << graph.error().message;
  EXPECT_TRUE(graph.error().message.ends_with("not supported; nearest: RESIZE_NEAREST_NEIGHBOR and CONV_2D"))
      << graph.error().message;
}

TEST(TfliteImport, DamagedFilesAreRefusedOrHarmless) {
  const auto cases = conformance::read_golden(fs::path(WAYSIDE_GOLDEN_FOLDER) / "graphs.golden");
  ASSERT_TRUE(cases) << cases.error().message;
  std::size_t refused = 0, total = 0;
  for (const auto& item : *cases) {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      const auto graph = import_tflite(fuzz::mutate(item.model, seed));
      ++total;
      if (graph) continue;
      ++refused;
      EXPECT_FALSE(graph.error().message.empty());
      EXPECT_EQ(graph.error().message.find('\n'), std::string::npos);
    }
  }
  std::println("{} of {} refused", refused, total);
  EXPECT_GT(refused, total / 10);
}

TEST(TfliteImport, OtherFilesAreNamed) {
  const auto missing = import_model("/nowhere/model.tflite");
  ASSERT_FALSE(missing);
  EXPECT_TRUE(missing.error().message.contains("/nowhere/model.tflite"));
  const auto other = import_model("model.pt");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "model.pt: neither .onnx nor .tflite; export the model as one of them");
}

/// Labelled pictures of CIFAR-10 for the two forms of one network.
class Resnet : public testing::Test {
 protected:
  void SetUp() override {
    const auto folder = shared_data() / "models/int8";
    if (!fs::exists(folder / "pretrainedResnet.tflite")) GTEST_SKIP() << "no shared data; set WAYSIDE_SHARED";
    ir::set_interpreter_threads(1);
    float_graph = import_model(folder / "pretrainedResnet.tflite");
    quantized_graph = import_model(folder / "pretrainedResnet_quant.tflite");
    ASSERT_TRUE(float_graph) << float_graph.error().message;
    ASSERT_TRUE(quantized_graph) << quantized_graph.error().message;
    const auto bytes = read_bytes(folder / "pretrainedResnet_quant.tflite");
    ASSERT_TRUE(bytes);
    auto loaded = conformance::load_model(*bytes, {.level = accel::cpu::best_level()});
    ASSERT_TRUE(loaded) << loaded.error().message;
    engine = std::move(*loaded);
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      std::vector<std::uint8_t> px(std::size_t{32} * 32 * 3);
      conformance::fill_picture(px, 32, 32, 3, seed);
      pictures.push_back(std::move(px));
    }
  }
  std::vector<float> on_engine(const std::vector<std::uint8_t>& px) const {
    const auto input = engine->input(0);
    for (std::size_t i = 0; i < px.size(); ++i) input[i] = static_cast<std::byte>(px[i] - 128);
    EXPECT_TRUE(engine->run());
    const auto output = engine->output(0);
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(output.data()), output.size());
    return real(bytes, DType::i8, engine->outputs()[0].quantization);
  }
  base::Result<ir::Graph> float_graph, quantized_graph;
  std::unique_ptr<accel::Session> engine;
  std::vector<std::vector<std::uint8_t>> pictures;
};

std::size_t best(const std::vector<float>& values) {
  return static_cast<std::size_t>(std::ranges::max_element(values) - values.begin());
}

/// The float file, the INT8 file in float, the INT8 file simulated with its own ranges, and the engine on the latter.
TEST_F(Resnet, FloatAndQuantizedFilesAgreeWithTheEngine) {
  ASSERT_EQ(quantized_graph->tensors[quantized_graph->inputs[0]].high, 127.0F + 128) << "0..255, as the file says";
  ir::Interpreter exact(*float_graph), weights(*quantized_graph), simulated(*quantized_graph);
  simulated.simulate(stated_scheme(*quantized_graph));
  std::size_t same_float = 0, same_weights = 0, values = 0;
  double float_difference = 0, weights_difference = 0, simulated_difference = 0;
  for (const auto& px : pictures) {
    const ir::Values x(px.begin(), px.end());
    const auto wanted = on_engine(px), a = exact.run({x})[0], b = weights.run({x})[0], c = simulated.run({x})[0];
    same_float += best(a) == best(wanted) ? 1 : 0;
    same_weights += best(b) == best(wanted) ? 1 : 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      float_difference += static_cast<double>(std::abs(a[i] - wanted[i]));
      weights_difference += static_cast<double>(std::abs(b[i] - wanted[i]));
      simulated_difference += static_cast<double>(std::abs(c[i] - wanted[i]));
      ++values;
    }
  }
  for (double* sum : {&float_difference, &weights_difference, &simulated_difference})
    *sum /= static_cast<double>(values);
  std::println(
      "of {} pictures: float file {} with the engine's answer, mean difference {:.4f}; INT8 file in float {}, "
      "{:.4f}; simulated {:.4f}",
      pictures.size(), same_float, float_difference, same_weights, weights_difference, simulated_difference);
  EXPECT_GE(same_float, pictures.size() * 9 / 10);
  EXPECT_GE(same_weights, pictures.size() * 9 / 10);
  EXPECT_LT(float_difference, 0.02);
  EXPECT_LT(weights_difference, 0.02);
  EXPECT_LT(simulated_difference, weights_difference) << "with the ranges of the file it is nearer";
}

/// All real models come in; those that keep a state between runs are refused by name.
TEST(TfliteImport, RealModels) {
  std::size_t imported = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(shared_data() / "models/int8", error)) {
    if (entry.path().extension() != ".tflite") continue;
    const auto graph = import_model(entry.path());
    if (!graph) {
      EXPECT_EQ(graph.error().code, base::Code::unsupported);
      EXPECT_TRUE(graph.error().message.contains("operator ")) << graph.error().message;
      std::println("SKIPPED {}", graph.error().message);
      continue;
    }
    ++imported;
    const auto cost = ir::cost(*graph);
    std::println("{}: {} operators, {} multiply-accumulates", entry.path().filename().string(), graph->ops.size(),
                 cost.mac_count);
    EXPECT_GT(cost.mac_count, 1'000'000U);
  }
  if (error) GTEST_SKIP() << "no shared data; set WAYSIDE_SHARED";
  EXPECT_GE(imported, 9U);
}

}  // namespace
}  // namespace wayside::optimizer
