// SPDX-License-Identifier: Apache-2.0
// The engine runs files whose outputs are all tensors of the network; the interpreter is given them where a layer
// reads.
#include "optimizer/report/layer_check.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include "accel/accelerator.h"
#include "optimizer/report/engine_runner.h"
#include "optimizer/tflite/writer.h"

namespace wayside::optimizer {
namespace {

using base::Result;

int steps_of(float value, const TensorQuantization& q) {
  const float steps = std::nearbyint(value / q.scale) + static_cast<float>(q.zero_point);
  return static_cast<int>(std::clamp(steps, -128.0F, 127.0F));
}

/// What the engine takes; a network of more layers is run once for each so many.
constexpr std::size_t kMostOutputs = 256;
using Sessions = std::vector<std::unique_ptr<accel::Session>>;

/// Each with the outputs of the next kMostOutputs operators.
Result<Sessions> open_sessions(const Quantized& quantized, const std::filesystem::path& file) {
  auto path = file;
  path += ".layers";
  const auto engine = accel::make_cpu_accelerator();
  Sessions sessions;
  QuantizedGraph open = quantized.integer;
  const auto& ops = quantized.graph.ops;
  for (std::size_t first = 0; first < ops.size(); first += kMostOutputs) {
    open.graph.outputs.clear();
    for (const auto& op : std::span(ops).subspan(first, std::min(kMostOutputs, ops.size() - first)))
      open.graph.outputs.push_back(op.output);
    WAYSIDE_TRY(const auto bytes, write_tflite(open, "every tensor is an output"));
    WAYSIDE_CHECK(save_file(path, bytes));
    auto session = engine->load(path, {});
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    if (!session) return std::unexpected(session.error());
    sessions.push_back(std::move(*session));
  }
  return sessions;
}

/// Of one tensor over all samples.
struct Count {
  std::size_t values = 0, near_alone = 0, near_together = 0;
  int most = 0;
};

class Comparison {
 public:
  explicit Comparison(const Quantized& quantized)
      : quantized_(quantized),
        real_(quantized.graph.tensors.size()),
        counts_(quantized.graph.tensors.size()),
        alone_(quantized.graph),
        together_(quantized.graph) {
    alone_.simulate(quantized.scheme);
    alone_.replace([this](ir::TensorId id) { return std::span<const float>(real_[id]); });
    alone_.observe([this](ir::TensorId id, std::span<const float> values) { count(id, values, &Count::near_alone); });
    together_.simulate(quantized.scheme);
    together_.observe(
        [this](ir::TensorId id, std::span<const float> values) { count(id, values, &Count::near_together); });
  }

  Result<void> add(const Sessions& sessions, const ir::Values& sample) {
    const auto& graph = quantized_.graph;
    for (std::size_t part = 0; part < sessions.size(); ++part) {
      accel::Session& session = *sessions[part];
      WAYSIDE_CHECK(fill_input(session, sample));
      keep(graph.inputs[0], session.input(0));
      WAYSIDE_CHECK(session.run());
      const std::size_t first = part * kMostOutputs, last = std::min(first + kMostOutputs, graph.ops.size());
      for (std::size_t i = first; i < last; ++i) keep(graph.ops[i].output, session.output(i - first));
    }
    static_cast<void>(alone_.run({sample}));
    static_cast<void>(together_.run({sample}));
    return {};
  }

  [[nodiscard]] std::vector<LayerAgreement> result() const {
    std::vector<LayerAgreement> out;
    for (const auto& op : quantized_.graph.ops) {
      const Count& count = counts_[op.output];
      const auto values = static_cast<double>(std::max<std::size_t>(count.values, 1));
      out.push_back({.tensor = quantized_.graph.tensors[op.output].name,
                     .alone = static_cast<double>(count.near_alone) / values,
                     .together = static_cast<double>(count.near_together) / values,
                     .most_steps = count.most});
    }
    return out;
  }

 private:
  void keep(ir::TensorId id, std::span<const std::byte> bytes) {
    const TensorQuantization& q = quantized_.scheme.activations[id];
    real_[id].clear();
    for (const std::byte byte : bytes)
      real_[id].push_back(q.scale * static_cast<float>(static_cast<std::int8_t>(byte) - q.zero_point));
  }

  void count(ir::TensorId id, std::span<const float> simulated, std::size_t Count::* near) {
    const TensorQuantization& q = quantized_.scheme.activations[id];
    Count& count = counts_[id];
    for (std::size_t i = 0; i < simulated.size(); ++i) {
      const int difference = std::abs(steps_of(simulated[i], q) - steps_of(real_[id][i], q));
      count.*near += difference <= 1 ? 1 : 0;
      if (near == &Count::near_alone) count.most = std::max(count.most, difference);
    }
    if (near == &Count::near_alone) count.values += simulated.size();
  }

  const Quantized& quantized_;
  std::vector<ir::Values> real_;  ///< by tensor: what the engine computed
  std::vector<Count> counts_;
  ir::Interpreter alone_, together_;
};

}  // namespace

Result<std::vector<LayerAgreement>> compare_layers(const Quantized& quantized, const std::vector<ir::Values>& samples,
                                                   const std::filesystem::path& file) {
  WAYSIDE_TRY(const auto sessions, open_sessions(quantized, file));
  Comparison comparison(quantized);
  for (const auto& sample : samples) WAYSIDE_CHECK(comparison.add(sessions, sample));
  return comparison.result();
}

}  // namespace wayside::optimizer
