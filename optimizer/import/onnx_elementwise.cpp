// SPDX-License-Identifier: Apache-2.0
// ONNX operators on single elements, pairs of tensors, and along axes.
#include <algorithm>
#include <cmath>
#include <format>
#include <limits>
#include <numeric>
#include <utility>

#include "optimizer/import/onnx_importer.h"

namespace wayside::optimizer::onnx_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Op;
using ir::OpKind;
using ir::TensorId;

constexpr float kMost = std::numeric_limits<float>::max();

Result<TensorId> input(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  return importer.stored(x, node.inputs[0]);
}

Result<void> unary(Importer& importer, const Node& node, Op op) {
  WAYSIDE_TRY(const TensorId in, input(importer, node));
  op.inputs = {in};
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), node.outputs[0]));
  return importer.define(node, out);
}

Result<void> plain_unary(Importer& importer, const Node& node) {
  struct Entry {
    std::string_view op;
    OpKind kind;
  };
  constexpr Entry kKinds[] = {
      {"Relu", OpKind::relu}, {"Sigmoid", OpKind::logistic}, {"Tanh", OpKind::tanh}, {"HardSwish", OpKind::hard_swish},
      {"Exp", OpKind::exp},   {"Sqrt", OpKind::sqrt},        {"Abs", OpKind::abs}};
  return unary(importer, node, {.kind = std::ranges::find(kKinds, node.op, &Entry::op)->kind});
}

Result<void> leaky_relu(Importer& importer, const Node& node) {
  return unary(importer, node, {.kind = OpKind::leaky_relu, .alpha = node.number("alpha", 0.01F)});
}
Result<void> elu(Importer& importer, const Node& node) {
  return unary(importer, node, {.kind = OpKind::elu, .alpha = node.number("alpha", 1)});
}

/// x * factor + offset with constants.
Result<TensorId> affine(Importer& importer, const std::string& name, TensorId in, float factor, float offset) {
  const Shape one(importer.shape(in).size(), 1);
  TensorId out = in;
  if (factor != 1) {
    WAYSIDE_TRY(
        out, importer.append({.kind = OpKind::mul, .inputs = {out, importer.constant(name + "/factor", one, {factor})}},
                             name + "/scaled"));
  }
  if (offset != 0) {
    WAYSIDE_TRY(
        out, importer.append({.kind = OpKind::add, .inputs = {out, importer.constant(name + "/offset", one, {offset})}},
                             name + "/moved"));
  }
  return out;
}

Result<void> neg(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, input(importer, node));
  WAYSIDE_TRY(const TensorId out, affine(importer, node.outputs[0], in, -1, 0));
  return importer.define(node, out);
}

Result<void> reciprocal(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, input(importer, node));
  const Shape one(importer.shape(in).size(), 1);
  const TensorId numerator = importer.constant(node.outputs[0] + "/one", one, {1});
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = OpKind::div, .inputs = {numerator, in}}, node.outputs[0]));
  return importer.define(node, out);
}

/// max(0, min(1, alpha * x + beta))
Result<void> hard_sigmoid(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, input(importer, node));
  WAYSIDE_TRY(const TensorId line,
              affine(importer, node.outputs[0], in, node.number("alpha", 0.2F), node.number("beta", 0.5F)));
  WAYSIDE_TRY(const TensorId out,
              importer.append({.kind = OpKind::clip, .inputs = {line}, .alpha = 0, .beta = 1}, node.outputs[0]));
  return importer.define(node, out);
}

/// One number from an input or an attribute.
Result<float> limit(Importer& importer, const Node& node, std::size_t index, const std::string& key, float otherwise) {
  if (!node.has_input(index)) return node.number(key, otherwise);
  WAYSIDE_TRY(const Literal* found, importer.literal(node, index));
  if (found->whole || found->floats.size() != 1) return unsupported("supported are limits that are one float");
  return found->floats[0];
}

