// SPDX-License-Identifier: Apache-2.0
// One rule for each operator.
#include "optimizer/tune/channel_trace.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

float activated(ir::Activation activation, float x) {
  if (activation == ir::Activation::none || std::isnan(x)) return x;
  return std::clamp(x, 0.0F, activation == ir::Activation::relu6 ? 6.0F : std::numeric_limits<float>::infinity());
}

/// Operators on single elements.
float applied(const Op& op, float x) {
  if (std::isnan(x)) return kUnknown;
  switch (op.kind) {
    case OpKind::relu: return std::max(x, 0.0F);
    case OpKind::clip: return std::clamp(x, op.alpha, op.beta);
    case OpKind::leaky_relu: return x < 0 ? op.alpha * x : x;
    case OpKind::elu: return x < 0 ? op.alpha * std::expm1(x) : x;
    case OpKind::logistic: return 1 / (1 + std::exp(-x));
    case OpKind::tanh: return std::tanh(x);
    case OpKind::hard_swish: return x * std::clamp(x + 3, 0.0F, 6.0F) / 6;
    case OpKind::exp: return std::exp(x);
    case OpKind::sqrt: return op.alpha < 0 ? 1 / std::sqrt(x) : std::sqrt(x);
    case OpKind::abs: return std::abs(x);
    default: return x == 0 ? 0 : kUnknown;  // prelu, sum: only zero is sure
  }
}

float applied(const Op& op, float a, float b) {
  switch (op.kind) {
    case OpKind::add: return activated(op.activation, a + b);
    case OpKind::sub: return activated(op.activation, a - b);
    case OpKind::mul: return a == 0 || b == 0 ? 0 : activated(op.activation, a * b);
    default: return a == 0 && b != 0 ? 0 : kUnknown;
  }
}

/// Value of each channel of an operand that has no channels of its own: of a constant where it is the same everywhere.
std::vector<float> plain_values(const ir::Tensor& tensor, int axis, std::size_t count) {
  std::vector<float> out(count, kUnknown);
  const auto channels = static_cast<std::size_t>(tensor.shape[at(axis)]);
  if (tensor.constant.size() == channels) {
    for (std::size_t i = 0; i < count; ++i) out[i] = tensor.constant[channels == 1 ? 0 : i];
  }
  return out;
}

std::size_t inner_size(const ir::Shape& shape, int axis) {
  return ir::element_count({shape.begin() + axis + 1, shape.end()});
}

}  // namespace

ChannelTracer::ChannelTracer(const ir::Graph& graph) : graph_(graph), traces_(graph.tensors.size()) {
  ties_.add();
  origins_.push_back({ir::kNoOp, 0});
  for (std::size_t i = 0; i < graph.ops.size(); ++i) traces_[graph.ops[i].output] = follow(i);
  for (const auto id : graph.outputs) fix(traces_[id]);
}

void ChannelTracer::fix(const Trace& trace) {
  for (const Label label : trace.label) ties_.join(label, kFixedLabel);
}

Trace ChannelTracer::stuck(const Op& op) {
  for (const auto id : op.inputs) fix(traces_[id]);
  return {};
}

Trace ChannelTracer::layer(std::size_t index) {
  const Op& op = graph_.ops[index];
  const Trace& in = traces_[op.inputs[0]];
  const auto& shape = graph_.tensors[op.output].shape;
  const auto channels = static_cast<std::size_t>(shape.back());
  const bool in_order = in.axis + 1 == static_cast<int>(graph_.tensors[op.inputs[0]].shape.size());
  if (in.known() && !in_order) fix(in);
  Trace out{.axis = static_cast<int>(shape.size()) - 1, .label = {}, .rest = std::vector<float>(channels, 0)};
  for (std::size_t c = 0; c < channels; ++c) {
    out.label.push_back(ties_.add());
    origins_.push_back({index, c});
  }
  if (op.kind == OpKind::depthwise_conv) {
    for (std::size_t c = 0; c < channels; ++c) {
      const bool follows = in.known() && in_order;
      ties_.join(out.label[c], follows ? in.label[c / (channels / in.label.size())] : kFixedLabel);
    }
  } else if (in.known() && in_order) {
    for (std::size_t c = 0; c < in.label.size(); ++c) {
      if (in.rest[c] != 0) ties_.join(in.label[c], kFixedLabel);  // also kUnknown
    }
  }
  return out;
}

/// One computed input whose axes stay where they are.
Trace ChannelTracer::unary(const Op& op) {
  Trace out = traces_[op.inputs[0]];
  if (!out.known()) return out;
  const bool last = out.axis + 1 == static_cast<int>(graph_.tensors[op.output].shape.size());
  switch (op.kind) {
    case OpKind::max_pool:
    case OpKind::average_pool:
    case OpKind::resize_nearest:
    case OpKind::resize_bilinear: return last ? out : stuck(op);
    case OpKind::mean:
    case OpKind::sum:
      if (std::ranges::contains(op.axes, out.axis)) return stuck(op);
      if (op.kind == OpKind::mean) return out;
      break;
    case OpKind::softmax:
      if (op.axes[0] == out.axis) return stuck(op);
      std::ranges::fill(out.rest, kUnknown);
      return out;
    case OpKind::pad:
      if (op.axes[2 * at(out.axis)] != 0 || op.axes[2 * at(out.axis) + 1] != 0) return stuck(op);
      for (float& rest : out.rest) rest = rest == op.alpha ? rest : kUnknown;
      return out;
    case OpKind::prelu:
      if (!last) return stuck(op);
      break;
    default: break;
  }
  for (float& rest : out.rest) rest = applied(op, rest);
  return out;
}

