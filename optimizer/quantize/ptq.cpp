// SPDX-License-Identifier: Apache-2.0
// The chain of post-training quantisation.
#include "optimizer/quantize/ptq.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

#include "optimizer/quantize/adaround.h"
#include "optimizer/quantize/equalize.h"
#include "optimizer/quantize/int4.h"
#include "optimizer/quantize/swish.h"

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;

/// Mean of each channel of the inputs of layers, for bias correction.
class ChannelMeans {
 public:
  explicit ChannelMeans(const ir::Graph& graph)
      : graph_(graph), sums_(graph.tensors.size()), counts_(graph.tensors.size()) {
    for (const Op& op : graph.ops) {
      if (has_weights(op.kind)) sums_[op.inputs[0]].resize(input_channels(graph, op));
    }
  }
  void add(ir::TensorId id, std::span<const float> values) {
    auto& sums = sums_[id];
    if (sums.empty()) return;
    for (std::size_t first = 0; first < values.size(); first += sums.size()) {
      for (std::size_t c = 0; c < sums.size(); ++c) sums[c] += static_cast<double>(values[first + c]);
    }
    counts_[id] += values.size() / sums.size();
  }
  [[nodiscard]] double mean(ir::TensorId id, std::size_t channel) const {
    return sums_[id][channel] / static_cast<double>(std::max<std::size_t>(counts_[id], 1));
  }

 private:
  const ir::Graph& graph_;
  std::vector<std::vector<double>> sums_;
  std::vector<std::size_t> counts_;
};

/// What rounding a weight adds on average, (rounded - exact) * mean of its input, is taken from the bias.
void correct_biases(ir::Graph& graph, const QuantizedGraph& integer, const ChannelMeans& means) {
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    Op& op = graph.ops[i];
    if (!has_weights(op.kind)) continue;
    const auto& rounded = integer.weights[i];
    const std::size_t inputs = input_channels(graph, op);
    for (std::size_t k = 0; k < op.weight.size(); ++k) {
      const WeightPlace at = weight_place(op, inputs, k);
      const float error = rounded.scale[at.out] * static_cast<float>(rounded.weight[k]) - op.weight[k];
      op.bias[at.out] -= static_cast<float>(static_cast<double>(error) * means.mean(op.inputs[0], at.in));
    }
  }
}

/// One per operator; empty: all int8.
std::vector<WeightFormat> weight_formats(const ir::Graph& graph, const std::vector<ir::Values>& samples,
                                         const PtqOptions& options) {
  const double share = options.int4_share;
  if (share <= 0) return {};
  if (share >= 1) return choose_int4(graph, std::vector<double>(graph.ops.size()), share);
  if (!options.int4_decibels.empty()) return choose_int4(graph, options.int4_decibels, share);
  return choose_int4(graph, int4_sensitivity(graph, samples), share);
}

/// What the options say of the operators of `given`, said of those of `equalized`, which has more: they stay at eight
/// bits as long as others can take four.
PtqOptions of_equalized(PtqOptions options, const ir::Graph& given, const ir::Graph& equalized) {
  if (options.int4_decibels.empty() || given.ops.size() == equalized.ops.size()) return options;
  constexpr double kLast = -1e9;
  std::vector<double> by_tensor(equalized.tensors.size(), kLast), decibels;
  for (std::size_t i = 0; i < given.ops.size(); ++i) by_tensor[given.ops[i].output] = options.int4_decibels[i];
  for (const Op& op : equalized.ops) decibels.push_back(by_tensor[op.output]);
  options.int4_decibels = std::move(decibels);
  if (options.int4_share < 1)
    options.int4_share *=
        static_cast<double>(ir::cost(given).weight_count) / static_cast<double>(ir::cost(equalized).weight_count);
  return options;
}

/// Of the second pass over the samples.
bool needs_counts(RangeMethod method) {
  return method != RangeMethod::min_max && method != RangeMethod::average && method != RangeMethod::file;
}

std::vector<Range> ranges_of(const ir::Graph& graph, const std::vector<TensorStatistics>& statistics,
                             RangeMethod method) {
  std::vector<Range> ranges;
  for (std::size_t id = 0; id < statistics.size(); ++id) {
    const ir::Tensor& tensor = graph.tensors[id];
    const bool stated = method == RangeMethod::file && tensor.low < tensor.high;
    ranges.push_back(stated ? Range{tensor.low, tensor.high} : statistics[id].range(method));
  }
  return ranges;
}

}  // namespace

