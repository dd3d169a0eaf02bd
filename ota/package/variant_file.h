// SPDX-License-Identifier: Apache-2.0
// What a variant's file must begin with, so that a file of another tool is refused before it is signed.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "ota/package/refusal.h"

namespace wayside::ota {

/// Looks at the first bytes of a model file: cpu-int8 and opencl take .tflite, hailo8 .hef, rk3588 .rknn, tensorrt an
/// engine (TensorRT 8), or .onnx where the board compiles. Other accelerators are not judged. Refusals: bad_magic
/// (says what was expected).
[[nodiscard]] Checked<void> check_variant_file(std::string_view accelerator, bool compile,
                                               std::span<const std::byte> bytes);

}  // namespace wayside::ota
