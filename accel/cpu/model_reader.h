// SPDX-License-Identifier: Apache-2.0
// From the untrusted bytes of a .tflite file to a checked Graph.
#pragma once

#include <cstddef>
#include <span>

#include "accel/cpu/graph.h"
#include "base/result.h"

namespace wayside::accel::cpu {

/// Reads a full-integer TFLite model (schema version 3, one subgraph). `bytes` must stay unchanged while the Graph is
/// used: names and constants point into it. Alignment: 16 bytes, as mappings and operator new give.
///
/// What is checked here: the flatbuffer (offsets, tables, strings; depth and table counts bounded), version, every
/// index, and of every tensor that an operator or the model's interface uses: type, rank, dimensions, size within
/// bounds, constant size equal to shape, scales finite and positive, zero points in range, per-channel counts; every
/// tensor produced once and before its use. What operators demand of shapes and options is checked by their prepare
/// functions.
///
/// Custom operators at the end of the graph, whose outputs no other operator reads, are cut off: their non-constant
/// inputs become outputs. A TFLite_Detection_PostProcess among them fills Graph::ssd.
///
/// Errors: corrupt, unsupported, exhausted; one line that names the tensor or operator.
[[nodiscard]] base::Result<Graph> read_model(std::span<const std::byte> bytes);

}  // namespace wayside::accel::cpu
