// SPDX-License-Identifier: Apache-2.0
// Goldens of real models: custom tail operators are cut off, and only hashes, seeds and outputs are kept.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "tests/conformance/generator/cases.h"
#include "tests/conformance/generator/model_builder.h"

namespace wayside::conformance {

namespace {

using base::Result;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kSeedsPerModel = 3;
constexpr std::uint64_t kSeedsPerSmallModel = 8;  ///< they are fast and have few outputs
constexpr std::size_t kSmallInputBytes = 50'000;
/// Longer outputs are sampled with a prime step, so that all channels are met.
constexpr std::size_t kMaxKeptBytes = 60000;
constexpr std::array<std::uint32_t, 9> kSampleSteps = {1, 3, 5, 7, 11, 13, 17, 19, 23};

/// Removes custom operators; their non-constant inputs become outputs in place of theirs.
void cut_custom_tail(tflite::ModelT& model) {
  auto& graph = *model.subgraphs[0];
  const auto is_constant = [&](std::int32_t tensor) {
    return !model.buffers[graph.tensors[tensor]->buffer]->data.empty();
  };
  for (std::size_t i = 0; i < graph.operators.size();) {
    const auto& op = *graph.operators[i];
    if (model.operator_codes[op.opcode_index]->custom_code.empty()) {
      ++i;
      continue;
    }
    std::erase_if(graph.outputs, [&](auto tensor) { return std::ranges::contains(op.outputs, tensor); });
    std::vector<std::int32_t> tail;
    std::ranges::copy_if(op.inputs, std::back_inserter(tail), [&](auto tensor) { return !is_constant(tensor); });
    graph.outputs.insert(graph.outputs.begin(), tail.begin(), tail.end());
    graph.operators.erase(graph.operators.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

/// Some converters left the weights' axis on the one-dimensional bias, which this TFLite refuses and which means
/// nothing.
void repair_bias_axes(tflite::ModelT& model) {
  for (auto& tensor : model.subgraphs[0]->tensors) {
    auto* quantisation = tensor->quantization.get();
    if (quantisation == nullptr || tensor->shape.size() != 1) continue;
    quantisation->quantized_dimension = 0;
  }
}

/// The model as this TFLite can run it.
Bytes prepare(const Bytes& file) {
  tflite::ModelT model;
  tflite::GetModel(file.data())->UnPackTo(&model);
  cut_custom_tail(model);
  repair_bias_axes(model);
  flatbuffers::FlatBufferBuilder builder;
  tflite::FinishModelBuffer(builder, tflite::CreateModel(builder, &model));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

std::vector<Bytes> make_inputs(const Bytes& file, std::uint64_t seed) {
  const auto* graph = tflite::GetModel(file.data())->subgraphs()->Get(0);
  std::vector<Bytes> inputs;
  for (const auto index : *graph->inputs()) {
    const auto* tensor = graph->tensors()->Get(static_cast<flatbuffers::uoffset_t>(index));
    const Shape shape(tensor->shape()->begin(), tensor->shape()->end());
    Bytes bytes(static_cast<std::size_t>(element_count(shape)));
    fill_model_input(bytes, shape, tensor->type() == tflite::TensorType_INT8, seed + inputs.size());
    inputs.push_back(std::move(bytes));
  }
  return inputs;
}

void sample(GoldenOutput& output) {
  output.sample_step = *std::ranges::find_if(kSampleSteps, [&](auto step) {
    return output.bytes.size() / step <= kMaxKeptBytes || step == kSampleSteps.back();
  });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < output.bytes.size(); i += output.sample_step) output.bytes[kept++] = output.bytes[i];
  output.bytes.resize(kept);
}

}  // namespace

Result<void> write_real_models(const std::filesystem::path& models, const std::filesystem::path& golden) {
  constexpr std::array<std::string_view, 9> kModels = {"vww_96_int8",
                                                       "person_detect",
                                                       "pretrainedResnet_quant",
                                                       "mobilenet_v1_0.25_128_quant",
                                                       "mobilenet_v2_1.0_224_quant",
                                                       "mobilenet_v2_quantized_1x3x224x224",
                                                       "ssd_mobilenet_v1",
                                                       "posenet_mobilenet_v1_075_353_481_16_quant_decoder",
                                                       "traffic_model"};
  std::vector<GoldenCase> cases;
  for (const auto name : kModels) {
    const auto file_name = std::string(name) + ".tflite";
    WAYSIDE_TRY(const auto file, read_bytes(models / file_name));
    const auto runnable = prepare(file);
    const bool small = make_inputs(file, 0).front().size() <= kSmallInputBytes;
    for (std::uint64_t i = 0; i < (small ? kSeedsPerSmallModel : kSeedsPerModel); ++i) {
      const auto seed = 100 + 10 * i;
      auto outputs = run_reference(runnable, make_inputs(file, seed));
      if (!outputs) return std::unexpected(std::move(outputs.error().context(file_name)));
      const auto& first = outputs->front().bytes;
      std::printf("%s seed %zu:", file_name.c_str(), static_cast<std::size_t>(seed));
      for (const auto& output : *outputs) std::printf(" %s[%zu]", output.tensor.c_str(), output.bytes.size());
      std::printf(" first %d..%d\n", *std::ranges::min_element(first), *std::ranges::max_element(first));
      for (auto& output : *outputs) sample(output);
      cases.push_back(
          {"real_models", std::string(name), seed, file_name, sha256_hex(file), {}, {}, std::move(*outputs)});
    }
  }
  WAYSIDE_CHECK(write_golden(golden, cases));
  std::printf("real_models: %zu cases, %zu bytes\n", cases.size(),
              static_cast<std::size_t>(std::filesystem::file_size(golden)));
  return {};
}

}  // namespace wayside::conformance