Result<void> clip(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const float low, limit(importer, node, 1, "min", -kMost));
  WAYSIDE_TRY(const float high, limit(importer, node, 2, "max", kMost));
  return unary(importer, node, {.kind = OpKind::clip, .alpha = low, .beta = high});
}

/// Max and Min with one number are a clip.
Result<void> extreme(Importer& importer, const Node& node) {
  if (node.inputs.size() != 2) return unsupported("supported are two inputs, the second one number");
  WAYSIDE_TRY(const float bound, limit(importer, node, 1, "", 0));
  const bool low = node.op == "Max";
  return unary(importer, node, {.kind = OpKind::clip, .alpha = low ? bound : -kMost, .beta = low ? kMost : bound});
}

Result<void> prelu(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const Literal* slope, importer.literal(node, 1));
  if (x.shape.size() != 4 || slope->whole) return unsupported("supported is PRelu of pictures [N,C,H,W]");
  const auto channels = static_cast<std::size_t>(x.shape[1]);
  if (slope->size() != channels && slope->size() != 1)
    return unsupported("supported is one slope for each channel, or one for all");
  if (slope->size() == channels && channels > 1 && slope->shape.size() != 3 &&
      !(slope->shape.size() == 4 && slope->shape[0] == 1))
    return unsupported(std::format("slopes {}; supported is [C,1,1]", ir::to_string(slope->shape)));
  std::vector<float> slopes = slope->floats;
  slopes.resize(channels, slopes[0]);
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  const TensorId constant = importer.constant(node.outputs[0] + "/slope", {x.shape[1]}, std::move(slopes));
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = OpKind::prelu, .inputs = {in, constant}}, node.outputs[0]));
  return importer.define(node, out);
}

Result<void> binary(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value a, importer.value(node, 0));
  WAYSIDE_TRY(const Value b, importer.value(node, 1));
  const std::size_t rank = std::max({a.shape.size(), b.shape.size(), std::size_t{1}});
  WAYSIDE_TRY(const TensorId left, importer.raised(a, rank, node.outputs[0] + "/a"));
  WAYSIDE_TRY(const TensorId right, importer.raised(b, rank, node.outputs[0] + "/b"));
  const OpKind kind = node.op == "Add"   ? OpKind::add
                      : node.op == "Sub" ? OpKind::sub
                      : node.op == "Mul" ? OpKind::mul
                                         : OpKind::div;
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = kind, .inputs = {left, right}}, node.outputs[0]));
  return importer.define(node, out);
}

Result<void> pow(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Literal* exponent, importer.literal(node, 1));
  const double value = exponent->size() == 1 ? (exponent->whole ? static_cast<double>(exponent->wholes[0])
                                                                : static_cast<double>(exponent->floats[0]))
                                             : 0;
  if (value == 0.5) return unary(importer, node, {.kind = OpKind::sqrt});
  if (value != 2) return unsupported("supported is Pow with the exponent 2 or 0.5");
  WAYSIDE_TRY(const TensorId in, input(importer, node));
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = OpKind::mul, .inputs = {in, in}}, node.outputs[0]));
  return importer.define(node, out);
}

/// Before opset 13 softmax runs over all axes from `axis` on together.
Result<void> softmax(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  const bool together = importer.opset() < 13;
  WAYSIDE_TRY(const int axis, wrap_axis(node.whole("axis", together ? 1 : -1), x.shape.size()));
  std::size_t after = 1;
  for (std::size_t i = static_cast<std::size_t>(axis) + 1; i < x.shape.size(); ++i)
    after *= static_cast<std::size_t>(x.shape[i]);
  if (!together || after == 1)
    return unary(importer, node, {.kind = OpKind::softmax, .axes = {stored_axis(axis, x.shape.size())}});
  const int inner = static_cast<int>(after) * x.shape[static_cast<std::size_t>(axis)];
  const int outer = static_cast<int>(ir::element_count(x.shape)) / inner;
  const std::string& name = node.outputs[0];
  WAYSIDE_TRY(const TensorId in, importer.plain(x, node.inputs[0]));
  WAYSIDE_TRY(const TensorId flat,
              importer.append({.kind = OpKind::reshape, .inputs = {in}}, name + "/flat", {outer, inner}));
  WAYSIDE_TRY(const TensorId soft,
              importer.append({.kind = OpKind::softmax, .inputs = {flat}, .axes = {1}}, name + "/soft"));
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = OpKind::reshape, .inputs = {soft}}, name, x.shape));
  return importer.define_plain(node, out);
}

