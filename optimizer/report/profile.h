// SPDX-License-Identifier: Apache-2.0
// Layer by layer: time on the CPU engine, work, bytes moved, noise of the rounding; the bottlenecks named.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/ptq.h"

namespace wayside::optimizer {

struct LayerProfile {
  std::string op, tensor;  ///< kind, and the name of what it computes
  std::string input_shape, output_shape;
  double mean_us = 0;  ///< 0: does not run (only another name for the same bytes)
  std::uint64_t mac_count = 0;
  std::uint64_t moved_bytes = 0;   ///< inputs, output and weights, each once
  double sqnr_db = 0;              ///< of its output, INT8 simulated against float
  double alone = 1, together = 1;  ///< engine and simulation within one step, see LayerAgreement
};

struct ModelProfile {
  std::string model;
  std::vector<LayerProfile> layers;  ///< in order of execution
  double total_us = 0;
};

/// Runs `file`, which write_tflite() made of quantized.integer, on one thread of the CPU engine: kProfileRuns times
/// over the samples after a first round that is not counted. Errors: those of the engine's loader, invalid_argument
/// (samples of another size).
inline constexpr std::size_t kProfileRuns = 30;
[[nodiscard]] base::Result<ModelProfile> profile(const std::string& model, const std::filesystem::path& file,
                                                 const Quantized& quantized, const std::vector<ir::Values>& samples);

/// A sentence for each bottleneck: layers of a tenth of the time or more, slowest first, with what bounds them; then
/// the layers below kLeastSqnr_db. One sentence says so when there are none.
inline constexpr double kLeastSqnr_db = 20;
[[nodiscard]] std::vector<std::string> bottlenecks(const ModelProfile& profile);

/// A table with aligned columns, and the bottlenecks.
[[nodiscard]] std::string to_text(const ModelProfile& profile);
/// The same as one page without other files, with bars. Names are escaped.
[[nodiscard]] std::string to_html(const ModelProfile& profile);

}  // namespace wayside::optimizer
