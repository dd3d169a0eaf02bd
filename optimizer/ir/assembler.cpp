// SPDX-License-Identifier: Apache-2.0
// Shapes of all operators.
#include "optimizer/ir/assembler.h"

#include <algorithm>
#include <format>
#include <utility>

namespace wayside::optimizer::ir {
namespace {

using base::Code;
using base::fail;
using base::Result;

std::unexpected<base::Error> misfit(const Op& op, const std::string& what) {
  return fail(Code::invalid_argument, std::format("{}: {}", to_string(op.kind), what));
}

bool is_axis(int axis, const Shape& shape) { return axis >= 0 && axis < static_cast<int>(shape.size()); }

/// Output px of a window along one side; 0 or less where it does not fit.
int steps_of(int in, int before, int after, int kernel, int dilation, int stride) {
  const std::int64_t room = static_cast<std::int64_t>(in) + before + after - ((kernel - 1LL) * dilation + 1);
  return room < 0 ? 0 : static_cast<int>(room / stride) + 1;
}

Result<Shape> windowed(const Op& op, const Shape& in, int channels) {
  constexpr int kMost = 4096;  // of each number of a window
  const SlidingWindow& w = op.window;
  if (in.size() != 4) return misfit(op, std::format("needs a picture [N,H,W,C], not {}", to_string(in)));
  for (const int least_one : {w.kernel_h, w.kernel_w, w.stride_h, w.stride_w, w.dilation_h, w.dilation_w}) {
    if (least_one < 1 || least_one > kMost) return misfit(op, std::format("kernel, stride or dilation {}", least_one));
  }
  for (const int border : {w.top, w.left, w.bottom, w.right}) {
    if (border < 0 || border > kMost) return misfit(op, std::format("padding {}", border));
  }
  const int rows = steps_of(in[1], w.top, w.bottom, w.kernel_h, w.dilation_h, w.stride_h);
  const int columns = steps_of(in[2], w.left, w.right, w.kernel_w, w.dilation_w, w.stride_w);
  if (rows < 1 || columns < 1) return misfit(op, std::format("the window is larger than {}", to_string(in)));
  return Shape{in[0], rows, columns, channels};
}

Result<Shape> weighted(const Op& op, const Shape& in) {
  const auto out = static_cast<int>(op.bias.size());
  if (in.empty() || out == 0) return misfit(op, "no bias or no input");
  std::size_t expected = op.bias.size();
  if (op.kind != OpKind::depthwise_conv) expected *= static_cast<std::size_t>(in.back());
  if (op.kind != OpKind::fully_connected)
    expected *= static_cast<std::size_t>(op.window.kernel_h) * static_cast<std::size_t>(op.window.kernel_w);
  if (op.weight.size() != expected) {
    return misfit(op, std::format("{} weights for input {} and {} outputs, not {}", op.weight.size(), to_string(in),
                                  out, expected));
  }
  if (op.kind == OpKind::depthwise_conv && out % in.back() != 0) return misfit(op, "outputs are no multiple of inputs");
  if (op.kind != OpKind::fully_connected) return windowed(op, in, out);
  Shape shape = in;
  shape.back() = out;
  return shape;
}

Result<Shape> broadcast(const Op& op, const Shape& a, const Shape& b) {
  if (a.size() != b.size()) return misfit(op, std::format("ranks of {} and {} differ", to_string(a), to_string(b)));
  Shape shape = a;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && a[i] != 1 && b[i] != 1)
      return misfit(op, std::format("{} and {} do not broadcast", to_string(a), to_string(b)));
    shape[i] = std::max(a[i], b[i]);
  }
  return shape;
}

Result<Shape> concatenated(const Op& op, const std::vector<Shape>& in) {
  if (op.axes.size() != 1 || !is_axis(op.axes[0], in[0])) return misfit(op, "axis out of range");
  const auto axis = static_cast<std::size_t>(op.axes[0]);
  Shape shape = in[0];
  for (std::size_t i = 1; i < in.size(); ++i) {
    Shape same = in[i];
    if (same.size() != shape.size()) return misfit(op, "ranks differ");
    shape[axis] += std::exchange(same[axis], shape[axis]);
    same[axis] = shape[axis];
    if (same != shape)
      return misfit(op, std::format("{} and {} differ in another axis", to_string(in[0]), to_string(in[i])));
  }
  return shape;
}

Result<Shape> transposed(const Op& op, const Shape& in) {
  Shape sorted = op.axes, shape;
  std::ranges::sort(sorted);
  if (sorted.size() != in.size()) return misfit(op, "permutation of another rank");
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int>(i)) return misfit(op, "no permutation");
    shape.push_back(in[static_cast<std::size_t>(op.axes[i])]);
  }
  return shape;
}

