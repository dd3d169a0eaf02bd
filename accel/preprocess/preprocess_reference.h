// SPDX-License-Identifier: Apache-2.0
// The definition of what Preprocessor computes, pixel by pixel, for tests; slow and simple on purpose.
#pragma once

#include <cstddef>
#include <span>

#include "accel/preprocess/preprocess.h"

namespace wayside::accel {

/// As Preprocessor::run for the same spec. Errors: those of create and run.
base::Result<FrameMapping> preprocess_reference(const PreprocessSpec& spec, const base::ImageView& source,
                                                const CropRect& crop, std::span<std::byte> tensor);

}  // namespace wayside::accel
