// SPDX-License-Identifier: Apache-2.0
// Scaling and moving by constants: recognised, and where no layer takes it made a layer of its own.
#include "optimizer/passes/affine.h"

#include <algorithm>
#include <format>
#include <string>
#include <utility>

#include "optimizer/passes/passes.h"

namespace wayside::optimizer::passes {
namespace {

using ir::Op;
using ir::OpKind;

/// One number for each channel of `channels`, from a constant that is [..1,C] or a single number.
std::optional<std::vector<float>> per_channel(const ir::Tensor& tensor, int channels) {
  if (tensor.constant.empty()) return std::nullopt;
  if (tensor.constant.size() == 1) return std::vector<float>(static_cast<std::size_t>(channels), tensor.constant[0]);
  if (tensor.shape.back() != channels || tensor.constant.size() != static_cast<std::size_t>(channels))
    return std::nullopt;
  return tensor.constant;
}

}  // namespace

std::optional<AffineStep> as_affine(const ir::Graph& graph, const Op& op) {
  if (op.kind < OpKind::add || op.kind > OpKind::div) return std::nullopt;
  const auto is_constant = [&](std::size_t i) { return !graph.tensors[op.inputs[i]].constant.empty(); };
  if (is_constant(0) == is_constant(1)) return std::nullopt;
  const std::size_t input = is_constant(0) ? 1 : 0;
  const auto& shape = graph.tensors[op.output].shape;
  if (graph.tensors[op.inputs[input]].shape != shape) return std::nullopt;
  auto value = per_channel(graph.tensors[op.inputs[1 - input]], shape.back());
  if (!value) return std::nullopt;
  AffineStep step{
      .affine = {.factor = std::vector<float>(value->size(), 1), .offset = std::vector<float>(value->size(), 0)},
      .input = input};
  if (op.kind == OpKind::mul) {
    step.affine.factor = *value;
  } else if (op.kind == OpKind::div) {
    if (input == 1 || std::ranges::contains(*value, 0.0F)) return std::nullopt;
    for (std::size_t c = 0; c < value->size(); ++c) step.affine.factor[c] = 1 / (*value)[c];
  } else {
    const bool minus = op.kind == OpKind::sub;
    for (std::size_t c = 0; c < value->size(); ++c) {
      step.affine.offset[c] = minus && input == 0 ? -(*value)[c] : (*value)[c];
      if (minus && input == 1) step.affine.factor[c] = -1;
    }
  }
  return step;
}

std::size_t affine_to_depthwise(ir::Graph& graph) {
  const auto producers = ir::producers(graph);
  const auto uses = ir::uses(graph);
  std::size_t count = 0;
  for (Op& op : graph.ops) {
    auto step = graph.tensors[op.output].shape.size() == 4 ? as_affine(graph, op) : std::nullopt;
    if (!step) continue;
    const ir::TensorId from = op.inputs[step->input];
    const Op* before = producers[from] == ir::kNoOp || uses[from] != 1 ? nullptr : &graph.ops[producers[from]];
    if (before != nullptr && before->kind == OpKind::depthwise_conv && before->activation == ir::Activation::none)
      continue;  // fuse() joins them
    // One number alone is what an INT8 operator holds exactly.
    const bool one_number = graph.tensors[op.inputs[1 - step->input]].constant.size() == 1;
    const bool joins = before != nullptr && before->activation == ir::Activation::none && as_affine(graph, *before);
    if (one_number && !joins) continue;
    op = {.kind = OpKind::depthwise_conv,
          .inputs = {from},
          .output = op.output,
          .activation = op.activation,
          .weight = std::move(step->affine.factor),
          .bias = std::move(step->affine.offset)};
    ++count;
  }
  return count;
}

base::Result<void> normalize_input(ir::Graph& graph, std::vector<float> mean, std::vector<float> deviation) {
  if (mean.empty() && deviation.empty()) return {};
  const auto wrong = [](std::string what) { return base::fail(base::Code::invalid_argument, std::move(what)); };
  const ir::Shape shape = graph.inputs.size() == 1 ? graph.tensors[graph.inputs[0]].shape : ir::Shape();
  if (shape.size() != 4) return wrong("mean and deviation are for a model with one picture as input");
  const auto channels = static_cast<std::size_t>(shape[3]);
  if (mean.empty()) mean = {0};
  if (deviation.empty()) deviation = {1};
  for (auto* values : {&mean, &deviation}) {
    if (values->size() == 1) values->resize(channels, values->front());
    if (values->size() != channels)
      return wrong(
          std::format("{} means or deviations for {} channels; give one, or one for each", values->size(), channels));
  }
  if (std::ranges::contains(deviation, 0.0F)) return wrong("a deviation of 0");
  for (std::size_t c = 0; c < channels; ++c) {
    deviation[c] = 1 / deviation[c];
    mean[c] *= -deviation[c];
  }
  const ir::TensorId input = graph.inputs[0], first = graph.tensors.size();
  const std::string name = graph.tensors[input].name;
  graph.tensors.push_back({name + "/factor", {1, 1, 1, shape[3]}, std::move(deviation)});
  graph.tensors.push_back({name + "/offset", {1, 1, 1, shape[3]}, std::move(mean)});
  graph.tensors.push_back({.name = name + "/scaled", .shape = shape});
  graph.tensors.push_back({.name = name + "/normalized", .shape = shape});
  for (Op& op : graph.ops) std::ranges::replace(op.inputs, input, first + 3);
  graph.ops.insert(graph.ops.begin(), {{.kind = OpKind::mul, .inputs = {input, first}, .output = first + 2},
                                       {.kind = OpKind::add, .inputs = {first + 2, first + 1}, .output = first + 3}});
  return {};
}

}  // namespace wayside::optimizer::passes
