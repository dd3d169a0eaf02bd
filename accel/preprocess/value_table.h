// SPDX-License-Identifier: Apache-2.0
// ValueTable: picture value 0..255 to tensor element, per channel: normalisation and quantisation worked out once.
#pragma once

#include <array>
#include <cstdint>

#include "accel/preprocess/preprocess.h"
#include "base/result.h"

namespace wayside::accel::preprocess {

struct ValueTable {
  /// same: element = value; flip: element = value - 128 as i8 (the bits of value xor 0x80); table: look up.
  enum class Kind : std::uint8_t { same, flip, table } kind = Kind::table;
  bool is_float = false;
  std::uint32_t channel_count = 3;
  std::array<std::array<std::uint8_t, 256>, 3> bytes{};  ///< i8 as its bits
  std::array<std::array<float, 256>, 3> reals{};         ///< when is_float
};

/// q = clamp(round((value - mean) / std / scale) + zero_point), halves away from zero.
/// Errors: unsupported (type, layout), invalid_argument (std 0, scale 0, channels against order); name the tensor.
base::Result<ValueTable> make_value_table(const PreprocessSpec& spec);

}  // namespace wayside::accel::preprocess
