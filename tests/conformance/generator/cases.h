// SPDX-License-Identifier: Apache-2.0
// The golden cases: each function adds the models of a group of operators to the suite.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "tests/conformance/generator/reference.h"

namespace wayside::conformance {

/// CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV.
void add_convolutions(Suite& suite);
/// ADD, SUB, MUL, and the functions of one value: RELU*, LEAKY_RELU, HARD_SWISH, LOGISTIC, TANH, PRELU, QUANTIZE, ...
void add_elementwise(Suite& suite);
/// Pools, MEAN, SOFTMAX, resizing.
void add_windows(Suite& suite);
/// Operators that only move values: CONCATENATION, PAD, RESHAPE, TRANSPOSE, STRIDED_SLICE, SPLIT, ...
void add_movement(Suite& suite);
/// Small graphs of several operators, as they occur in real models.
void add_graphs(Suite& suite);
/// Writes real_models.golden from the .tflite files in `models`: hashes, seeds and outputs only.
base::Result<void> write_real_models(const std::filesystem::path& models, const std::filesystem::path& golden);

}  // namespace wayside::conformance