void equalize(ir::Graph& graph, const std::vector<ir::Values>& samples) {
  equalize_swish(graph, samples);
  equalize_layers(graph, samples);
}

std::vector<double> noise_by_tensor(const ir::Graph& graph, const Scheme& scheme,
                                    const std::vector<ir::Values>& samples) {
  std::vector<double> signal(graph.tensors.size()), noise(graph.tensors.size());
  ir::Interpreter exact(graph), rounded(graph);
  rounded.simulate(scheme);
  std::vector<std::vector<float>> values(graph.tensors.size());
  exact.observe([&](ir::TensorId id, std::span<const float> x) { values[id].assign(x.begin(), x.end()); });
  rounded.observe([&](ir::TensorId id, std::span<const float> x) {
    const float* exact_values = values[id].data();
    double wanted_sum = 0, error_sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto wanted = static_cast<double>(exact_values[i]), error = static_cast<double>(x[i]) - wanted;
      wanted_sum += wanted * wanted;
      error_sum += error * error;
    }
    signal[id] += wanted_sum;
    noise[id] += error_sum;
  });
  for (const auto& sample : samples) {
    static_cast<void>(exact.run({sample}));
    static_cast<void>(rounded.run({sample}));
  }
  std::vector<double> decibels(signal.size());
  for (std::size_t i = 0; i < signal.size(); ++i)
    decibels[i] = 10 * std::log10((signal[i] + 1e-20) / (noise[i] + 1e-20));
  return decibels;
}

base::Result<Quantized> quantize_after_training(ir::Graph graph, const std::vector<ir::Values>& samples,
                                                const TensorQuantization& input, const PtqOptions& options,
                                                const std::function<bool(double)>& progress) {
  if (samples.size() < kMinCalibrationPictures) {
    return base::fail(
        base::Code::invalid_argument,
        std::format("calibration: {} samples, at least {} are needed; give more of the kind that the device will see",
                    samples.size(), kMinCalibrationPictures));
  }
  const ir::Graph given = graph;
  if (options.equalize) equalize(graph, samples);
  const ir::Graph exact = graph;
  const auto formats = weight_formats(graph, samples, of_equalized(options, given, graph));
  for (std::size_t i = 0; i < formats.size(); ++i) {
    if (formats[i] == WeightFormat::int4) clip_for_int4(graph.ops[i]);
  }
  std::vector<TensorStatistics> statistics(graph.tensors.size());
  ChannelMeans means(graph);
  ir::Interpreter interpreter(graph);
  const bool twice = needs_counts(options.method);
  const double calibration_share = options.adaround_steps > 0 ? 0.1 : 1;  // of the work
  for (int pass = 0; pass < (twice ? 2 : 1); ++pass) {
    interpreter.observe([&](ir::TensorId id, std::span<const float> values) {
      if (pass == 1) return statistics[id].count(values);
      statistics[id].widen(values);
      means.add(id, values);
    });
    for (std::size_t i = 0; i < samples.size(); ++i) {
      static_cast<void>(interpreter.run({samples[i]}));
      const double done =
          (static_cast<double>(pass) + static_cast<double>(i + 1) / static_cast<double>(samples.size())) /
          (twice ? 2 : 1);
      if (progress && !progress(calibration_share * done)) return base::fail(base::Code::bad_state, "stopped");
    }
  }
  auto ranges = ranges_of(graph, statistics, options.method);
  if (options.method != RangeMethod::file) end_swish_ranges(graph, ranges);
  const auto scales = scales_for(graph, ranges, input);
  if (options.adaround_steps > 0) {
    WAYSIDE_CHECK(round_adaptively(
        exact, graph, {scales, formats}, samples,
        {.steps = options.adaround_steps, .correct_bias = options.correct_bias},
        [&](double done) { return !progress || progress(calibration_share + (1 - calibration_share) * done); }));
  }
  WAYSIDE_TRY(auto integer, quantize(graph, scales, formats));
  if (options.correct_bias && options.adaround_steps == 0) {
    correct_biases(graph, integer, means);
    WAYSIDE_TRY(integer, quantize(graph, scales, formats));
  }
  return Quantized{.graph = std::move(graph), .scheme = {scales, formats}, .integer = std::move(integer)};
}

}  // namespace wayside::optimizer
