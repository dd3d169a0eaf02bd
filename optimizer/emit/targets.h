// SPDX-License-Identifier: Apache-2.0
// What each board's tools need of a quantised model: one folder per target, complete with the vendor's step as a
// script.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/ptq.h"

namespace wayside::optimizer::emit {

enum class Target : std::uint8_t { cpu_int8, tensorrt, hailo8, rk3588 };
[[nodiscard]] std::string_view to_string(Target target);
/// "all", or names separated by commas. Errors: invalid_argument (lists the names).
[[nodiscard]] base::Result<std::vector<Target>> parse_targets(std::string_view text);

struct TargetWork {
  std::string model;             ///< name of the files
  std::filesystem::path tflite;  ///< the chosen variant, written already
  const Quantized* quantized = nullptr;
  const std::vector<ir::Values>* calibration = nullptr;
  std::filesystem::path folder;  ///< one folder per target is made below
};

/// What was left for a target, and what is still to be done by whom.
struct TargetStatus {
  std::string target;
  std::vector<std::string> files;  ///< relative to TargetWork::folder
  std::string state;
};

/// cpu-int8:  MODEL.tflite, ready.
/// tensorrt:  model.onnx (float), model.qdq.onnx (symmetric pairs), calibration.cache, build_engine.sh for the board,
///            golden.in and golden.out (float32, see float_golden()).
/// hailo8:    model.onnx, calibration.npy [samples,H,W,C], compile.py for the Hailo Dataflow Compiler.
/// rk3588:    model.onnx, calibration/N.npy [1,H,W,C] listed in dataset.txt, compile.py for RKNN-Toolkit2.
/// Each but the first also has a README.md that names the step. Errors: io, those of write_onnx.
[[nodiscard]] base::Result<TargetStatus> emit_target(Target target, const TargetWork& work);

/// TensorRT's calibration cache: a line with version and algorithm, then one for each tensor of the float file, with
/// its symmetric scale as the hexadecimal digits of the float, highest byte first. `scales`: symmetric_scales().
/// Source: what NVIDIA's IInt8EntropyCalibrator2 hands to writeCalibrationCache().
[[nodiscard]] std::string calibration_cache(const ir::Graph& graph, const std::vector<TensorQuantization>& scales);

/// NumPy's .npy file, format 1.0 (numpy.lib.format): bytes where all values are whole numbers in 0..255, else floats.
[[nodiscard]] std::vector<std::uint8_t> npy(const ir::Shape& shape, const std::vector<const ir::Values*>& rows);

}  // namespace wayside::optimizer::emit
