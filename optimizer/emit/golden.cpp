// SPDX-License-Identifier: Apache-2.0
// Float and simulated INT8 side by side.
#include "optimizer/emit/golden.h"

#include <algorithm>
#include <cmath>

#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer::emit {
namespace {

/// Pictures become [N,C,H,W].
void append(const ir::Values& values, const ir::Shape& shape, std::vector<std::uint8_t>& bytes) {
  ir::Values ordered = values;
  if (shape.size() == 4) {
    const auto channels = static_cast<std::size_t>(shape[3]), pixels = static_cast<std::size_t>(shape[1] * shape[2]);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t picture = i / (channels * pixels), inside = i % (channels * pixels);
      ordered[(picture * channels + inside % channels) * pixels + inside / channels] = values[i];
    }
  }
  const auto* const raw = reinterpret_cast<const std::uint8_t*>(ordered.data());
  bytes.insert(bytes.end(), raw, raw + ordered.size() * sizeof(float));
}

}  // namespace

FloatGolden float_golden(const Quantized& quantized, const std::vector<ir::Values>& samples, std::size_t count) {
  const ir::Graph& graph = quantized.graph;
  ir::Interpreter exact(graph), rounded(graph);
  rounded.simulate(quantized.scheme);
  FloatGolden golden{.count = std::min(count, samples.size())};
  double most = 0, sum = 0;
  std::size_t elements = 0;
  for (std::size_t i = 0; i < golden.count; ++i) {
    append(samples[i], graph.tensors[graph.inputs[0]].shape, golden.inputs);
    const auto wanted = exact.run({samples[i]}), near = rounded.run({samples[i]});
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      append(wanted[k], graph.tensors[graph.outputs[k]].shape, golden.outputs);
      for (std::size_t n = 0; n < wanted[k].size(); ++n) {
        const double off = std::abs(static_cast<double>(wanted[k][n]) - static_cast<double>(near[k][n]));
        most = std::max(most, off);
        sum += off;
      }
      elements += wanted[k].size();
    }
  }
  constexpr double kThousandths = 1e3, kTwice = 2, kMostThousandths = 255;
  const double max_abs = std::max(1.0, std::ceil(kTwice * kThousandths * most));
  const double mean = kTwice * kThousandths * sum / static_cast<double>(std::max<std::size_t>(elements, 1));
  if (max_abs > kMostThousandths) return golden;
  golden.max_abs = static_cast<std::uint32_t>(max_abs);
  golden.mean_abs_milli = static_cast<std::uint32_t>(std::max(1.0, std::ceil(kThousandths * mean)));
  return golden;
}

}  // namespace wayside::optimizer::emit
