// SPDX-License-Identifier: Apache-2.0
// Constants computed from constants: the arithmetic of shapes that exporters leave in a model.
#include <algorithm>
#include <format>
#include <numeric>
#include <utility>

#include "optimizer/import/onnx_importer.h"

namespace wayside::optimizer::onnx_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Inputs = std::vector<const Literal*>;
using Answer = Result<std::optional<Literal>>;

/// Shape arithmetic handles a few numbers; more is left to the graph.
constexpr std::size_t kMostNumbers = 65'536;

Literal list(std::vector<std::int64_t> values) {
  const int count = static_cast<int>(values.size());
  return {.shape = {count}, .whole = true, .floats = {}, .wholes = std::move(values)};
}

Answer constant(const Node& node) {
  if (const auto* value = node.find("value"); value != nullptr && value->tensor) return *value->tensor;
  if (const auto* value = node.find("value_int"))
    return Literal{.shape = {}, .whole = true, .floats = {}, .wholes = {value->i}};
  if (const auto* value = node.find("value_float"))
    return Literal{.shape = {}, .whole = false, .floats = {value->f}, .wholes = {}};
  if (const auto* value = node.find("value_ints")) return list(value->ints);
  if (const auto* value = node.find("value_floats"))
    return Literal{
        .shape = {static_cast<int>(value->floats.size())}, .whole = false, .floats = value->floats, .wholes = {}};
  return unsupported("supported are Constants with value, value_float(s) or value_int(s)");
}

Answer arithmetic(const Node& node, const Literal& a, const Literal& b) {
  if (!a.whole || !b.whole) return std::nullopt;
  const std::size_t count = std::max(a.size(), b.size());
  if ((a.size() != count && a.size() != 1) || (b.size() != count && b.size() != 1) || a.shape.size() > 1 ||
      b.shape.size() > 1)
    return std::nullopt;
  Literal out = list(std::vector<std::int64_t>(count));
  if (a.shape.empty() && b.shape.empty()) out.shape.clear();
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t x = a.wholes[a.size() == 1 ? 0 : i], y = b.wholes[b.size() == 1 ? 0 : i];
    std::int64_t z = 0;
    bool bad = false;
    if (node.op == "Add")
      bad = __builtin_add_overflow(x, y, &z);
    else if (node.op == "Sub")
      bad = __builtin_sub_overflow(x, y, &z);
    else if (node.op == "Mul")
      bad = __builtin_mul_overflow(x, y, &z);
    else if (y == 0 || y == -1)
      bad = y == 0 || __builtin_sub_overflow(std::int64_t{0}, x, &z);
    else
      z = x / y;
    if (bad) return fail(Code::corrupt, "whole numbers that overflow");
    out.wholes[i] = z;
  }
  return out;
}

Answer gather(const Node& node, const Literal& data, const Literal& indices) {
  if (!data.whole || data.shape.size() != 1 || !indices.whole || indices.shape.size() > 1 || node.whole("axis", 0) > 0)
    return std::nullopt;
  Literal out{.shape = indices.shape, .whole = true, .floats = {}, .wholes = {}};
  for (const auto index : indices.wholes) {
    const auto size = static_cast<std::int64_t>(data.wholes.size());
    const std::int64_t at = index < 0 ? index + size : index;
    if (at < 0 || at >= size) return fail(Code::corrupt, std::format("index {} of {}", index, size));
    out.wholes.push_back(data.wholes[static_cast<std::size_t>(at)]);
  }
  return out;
}

Answer slice(const Node& node, const Inputs& in) {
  const Literal& data = *in[0];
  if (!data.whole || data.shape.size() != 1) return std::nullopt;
  const auto number = [&](std::size_t index, const char* key, std::int64_t otherwise) {
    if (index < in.size() && in[index] != nullptr && in[index]->wholes.size() == 1) return in[index]->wholes[0];
    const auto values = node.wholes(key);
    return values.size() == 1 ? values[0] : otherwise;
  };
  const auto size = static_cast<std::int64_t>(data.wholes.size());
  const auto wrapped = [size](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size); };
  if (number(4, "steps", 1) != 1) return std::nullopt;
  const std::int64_t first = wrapped(std::max(number(1, "starts", 0), -size)),
                     last = wrapped(std::max(number(2, "ends", size), -size));
  if (last < first) return list({});
  return list({data.wholes.begin() + first, data.wholes.begin() + last});
}

Answer concat(const Inputs& in) {
  std::vector<std::int64_t> all;
  for (const Literal* part : in) {
    if (part == nullptr || !part->whole || part->shape.size() != 1) return std::nullopt;
    all.insert(all.end(), part->wholes.begin(), part->wholes.end());
  }
  return list(std::move(all));
}

