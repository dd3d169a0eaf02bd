// SPDX-License-Identifier: Apache-2.0
// QDQ models: weights come back as real numbers; what activations are rounded to becomes their range.
#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

#include "optimizer/import/onnx_importer.h"
#include "optimizer/import/stated_range.h"

namespace wayside::optimizer::onnx_import {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// Scale and zero point of QuantizeLinear and DequantizeLinear; one of each, or one for each entry along `axis`.
struct Steps {
  std::vector<float> scales;
  std::vector<std::int64_t> zero_points;
  std::int64_t least = 0;  ///< of the 8-bit type
  std::size_t channels = 1, inner = 1;
  [[nodiscard]] std::size_t channel(std::size_t index) const { return index / inner % channels; }
};

Result<Steps> read_steps(const Node& node, const Literal* scale, const Literal* zero_point, const Shape& shape) {
  if (scale == nullptr || scale->whole) return unsupported("supported is a constant scale of FLOAT");
  Steps steps{.scales = scale->floats, .zero_points = {}};
  const bool fits = std::ranges::all_of(steps.scales, [](float s) { return std::isfinite(s) && s > 0; });
  if (!fits || steps.scales.empty()) return fail(Code::corrupt, "a scale that is not above 0");
  if (zero_point != nullptr) {
    if (!zero_point->whole || zero_point->size() != steps.scales.size())
      return fail(Code::corrupt, std::format("{} zero points for {} scales", zero_point->size(), steps.scales.size()));
    steps.zero_points = zero_point->wholes;
    steps.least = zero_point->least;
  } else {
    steps.zero_points.assign(steps.scales.size(), 0);
  }
  if (steps.scales.size() == 1) return steps;
  WAYSIDE_TRY(const int axis, wrap_axis(node.whole("axis", 1), shape.size()));
  const auto at = static_cast<std::size_t>(axis);
  if (node.whole("block_size", 0) != 0 || steps.scales.size() != static_cast<std::size_t>(shape[at]))
    return unsupported(std::format("{} scales for {}; supported are one, or one for each entry of an axis",
                                   steps.scales.size(), ir::to_string(shape)));
  steps.channels = steps.scales.size();
  for (std::size_t i = at + 1; i < shape.size(); ++i) steps.inner *= static_cast<std::size_t>(shape[i]);
  return steps;
}

Result<Steps> steps_of(const Importer& importer, const Node& node, const Shape& shape) {
  WAYSIDE_TRY(const Literal* scale, importer.literal(node, 1));
  const Literal* zero_point = nullptr;
  if (node.has_input(2)) {
    WAYSIDE_TRY(zero_point, importer.literal(node, 2));
  }
  return read_steps(node, scale, zero_point, shape);
}

/// From here on the tensor holds what the 8-bit type can.
Result<void> quantize_linear(Importer& importer, const Node& node) {
  WAYSIDE_TRY(Value x, importer.value(node, 0));
  WAYSIDE_TRY(const Steps steps, steps_of(importer, node, x.shape));
  if (steps.channels != 1) return unsupported("an activation with several scales; supported is one for a tensor");
  if (x.literal != nullptr) return unsupported("a constant of this form; supported are constants of FLOAT");
  WAYSIDE_TRY(x.tensor, importer.state(x.tensor, range_of(steps.scales[0], static_cast<int>(steps.zero_points[0]),
                                                          static_cast<int>(steps.least))));
  return importer.define_same(node, std::move(x));
}

Result<void> dequantize_linear(Importer& importer, const Node& node) {
  WAYSIDE_TRY(Value x, importer.value(node, 0));
  return importer.define_same(node, std::move(x));
}

constexpr HandlerEntry kHandlers[] = {
    {"QuantizeLinear", quantize_linear},
    {"DequantizeLinear", dequantize_linear},
};

}  // namespace

std::span<const HandlerEntry> quantized_handlers() { return kHandlers; }

/// y = clamp(round(x / scale) + zero point), ties to even.
Result<Literal> quantize_constant(const Node& node, const std::vector<const Literal*>& in) {
  const Literal& x = *in[0];
  if (x.whole || in.size() < 2) return unsupported("supported is a constant of FLOAT");
  WAYSIDE_TRY(const Steps steps, read_steps(node, in[1], in.size() > 2 ? in[2] : nullptr, x.shape));
  constexpr int kLevels = 256;
  Literal out{.shape = x.shape, .whole = true, .floats = {}, .wholes = {}, .least = steps.least};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = steps.channel(i);
    const double step =
        std::nearbyint(static_cast<double>(x.floats[i] / steps.scales[c])) + static_cast<double>(steps.zero_points[c]);
    const auto least = static_cast<double>(steps.least);
    out.wholes.push_back(static_cast<std::int64_t>(std::clamp(step, least, least + kLevels - 1)));
  }
  return out;
}

/// y = (x - zero point) * scale
Result<Literal> dequantize_constant(const Node& node, const std::vector<const Literal*>& in) {
  const Literal& x = *in[0];
  if (!x.whole || in.size() < 2) return unsupported("supported is a constant of INT8, UINT8 or INT32");
  WAYSIDE_TRY(const Steps steps, read_steps(node, in[1], in.size() > 2 ? in[2] : nullptr, x.shape));
  Literal out{.shape = x.shape, .whole = false, .floats = {}, .wholes = {}};
  out.floats.reserve(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = steps.channel(i);
    out.floats.push_back(static_cast<float>(static_cast<double>(x.wholes[i] - steps.zero_points[c]) *
                                            static_cast<double>(steps.scales[c])));
  }
  return out;
}

}  // namespace wayside::optimizer::onnx_import