Result<void> reduce(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  const std::size_t rank = x.shape.size();
  WAYSIDE_TRY(auto axes, importer.numbers(node, 1, "axes"));
  if (axes.empty() && node.whole("noop_with_empty_axes", 0) != 0)
    return unsupported("noop_with_empty_axes; supported are named axes");
  if (axes.empty()) {
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), 0);
  }
  Op op{.kind = node.op == "ReduceMean" ? OpKind::mean : OpKind::sum};
  Shape kept = x.shape;
  for (const auto entry : axes) {
    WAYSIDE_TRY(const int axis, wrap_axis(entry, rank));
    op.axes.push_back(stored_axis(axis, rank));
    if (std::exchange(kept[static_cast<std::size_t>(axis)], 0) == 0) return fail(Code::corrupt, "an axis twice");
  }
  std::erase(kept, 0);
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  op.inputs = {in};
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), node.outputs[0]));
  if (node.whole("keepdims", 1) != 0) return importer.define(node, out);
  if (kept.empty()) kept = {1};
  // From the graph's order: the removed axes are ones, so only the order of those that stay matters.
  TensorId ordered = out;
  if (rank == 4) {
    WAYSIDE_TRY(ordered, importer.append({.kind = OpKind::transpose, .inputs = {out}, .axes = {0, 3, 1, 2}},
                                         node.outputs[0] + "/nchw"));
  }
  WAYSIDE_TRY(const TensorId flat,
              importer.append({.kind = OpKind::reshape, .inputs = {ordered}}, node.outputs[0], kept));
  return importer.define_plain(node, flat);
}

/// Nothing to do in a float graph.
Result<void> same(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  WAYSIDE_TRY(const TensorId out,
              importer.append({.kind = OpKind::reshape, .inputs = {in}}, node.outputs[0], importer.shape(in)));
  return importer.define(node, out);
}

Result<void> cast(Importer& importer, const Node& node) {
  constexpr std::int64_t kFloat = 1;  // TensorProto.DataType
  if (node.whole("to", 0) != kFloat) return unsupported("supported is a Cast of computed values to float32");
  return same(importer, node);
}

constexpr HandlerEntry kHandlers[] = {
    {"Relu", plain_unary},
    {"Sigmoid", plain_unary},
    {"Tanh", plain_unary},
    {"HardSwish", plain_unary},
    {"Exp", plain_unary},
    {"Sqrt", plain_unary},
    {"Abs", plain_unary},
    {"LeakyRelu", leaky_relu},
    {"Elu", elu},
    {"Neg", neg},
    {"Reciprocal", reciprocal},
    {"HardSigmoid", hard_sigmoid},
    {"Clip", clip},
    {"Max", extreme},
    {"Min", extreme},
    {"PRelu", prelu},
    {"Add", binary},
    {"Sub", binary},
    {"Mul", binary},
    {"Div", binary},
    {"Pow", pow},
    {"Softmax", softmax},
    {"ReduceMean", reduce},
    {"ReduceSum", reduce},
    {"Identity", same},
    {"Dropout", same},
    {"Cast", cast},
};

}  // namespace

std::span<const HandlerEntry> elementwise_handlers() { return kHandlers; }

}  // namespace wayside::optimizer::onnx_import
