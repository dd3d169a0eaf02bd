// SPDX-License-Identifier: Apache-2.0
// One row of the optimiser's report, and the report's three forms.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/emit/targets.h"
#include "optimizer/ir/graph.h"
#include "optimizer/quantize/ptq.h"
#include "optimizer/report/mixed.h"
#include "optimizer/report/task.h"
#include "optimizer/tune/finetune.h"

namespace wayside::optimizer {

/// The float model after the passes, cut for INT8.
struct Prepared {
  ir::Graph whole, body, tail;  ///< tail(body(x)) = whole(x); body is in .tflite forms
  std::size_t imported_ops = 0;
};
/// Errors: unsupported (names the operator).
[[nodiscard]] base::Result<Prepared> prepare(ir::Graph imported);

struct Variant {
  std::string name, file;
  double float_score = 0, simulated_score = 0, engine_score = 0;
  std::size_t float_bytes = 0, bytes = 0, memory_bytes = 0;  ///< memory: arena and packed weights on the engine
  double p50_ms = 0, p99_ms = 0;                             ///< one thread of this machine
  double agreement = 0;  ///< share of the outputs, over some samples, that engine and simulation give within one step
  double layer_agreement = 0;  ///< the same of the worst layer, when the simulated one gets the engine's inputs
  std::string layer_agreement_tensor;
  double least_sqnr_db = 0;  ///< over all computed tensors
  std::string least_sqnr_tensor;
  bool on_engine = true;            ///< false: float layers, for other runtimes; engine_score, times and memory are 0
  std::vector<std::string> misses;  ///< limits of the budget that it does not meet
};

/// Writes `quantized` to `file`, loads it in the CPU engine and measures all columns but float_score.
base::Result<Variant> measure_variant(const Prepared& prepared, const Quantized& quantized, const Task& task,
                                      const std::vector<TaskSample>& evaluation, const std::filesystem::path& file);

/// Writes the body with weights in float16, or in int8 with float activations, to `file`; the score
/// is simulated, since the CPU engine refuses float layers. Errors: those of write_weight_only.
base::Result<Variant> measure_weight_only(const Prepared& prepared, WeightFormat format, const Task& task,
                                          const std::vector<TaskSample>& evaluation, const std::filesystem::path& file);

/// A training that made a variant, or the smaller network of all of them.
struct Training {
  std::string name;
  double learning_rate = 0;
  HeldOut held_out;
};

struct Report {
  std::string model, metric, calibration_sha256;
  std::uint64_t mac_count = 0;
  std::size_t calibration_samples = 0, evaluation_samples = 0, imported_ops = 0, body_ops = 0, tail_ops = 0;
  double distance = 0;                            ///< domain_distance()
  std::string shrunk;                             ///< name_of(ShrinkOptions); empty: the network is the imported one
  double untrained_score = 0, trained_score = 0;  ///< of the smaller network in float
  std::uint64_t shrunk_mac_count = 0;
  std::vector<Variant> variants;
  int chosen = -1;                       ///< index into variants; -1: none is within the budget
  std::vector<LayerPrecision> layers{};  ///< of the search for mixed precision, the least sensitive first
  std::vector<emit::TargetStatus> targets{};
  std::vector<std::string> bottlenecks{};        ///< where a profile was asked for
  std::optional<std::uint64_t> training_seed{};  ///< of quantisation-aware training, where it was asked for
  std::vector<Training> trainings{};
};
[[nodiscard]] std::string to_markdown(const Report& report);
[[nodiscard]] std::string to_json(const Report& report);
/// Score over size and over p50 on the engine, one point for each variant (by size also the float model); the Pareto
/// fronts joined.
[[nodiscard]] std::string to_svg(const Report& report);

}  // namespace wayside::optimizer
