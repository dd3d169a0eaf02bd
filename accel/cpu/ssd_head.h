// SPDX-License-Identifier: Apache-2.0
// Reads the parameters of a TFLite_Detection_PostProcess operator (internal to the model reader).
#pragma once

#include <cstddef>
#include <span>

#include "accel/accelerator.h"
#include "accel/cpu/graph.h"
#include "base/result.h"

namespace wayside::accel::cpu {

/// `options` is the operator's flexbuffer (untrusted); box_output and score_output are left 0 for the caller. `anchors`
/// is the constant [count,4] tensor. The three shapes are checked against each other. Errors: corrupt, unsupported.
/// Source: tensorflow/lite/kernels/detection_postprocess.cc Init, Prepare.
[[nodiscard]] base::Result<SsdHead> read_ssd_head(std::span<const std::byte> options, const Tensor& boxes,
                                                  const Tensor& scores, const Tensor& anchors);

}  // namespace wayside::accel::cpu
