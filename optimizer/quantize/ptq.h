// SPDX-License-Identifier: Apache-2.0
// Post-training quantisation of any graph: equalise, calibrate, choose scales, correct biases, round.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/calibration.h"
#include "optimizer/quantize/quantized_graph.h"

namespace wayside::optimizer {

struct PtqOptions {
  RangeMethod method = RangeMethod::mse;
  bool equalize = true;      ///< see equalize()
  bool correct_bias = true;  ///< the same paper, section 4.2, with measured means
  double int4_share = 0;     ///< at most this share of the weights gets four bits: the layers that lose least by it
  std::vector<double> int4_decibels{};  ///< int4_sensitivity() of the equalised graph, if known; empty: found if needed
  std::int64_t adaround_steps = 0;      ///< for each layer, see adaround.h; 0: weights are rounded to the nearest
};

/// equalize_swish() and equalize_layers(): the same network in float.
void equalize(ir::Graph& graph, const std::vector<ir::Values>& samples);

/// Signal to quantisation noise of each tensor in dB: float against simulated INT8, over some samples.
[[nodiscard]] std::vector<double> noise_by_tensor(const ir::Graph& graph, const Scheme& scheme,
                                                  const std::vector<ir::Values>& samples);

struct Quantized {
  ir::Graph graph;  ///< float, equalised and with corrected biases: with `scheme` what simulate() takes
  Scheme scheme;
  QuantizedGraph integer;
};

/// `graph` is in .tflite forms (passes::to_tflite_forms) and has one input. Called with the share done, false stops.
/// Errors: invalid_argument (fewer than kMinCalibrationPictures samples), bad_state (stopped).
base::Result<Quantized> quantize_after_training(ir::Graph graph, const std::vector<ir::Values>& samples,
                                                const TensorQuantization& input, const PtqOptions& options,
                                                const std::function<bool(double)>& progress);

}  // namespace wayside::optimizer