Result<Shape> sliced(const Op& op, const Shape& in, const Shape& wanted) {
  if (wanted.size() != in.size() || op.axes.size() != in.size() || op.steps.size() != in.size())
    return misfit(op, "begin, step and size need one entry for each axis");
  for (std::size_t i = 0; i < in.size(); ++i) {
    const std::int64_t last = op.axes[i] + (wanted[i] - 1LL) * op.steps[i];
    if (op.steps[i] == 0 || wanted[i] < 1 || op.axes[i] < 0 || op.axes[i] >= in[i] || last < 0 || last >= in[i])
      return misfit(op, std::format("axis {} of {} is left", i, to_string(in)));
  }
  return wanted;
}

Result<Shape> padded(const Op& op, Shape in) {
  if (op.axes.size() != 2 * in.size()) return misfit(op, "needs two amounts for each axis");
  for (std::size_t i = 0; i < op.axes.size(); ++i) {
    if (op.axes[i] < 0 || op.axes[i] > (1 << 20)) return misfit(op, std::format("amount {}", op.axes[i]));
    in[i / 2] += op.axes[i];
  }
  return in;
}

Result<Shape> derive(const Op& op, const std::vector<Shape>& in, const Shape& wanted) {
  switch (op.kind) {
    case OpKind::conv:
    case OpKind::depthwise_conv:
    case OpKind::fully_connected: return weighted(op, in[0]);
    case OpKind::max_pool:
    case OpKind::average_pool: return windowed(op, in[0], in[0].empty() ? 0 : in[0].back());
    case OpKind::add:
    case OpKind::sub:
    case OpKind::mul:
    case OpKind::div: return broadcast(op, in[0], in[1]);
    case OpKind::concat: return concatenated(op, in);
    case OpKind::transpose: return transposed(op, in[0]);
    case OpKind::slice: return sliced(op, in[0], wanted);
    case OpKind::pad: return padded(op, in[0]);
    case OpKind::reshape:
      if (element_count(wanted) != element_count(in[0]))
        return misfit(op, std::format("{} does not fit into {}", to_string(in[0]), to_string(wanted)));
      return wanted;
    case OpKind::resize_nearest:
    case OpKind::resize_bilinear:
      if (in[0].size() != 4 || wanted.size() != 4 || wanted[0] != in[0][0] || wanted[3] != in[0][3])
        return misfit(
            op, std::format("{} to {}: only rows and columns can be resized", to_string(in[0]), to_string(wanted)));
      return wanted;
    case OpKind::prelu:
      if (in[0].empty() || in[1] != Shape{in[0].back()}) return misfit(op, "needs one slope for each channel");
      return in[0];
    case OpKind::softmax:
      if (op.axes.size() != 1 || !is_axis(op.axes[0], in[0])) return misfit(op, "axis out of range");
      return in[0];
    case OpKind::mean:
    case OpKind::sum: {
      Shape shape = in[0];
      for (const int axis : op.axes) {
        if (!is_axis(axis, shape)) return misfit(op, "axis out of range");
        shape[static_cast<std::size_t>(axis)] = 1;
      }
      return shape;
    }
    default: return in[0];
  }
}

}  // namespace

Result<Shape> output_shape(const Op& op, const std::vector<Shape>& in, const Shape& wanted) {
  const bool two = op.kind == OpKind::prelu || (op.kind >= OpKind::add && op.kind <= OpKind::div);
  if (op.kind == OpKind::concat ? in.empty() : in.size() != (two ? 2 : 1)) return misfit(op, "wrong number of inputs");
  WAYSIDE_TRY(Shape shape, derive(op, in, wanted));
  if (shape.size() > kMaxRank) return misfit(op, std::format("rank {}, at most {}", shape.size(), kMaxRank));
  std::size_t count = 1;
  for (const int dim : shape) {
    if (dim < 1) return misfit(op, std::format("the result {} has a dimension below 1", to_string(shape)));
    count *= static_cast<std::size_t>(dim);
    if (count > kMaxElements)
      return fail(Code::exhausted, std::format("{}: {} has too many elements", to_string(op.kind), to_string(shape)));
  }
  return shape;
}

TensorId Assembler::input(std::string name, Shape shape) {
  graph_.tensors.push_back({.name = std::move(name), .shape = std::move(shape)});
  graph_.inputs.push_back(graph_.tensors.size() - 1);
  return graph_.tensors.size() - 1;
}

TensorId Assembler::constant(std::string name, Shape shape, std::vector<float> values) {
  graph_.tensors.push_back({std::move(name), std::move(shape), std::move(values)});
  return graph_.tensors.size() - 1;
}

Result<TensorId> Assembler::append(Op op, std::string name, const Shape& wanted) {
  if (graph_.ops.size() >= kMaxOps) return fail(Code::exhausted, std::format("more than {} operators", kMaxOps));
  std::vector<Shape> in;
  for (const TensorId id : op.inputs) in.push_back(graph_.tensors[id].shape);
  WAYSIDE_TRY(Shape shape, output_shape(op, in, wanted));
  op.output = graph_.tensors.size();
  graph_.tensors.push_back({.name = std::move(name), .shape = std::move(shape)});
  graph_.ops.push_back(std::move(op));
  return graph_.tensors.size() - 1;
}

}  // namespace wayside::optimizer::ir
