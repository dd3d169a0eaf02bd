// SPDX-License-Identifier: Apache-2.0
// Float, simulated INT8 and the engine, side by side.
#include "optimizer/report/variant.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "optimizer/passes/passes.h"
#include "optimizer/report/engine_runner.h"
#include "optimizer/report/layer_check.h"
#include "optimizer/tflite/writer.h"

namespace wayside::optimizer {
namespace {

using base::Result;

std::vector<ir::Values> evaluate_constants(const ir::Graph& graph) { return ir::Interpreter(graph).run({}); }

/// So many samples also run simulated, to compare output by output.
constexpr std::size_t kComparedSamples = 64;

/// Share of the outputs within one step.
double agreement(const std::vector<ir::Values>& a, const std::vector<ir::Values>& b, const accel::Session& session) {
  std::size_t near = 0, total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float step = session.outputs()[i].quantization.scale;
    for (std::size_t k = 0; k < a[i].size(); ++k) near += std::abs(a[i][k] - b[i][k]) <= 1.01F * step ? 1 : 0;
    total += a[i].size();
  }
  return static_cast<double>(near) / static_cast<double>(std::max<std::size_t>(total, 1));
}

std::vector<ir::Values> first_inputs(const std::vector<TaskSample>& evaluation, std::size_t count) {
  std::vector<ir::Values> out;
  for (std::size_t i = 0; i < std::min(count, evaluation.size()); ++i) out.push_back(evaluation[i].input);
  return out;
}

Result<void> find_layer_agreement(const Quantized& quantized, const std::vector<TaskSample>& evaluation,
                                  const std::filesystem::path& file, Variant& variant) {
  constexpr std::size_t kSamples = 4;
  WAYSIDE_TRY(const auto layers, compare_layers(quantized, first_inputs(evaluation, kSamples), file));
  variant.layer_agreement = 1;
  for (const auto& layer : layers) {
    if (layer.alone >= variant.layer_agreement) continue;
    variant.layer_agreement = layer.alone;
    variant.layer_agreement_tensor = layer.tensor;
  }
  return {};
}

void find_least_sqnr(const Quantized& quantized, const std::vector<TaskSample>& evaluation, Variant& variant) {
  constexpr std::size_t kSamples = 8;
  const auto decibels = noise_by_tensor(quantized.graph, quantized.scheme, first_inputs(evaluation, kSamples));
  variant.least_sqnr_db = 1e9;
  for (const auto& op : quantized.graph.ops) {
    if (decibels[op.output] >= variant.least_sqnr_db) continue;
    variant.least_sqnr_db = decibels[op.output];
    variant.least_sqnr_tensor = quantized.graph.tensors[op.output].name;
  }
}

}  // namespace

Result<Prepared> prepare(ir::Graph imported) {
  Prepared out{.whole = std::move(imported), .body = {}, .tail = {}};
  out.imported_ops = out.whole.ops.size();
  passes::simplify(out.whole, evaluate_constants);
  auto split = passes::split_head(out.whole);
  out.tail = std::move(split.tail);
  out.body = std::move(split.body);
  WAYSIDE_CHECK(passes::to_tflite_forms(out.body));
  return out;
}

Result<Variant> measure_variant(const Prepared& prepared, const Quantized& quantized, const Task& task,
                                const std::vector<TaskSample>& evaluation, const std::filesystem::path& file) {
  Variant variant;
  WAYSIDE_TRY(const auto bytes, write_tflite(quantized.integer, "quantised by wayside-optimize"));
  WAYSIDE_CHECK(save_file(file, bytes));
  variant.bytes = bytes.size();
  const auto cost = ir::cost(prepared.whole);
  variant.float_bytes = cost.weight_count * sizeof(float);
  WAYSIDE_TRY(auto engine, EngineRunner::load(file));
  const auto& info = engine.session().info();
  variant.memory_bytes = info.arena_bytes + info.weight_bytes;
  ir::Interpreter simulated(quantized.graph), tail(prepared.tail);
  simulated.simulate(quantized.scheme);
  std::vector<std::vector<ir::Values>> compared_with;  // the simulation's outputs, in the order of the samples
  WAYSIDE_TRY(variant.simulated_score, task.score(
                                           [&](const ir::Values& x) -> Result<std::vector<ir::Values>> {
                                             auto outputs = simulated.run({x});
                                             if (compared_with.size() < kComparedSamples)
                                               compared_with.push_back(outputs);
                                             return tail.run(outputs);
                                           },
                                           evaluation));
  double agreed = 0;
  std::size_t compared = 0;
  WAYSIDE_TRY(variant.engine_score, task.score(
                                        [&](const ir::Values& x) -> Result<std::vector<ir::Values>> {
                                          WAYSIDE_TRY(const auto outputs, engine.run(x));
                                          if (compared < compared_with.size())
                                            agreed += agreement(outputs, compared_with[compared++], engine.session());
                                          return tail.run(outputs);
                                        },
                                        evaluation));
  variant.agreement = agreed / static_cast<double>(std::max<std::size_t>(compared, 1));
  variant.p50_ms = engine.percentile_ms(0.5);
  variant.p99_ms = engine.percentile_ms(0.99);
  find_least_sqnr(quantized, evaluation, variant);
  WAYSIDE_CHECK(find_layer_agreement(quantized, evaluation, file, variant));
  return variant;
}

Result<Variant> measure_weight_only(const Prepared& prepared, WeightFormat format, const Task& task,
                                    const std::vector<TaskSample>& evaluation, const std::filesystem::path& file) {
  WAYSIDE_TRY(const auto bytes, write_weight_only(prepared.body, format, "weights rounded by wayside-optimize"));
  WAYSIDE_CHECK(save_file(file, bytes));
  Variant variant{.file = file.filename().string(),
                  .float_bytes = ir::cost(prepared.whole).weight_count * sizeof(float),
                  .bytes = bytes.size(),
                  .on_engine = false,
                  .misses = {"needs a runtime with float layers"}};
  const Quantized rounded{
      .graph = prepared.body,
      .scheme = {.activations = std::vector<TensorQuantization>(prepared.body.tensors.size(), {0, 0}),
                 .weights = std::vector(prepared.body.ops.size(), format)},
      .integer = {}};
  ir::Interpreter simulated(rounded.graph), tail(prepared.tail);
  simulated.simulate(rounded.scheme);
  WAYSIDE_TRY(
      variant.simulated_score,
      task.score([&](const ir::Values& x) -> Result<std::vector<ir::Values>> { return tail.run(simulated.run({x})); },
                 evaluation));
  find_least_sqnr(rounded, evaluation, variant);
  return variant;
}

}  // namespace wayside::optimizer