Answer cast(const Node& node, Literal value) {
  constexpr std::int64_t kFloat = 1, kInt32 = 6, kInt64 = 7;
  const std::int64_t to = node.whole("to", 0);
  if (to != kFloat && to != kInt32 && to != kInt64) return std::nullopt;
  if (value.whole == (to != kFloat)) return value;
  if (value.whole) {
    for (const auto number : value.wholes) value.floats.push_back(static_cast<float>(number));
    value.wholes.clear();
  } else {
    constexpr float kBound = 1e18F;
    for (const float number : value.floats)
      value.wholes.push_back(static_cast<std::int64_t>(std::clamp(number, -kBound, kBound)));
    value.floats.clear();
  }
  value.whole = !value.whole;
  return value;
}

Answer filled(const Node& node, const Literal& dims) {
  const auto* value = node.find("value");
  Literal out{.shape = {}, .whole = false, .floats = {0}, .wholes = {}};
  if (value != nullptr && value->tensor && value->tensor->size() == 1) out = *value->tensor;
  out.shape.clear();
  std::size_t count = 1;
  for (const auto dim : dims.wholes) {
    if (dim < 1 || dim > static_cast<std::int64_t>(kMostNumbers)) return std::nullopt;
    out.shape.push_back(static_cast<int>(dim));
    count *= static_cast<std::size_t>(dim);
    if (count > kMostNumbers || out.shape.size() > ir::kMaxRank) return std::nullopt;
  }
  if (out.whole)
    out.wholes.resize(count, out.wholes[0]);
  else
    out.floats.resize(count, out.floats[0]);
  return out;
}

/// Reshape, Squeeze and Unsqueeze of short lists: the numbers stay, lists become lists or single numbers.
Answer reranked(const Node& node, const Literal& value) {
  if (!value.whole || value.shape.size() > 1) return std::nullopt;
  Literal out = list(value.wholes);
  if (node.op == "Squeeze" && value.size() == 1) {
    out.shape.clear();
  } else if (node.op != "Reshape" && !(node.op == "Unsqueeze" && value.shape.empty())) {
    return std::nullopt;
  }
  return out;
}

}  // namespace

Answer calculate(const Node& node, const Inputs& in, int) {
  if (node.op == "Constant") return constant(node);
  if (in.empty() || in[0] == nullptr) return std::nullopt;
  if (node.op == "Identity") return *in[0];
  if (node.op == "Shape") {
    return list({in[0]->shape.begin(), in[0]->shape.end()});
  }
  if (node.op == "QuantizeLinear") return quantize_constant(node, in);
  if (node.op == "DequantizeLinear") return dequantize_constant(node, in);
  if (in[0]->size() > kMostNumbers) return std::nullopt;
  const bool two = in.size() == 2 && in[1] != nullptr;
  if (two && (node.op == "Add" || node.op == "Sub" || node.op == "Mul" || node.op == "Div"))
    return arithmetic(node, *in[0], *in[1]);
  if (two && node.op == "Gather") return gather(node, *in[0], *in[1]);
  if (node.op == "Slice") return slice(node, in);
  if (node.op == "Concat") return concat(in);
  if (node.op == "Cast") return cast(node, *in[0]);
  if (node.op == "ConstantOfShape") return filled(node, *in[0]);
  return reranked(node, *in[0]);
}

std::string_view nearest_form(std::string_view op) {
  struct Entry {
    std::string_view op, nearest;
  };
  constexpr Entry kNearest[] = {
      {"InstanceNormalization", "BatchNormalization"},
      {"LayerNormalization", "BatchNormalization"},
      {"GroupNormalization", "BatchNormalization"},
      {"LSTM", "Conv over time"},
      {"GRU", "Conv over time"},
      {"NonMaxSuppression", "the model without it; suppression is done after the network"},
      {"TopK", "the model without it; selection is done after the network"},
      {"Softplus", "Relu or HardSwish"},
      {"Mish", "HardSwish"},
      {"Gelu", "HardSwish"},
      {"Erf", "HardSwish"},
      {"Selu", "Elu"},
      {"Celu", "Elu"},
      {"ThresholdedRelu", "Relu"},
      {"ReduceMax", "GlobalMaxPool"},
      {"Einsum", "MatMul with a constant"},
      {"QLinearConv", "Conv between DequantizeLinear and QuantizeLinear (QDQ), or the float model"},
      {"QLinearMatMul", "MatMul between DequantizeLinear and QuantizeLinear (QDQ), or the float model"},
      {"DynamicQuantizeLinear", "QuantizeLinear with constants, or the float model"},
      {"ConvInteger", "the float model"},
  };
  const auto* found = std::ranges::find(kNearest, op, &Entry::op);
  return found == std::end(kNearest) ? "a form made of Conv, Gemm, pools, elementwise and reshaping operators"
                                     : found->nearest;
}

}  // namespace wayside::optimizer::onnx_import
