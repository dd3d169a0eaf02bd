// SPDX-License-Identifier: Apache-2.0
// What needs the order of axes works on NHWC views; pools and resizing work on NCHW, which torch wants.
#include "optimizer/ir/torch_ops.h"

#include <limits>
#include <utility>

namespace wayside::optimizer::ir {
namespace {

using Value = torch::Tensor;

std::vector<std::int64_t> wide(const std::vector<int>& values) { return {values.begin(), values.end()}; }

Value pool(const Op& op, const Value& x) {
  const SlidingWindow& w = op.window;
  const std::vector<std::int64_t> kernel{w.kernel_h, w.kernel_w}, stride{w.stride_h, w.stride_w};
  const std::vector<std::int64_t> border{w.left, w.right, w.top, w.bottom}, none{0, 0};
  if (op.kind == OpKind::max_pool) {
    const auto padded = is_valid(w) ? x : torch::constant_pad_nd(x, border, -std::numeric_limits<float>::infinity());
    return torch::max_pool2d(padded, kernel, stride, none, {w.dilation_h, w.dilation_w});
  }
  if (is_valid(w)) return torch::avg_pool2d(x, kernel, stride);
  // Sum over the padded picture by the share of px that are inside.
  const auto inside = torch::ones({1, 1, x.size(2), x.size(3)}, x.options());
  return torch::avg_pool2d(torch::constant_pad_nd(x, border), kernel, stride) /
         torch::avg_pool2d(torch::constant_pad_nd(inside, border), kernel, stride);
}

Value slice(const Op& op, Value x, const Shape& shape) {
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const auto dim = static_cast<std::int64_t>(axis);
    const std::int64_t first = op.axes[axis], step = op.steps[axis], count = shape[axis];
    if (step > 0) {
      x = x.slice(dim, first, first + (count - 1) * step + 1, step);
    } else {
      x = x.index_select(dim, torch::arange(count) * step + first);
    }
  }
  return x;
}

Value pad(const Op& op, const Value& x) {
  std::vector<std::int64_t> amounts;  // torch counts from the last axis
  for (std::size_t axis = op.axes.size() / 2; axis-- > 0;) {
    amounts.push_back(op.axes[2 * axis]);
    amounts.push_back(op.axes[2 * axis + 1]);
  }
  return torch::constant_pad_nd(x, amounts, op.alpha);
}

/// Operators whose result depends on the order of axes.
Value run_nhwc(const Op& op, const std::vector<Value>& in, const Shape& shape) {
  const Value x = to_nhwc(in[0]);
  switch (op.kind) {
    case OpKind::softmax: return torch::softmax(x, op.axes[0]);
    case OpKind::mean: return x.mean(wide(op.axes), true);
    case OpKind::sum: return x.sum(wide(op.axes), true);
    case OpKind::reshape: return x.reshape(wide(shape));
    case OpKind::transpose: return x.permute(wide(op.axes));
    case OpKind::slice: return slice(op, x, shape);
    case OpKind::pad: return pad(op, x);
    case OpKind::prelu: return torch::where(x < 0, x * in[1], x);
    case OpKind::concat: {
      std::vector<Value> parts;
      for (const auto& part : in) parts.push_back(to_nhwc(part));
      return torch::cat(parts, op.axes[0]);
    }
    default: std::unreachable();
  }
}

}  // namespace

torch::Tensor to_nchw(const torch::Tensor& x) { return x.dim() == 4 ? x.permute({0, 3, 1, 2}) : x; }
torch::Tensor to_nhwc(const torch::Tensor& x) { return x.dim() == 4 ? x.permute({0, 2, 3, 1}) : x; }

Value activate(Activation activation, Value x) {
  // In place: neither convolution nor batch norm needs its result for the gradient. hardtanh's gradient is one pass
  // over memory where clamp's is four.
  if (activation == Activation::relu) return torch::relu_(x);
  if (activation == Activation::relu6) return torch::hardtanh_(x, 0, 6);
  return x;
}

Value run_plain(const Op& op, const std::vector<Value>& in, const Shape& shape) {
  const Value& x = in[0];
  switch (op.kind) {
    case OpKind::max_pool:
    case OpKind::average_pool: return pool(op, x);
    case OpKind::resize_nearest: return torch::upsample_nearest2d(x, {shape[1], shape[2]});
    case OpKind::resize_bilinear: return torch::upsample_bilinear2d(x, {shape[1], shape[2]}, op.align_corners);
    case OpKind::add: return activate(op.activation, x + in[1]);
    case OpKind::sub: return activate(op.activation, x - in[1]);
    case OpKind::mul: return activate(op.activation, x * in[1]);
    case OpKind::div: return activate(op.activation, x / in[1]);
    case OpKind::relu: return torch::relu(x);
    case OpKind::clip: return torch::clamp(x, op.alpha, op.beta);
    case OpKind::leaky_relu: return torch::leaky_relu(x, op.alpha);
    case OpKind::elu: return torch::elu(x, op.alpha);
    case OpKind::logistic: return torch::sigmoid(x);
    case OpKind::tanh: return torch::tanh(x);
    case OpKind::hard_swish: return torch::hardswish(x);
    case OpKind::exp: return torch::exp(x);
    case OpKind::sqrt: return op.alpha < 0 ? torch::rsqrt(x) : torch::sqrt(x);
    case OpKind::abs: return torch::abs(x);
    default: return to_nchw(run_nhwc(op, in, shape));
  }
}

Value constant_tensor(const ir::Tensor& tensor) {
  auto* data = const_cast<float*>(tensor.constant.data());
  return to_nchw(torch::from_blob(data, wide(tensor.shape)).clone());
}

}  // namespace wayside::optimizer::ir
