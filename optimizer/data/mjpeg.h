// SPDX-License-Identifier: Apache-2.0
// Cuts a stream of JPEG pictures written one after the other (MJPEG) into its pictures.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace wayside::optimizer {

/// The bytes of each picture, from its SOI to its EOI marker; views into `stream`. Bytes between pictures are skipped.
/// Source of the markers: ITU-T T.81, table B.1. Errors: corrupt (no whole picture in the stream).
base::Result<std::vector<std::span<const std::uint8_t>>> split_mjpeg(std::span<const std::uint8_t> stream);

}  // namespace wayside::optimizer
