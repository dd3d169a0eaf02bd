// SPDX-License-Identifier: Apache-2.0
// See value_table.h.
#include "accel/preprocess/value_table.h"

#include <algorithm>
#include <cmath>
#include <format>

#include "accel/preprocess/geometry.h"

namespace wayside::accel {

Normalization default_normalization(const TensorInfo& input) {
  Normalization result;
  const auto& q = input.quantization;
  if (q.scale > 0 && (input.type == DType::i8 || input.type == DType::u8)) {
    // q = (value - mean) / std / scale + zero_point must be value (u8) or value - 128 (i8).
    result.mean.fill(static_cast<float>(q.zero_point + (input.type == DType::i8 ? 128 : 0)));
    result.standard_deviation.fill(1 / q.scale);
  } else {
    result.standard_deviation.fill(255);
  }
  return result;
}

}  // namespace wayside::accel

namespace wayside::accel::preprocess {
namespace {

using base::Code;

base::Result<void> check_input(const PreprocessSpec& spec) {
  const auto& input = spec.input;
  const auto& shape = input.shape;
  const int wanted = spec.order == ColorOrder::gray ? 1 : 3;
  if (input.type != DType::i8 && input.type != DType::u8 && input.type != DType::f32) {
    return base::fail(Code::unsupported, std::format("input tensor '{}' is {}; pictures go into i8, u8 or f32",
                                                     input.name, to_string(input.type)));
  }
  const auto side_ok = [](std::int32_t side) { return side >= 1 && side <= static_cast<int>(kMaxTensorSidePx); };
  if (shape.size() != 4 || shape[0] != 1 || !side_ok(shape[1]) || !side_ok(shape[2]) || shape[3] != wanted) {
    std::string text;
    for (const auto dim : shape) text += std::format("{}{}", text.empty() ? "" : ",", dim);
    return base::fail(Code::invalid_argument,
                      std::format("input tensor '{}' is [{}]; {} pictures need [1,height,width,{}] with sides up to {}",
                                  input.name, text, wanted == 1 ? "gray" : "rgb or bgr", wanted, kMaxTensorSidePx));
  }
  if (input.type != DType::f32 && !(std::isfinite(input.quantization.scale) && input.quantization.scale > 0)) {
    return base::fail(Code::invalid_argument, std::format("input tensor '{}' has quantisation scale {}; must be > 0",
                                                          input.name, input.quantization.scale));
  }
  return {};
}

}  // namespace

base::Result<ValueTable> make_value_table(const PreprocessSpec& spec) {
  WAYSIDE_CHECK(check_input(spec));
  const auto& input = spec.input;
  const auto norm = spec.normalization.value_or(default_normalization(input));
  ValueTable table;
  table.is_float = input.type == DType::f32;
  table.channel_count = spec.order == ColorOrder::gray ? 1 : 3;
  const double low = input.type == DType::i8 ? -128 : 0;
  bool same = !table.is_float, flip = same;
  for (std::size_t c = 0; c < table.channel_count; ++c) {
    const double mean = norm.mean[c], deviation = norm.standard_deviation[c];
    if (!std::isfinite(mean) || !std::isfinite(deviation) || deviation == 0) {
      return base::fail(
          Code::invalid_argument,
          std::format("normalisation of channel {} is mean {}, std {}; std must not be 0", c, mean, deviation));
    }
    for (std::size_t value = 0; value < 256; ++value) {
      const double real = (static_cast<double>(value) - mean) / deviation;
      table.reals[c][value] = static_cast<float>(real);
      if (table.is_float) continue;
      const double q = std::round(real / input.quantization.scale) + input.quantization.zero_point;
      const auto bits = static_cast<std::uint8_t>(static_cast<int>(std::clamp(q, low, low + 255)));
      table.bytes[c][value] = bits;
      same = same && bits == value;
      flip = flip && bits == (value ^ 0x80U);
    }
  }
  if (same) table.kind = ValueTable::Kind::same;
  if (flip) table.kind = ValueTable::Kind::flip;
  return table;
}

}  // namespace wayside::accel::preprocess