Trace ChannelTracer::binary(const Op& op) {
  const bool first = traces_[op.inputs[0]].known();
  Trace out = traces_[op.inputs[first ? 0 : 1]];
  if (!out.known()) return out;
  const auto& shape = graph_.tensors[op.output].shape;
  const auto& other = graph_.tensors[op.inputs[first ? 1 : 0]];
  const Trace& beside = traces_[op.inputs[first ? 1 : 0]];
  const std::size_t count = out.label.size();
  if (static_cast<int>(count) != shape[at(out.axis)]) return stuck(op);  // one channel for all of the other's
  std::vector<float> rest = plain_values(other, out.axis, count);
  if (beside.axis == out.axis && beside.label.size() == count) {
    for (std::size_t i = 0; i < count; ++i) ties_.join(out.label[i], beside.label[i]);
    rest = beside.rest;
  } else if (other.constant.empty() && (beside.known() || other.shape[at(out.axis)] != 1)) {
    if (other.shape[at(out.axis)] != 1) return stuck(op);
    fix(beside);
  }
  for (std::size_t i = 0; i < count; ++i)
    out.rest[i] = first ? applied(op, out.rest[i], rest[i]) : applied(op, rest[i], out.rest[i]);
  return out;
}

Trace ChannelTracer::concat(const Op& op) {
  const int axis = op.axes[0];
  const auto same_axis = [&](int wanted) {
    return [this, wanted](ir::TensorId id) { return traces_[id].axis == wanted; };
  };
  Trace out{.axis = axis, .label = {}, .rest = {}};
  if (std::ranges::any_of(op.inputs, same_axis(axis))) {
    for (const auto id : op.inputs) {
      const Trace& in = traces_[id];
      const auto count = static_cast<std::size_t>(graph_.tensors[id].shape[at(axis)]);
      const bool keeps = in.axis == axis;
      if (!keeps) fix(in);
      for (std::size_t i = 0; i < count; ++i) {
        out.label.push_back(keeps ? in.label[i] : kFixedLabel);
        out.rest.push_back(keeps ? in.rest[i] : kUnknown);
      }
    }
    return out;
  }
  out = traces_[op.inputs[0]];
  if (!out.known() || !std::ranges::all_of(op.inputs, same_axis(out.axis))) return stuck(op);
  for (const auto id : op.inputs) {
    for (std::size_t i = 0; i < out.label.size(); ++i) {
      ties_.join(out.label[i], traces_[id].label[i]);
      if (traces_[id].rest[i] != out.rest[i]) out.rest[i] = kUnknown;
    }
  }
  return out;
}

/// The axis of the result along which each index holds elements of one channel only.
Trace ChannelTracer::reshape(const Op& op) {
  const Trace& in = traces_[op.inputs[0]];
  if (!in.known()) return {};
  const auto& from = graph_.tensors[op.inputs[0]].shape;
  const auto& to = graph_.tensors[op.output].shape;
  const std::size_t elements = ir::element_count(to), inner = inner_size(from, in.axis), channels = in.label.size();
  for (int axis = static_cast<int>(to.size()) - 1; axis >= 0; --axis) {
    const auto count = static_cast<std::size_t>(to[at(axis)]);
    const std::size_t to_inner = inner_size(to, axis);
    Trace out{.axis = axis, .label = std::vector<Label>(count), .rest = std::vector<float>(count)};
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t channel = i * to_inner / inner % channels;
      out.label[i] = in.label[channel];
      out.rest[i] = in.rest[channel];
    }
    bool fits = true;
    for (std::size_t k = 0; k < elements && fits; ++k)
      fits = k / inner % channels == k / to_inner % count * to_inner / inner % channels;
    if (fits) return out;
  }
  return stuck(op);
}

Trace ChannelTracer::slice(const Op& op) {
  const Trace& in = traces_[op.inputs[0]];
  if (!in.known()) return {};
  const int first = op.axes[at(in.axis)], step = op.steps[at(in.axis)];
  const int count = graph_.tensors[op.output].shape[at(in.axis)];
  Trace out{.axis = in.axis, .label = {}, .rest = {}};
  const auto channels = static_cast<int>(in.label.size());
  if (step != 1) {
    // Every step-th channel: whole runs of `step` channels stay or go, so that the step stays what it is.
    if (step < 1 || first >= step || count * step != channels) return stuck(op);
    for (std::size_t i = 0; i < in.label.size(); ++i)
      ties_.join(in.label[i], in.label[i - i % static_cast<std::size_t>(step)]);
  } else if (count != channels) {
    ties_.join(in.label[static_cast<std::size_t>(first)], kFixedLabel);  // something must be left
  }
  for (int i = 0; i < count; ++i) {
    out.label.push_back(in.label[static_cast<std::size_t>(first + i * step)]);
    out.rest.push_back(in.rest[static_cast<std::size_t>(first + i * step)]);
  }
  return out;
}

Trace ChannelTracer::follow(std::size_t index) {
  const Op& op = graph_.ops[index];
  switch (op.kind) {
    case OpKind::conv:
    case OpKind::depthwise_conv:
    case OpKind::fully_connected: return layer(index);
    case OpKind::add:
    case OpKind::sub:
    case OpKind::mul:
    case OpKind::div: return binary(op);
    case OpKind::concat: return concat(op);
    case OpKind::reshape: return reshape(op);
    case OpKind::slice: return slice(op);
    case OpKind::transpose: {
      Trace out = traces_[op.inputs[0]];
      if (out.known()) out.axis = static_cast<int>(std::ranges::find(op.axes, out.axis) - op.axes.begin());
      return out;
    }
    default: return unary(op);
  }
}

}  // namespace wayside::optimizer
