// SPDX-License-Identifier: Apache-2.0
// TFLite's operators that calculate. Weights have the graph's order already.
#include <algorithm>
#include <format>
#include <utility>

#include "optimizer/import/tflite_importer.h"

namespace wayside::optimizer::tflite_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using cpu::Node;
using cpu::OpCode;
using ir::Op;
using ir::OpKind;
using ir::TensorId;

/// The window with TFLite's padding for a picture of this shape.
Result<ir::SlidingWindow> window_of(const Node& node, const ir::Shape& in, int kernel_h, int kernel_w) {
  const auto& o = node.options;
  if (!o.present) return fail(Code::corrupt, "it has no options");
  if (in.size() != 4) return unsupported(std::format("input {}; supported is [N,H,W,C]", ir::to_string(in)));
  constexpr int kMost = 4096;
  for (const int number : {o.stride_h, o.stride_w, o.dilation_h, o.dilation_w, kernel_h, kernel_w}) {
    if (number < 1 || number > kMost) return fail(Code::corrupt, std::format("kernel, stride or dilation {}", number));
  }
  ir::SlidingWindow window{.kernel_h = kernel_h,
                           .kernel_w = kernel_w,
                           .stride_h = o.stride_h,
                           .stride_w = o.stride_w,
                           .dilation_h = o.dilation_h,
                           .dilation_w = o.dilation_w};
  if (o.padding == cpu::Padding::valid) return window;
  const auto rows = ir::same_padding(in[1], kernel_h, o.stride_h, o.dilation_h);
  const auto columns = ir::same_padding(in[2], kernel_w, o.stride_w, o.dilation_w);
  window.top = rows.before;
  window.bottom = rows.after;
  window.left = columns.before;
  window.right = columns.after;
  return window;
}

/// INT32 biases are in steps of input scale times weight scale.
Result<std::vector<float>> bias_of(const TfliteImporter& importer, const Node& node, std::size_t outputs) {
  if (node.inputs.size() < 3 || node.inputs[2] < 0) return std::vector<float>(outputs);
  WAYSIDE_TRY(auto bias, importer.reals(node, 2));
  WAYSIDE_TRY(const auto* stored, importer.tensor(node, 2));
  WAYSIDE_TRY(const auto* in, importer.tensor(node, 0));
  WAYSIDE_TRY(const auto* weight, importer.tensor(node, 1));
  if (bias.size() != outputs) return fail(Code::corrupt, std::format("{} biases for {} outputs", bias.size(), outputs));
  if (stored->type != accel::DType::i32) return bias;
  if (in->scales.empty() || weight->scales.empty()) return fail(Code::corrupt, "an INT32 bias without scales");
  for (std::size_t o = 0; o < outputs; ++o)
    bias[o] *= in->scales[0] * weight->scales[weight->scales.size() == outputs ? o : 0];
  return bias;
}

Result<void> conv(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  WAYSIDE_TRY(const auto* weight, importer.tensor(node, 1));
  const ir::Shape shape = in_graph(weight->shape), picture = importer.shape(in);
  const bool depthwise = node.entry->code == OpCode::depthwise_conv_2d;
  if (shape.size() != 4) return fail(Code::corrupt, std::format("weights {}", ir::to_string(shape)));
  if (!depthwise && shape[3] != picture.back())
    return unsupported(std::format("weights {} for input {} (groups); supported is one group, or one for each channel",
                                   ir::to_string(shape), ir::to_string(picture)));
  if (depthwise && shape[0] != 1) return fail(Code::corrupt, std::format("weights {}", ir::to_string(shape)));
  Op op{.kind = depthwise ? OpKind::depthwise_conv : OpKind::conv, .inputs = {in}};
  WAYSIDE_TRY(op.window, window_of(node, picture, shape[1], shape[2]));
  WAYSIDE_TRY(op.weight, importer.reals(node, 1));
  WAYSIDE_TRY(op.bias, bias_of(importer, node, static_cast<std::size_t>(depthwise ? shape[3] : shape[0])));
  WAYSIDE_TRY(const TensorId out, importer.append_activated(std::move(op), node));
  return importer.define(node, out);
}

/// The input is flattened to rows of as many numbers as the weights have columns.
Result<void> fully_connected(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(TensorId in, importer.value(node, 0));
  WAYSIDE_TRY(const auto* weight, importer.tensor(node, 1));
  const ir::Shape shape = in_graph(weight->shape);
  if (shape.size() != 2) return fail(Code::corrupt, std::format("weights {}", ir::to_string(shape)));
  const auto columns = static_cast<std::size_t>(shape[1]), count = ir::element_count(importer.shape(in));
  if (count % columns != 0)
    return fail(Code::corrupt,
                std::format("weights {} for input {}", ir::to_string(shape), ir::to_string(importer.shape(in))));
  if (importer.shape(in).back() != shape[1] || (!node.options.keep_dims && importer.shape(in).size() != 2)) {
    WAYSIDE_TRY(in, importer.append({.kind = OpKind::reshape, .inputs = {in}}, importer.result(node),
                                    {static_cast<int>(count / columns), shape[1]}));
  }
  Op op{.kind = OpKind::fully_connected, .inputs = {in}};
  WAYSIDE_TRY(op.weight, importer.reals(node, 1));
  WAYSIDE_TRY(op.bias, bias_of(importer, node, static_cast<std::size_t>(shape[0])));
  WAYSIDE_TRY(const TensorId out, importer.append_activated(std::move(op), node));
  return importer.define(node, out);
}

Result<void> pool(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  Op op{.kind = node.entry->code == OpCode::max_pool_2d ? OpKind::max_pool : OpKind::average_pool, .inputs = {in}};
  WAYSIDE_TRY(op.window, window_of(node, importer.shape(in), node.options.filter_h, node.options.filter_w));
  WAYSIDE_TRY(const TensorId out, importer.append_activated(std::move(op), node));
  return importer.define(node, out);
}

Result<void> binary(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const auto* a, importer.tensor(node, 0));
  WAYSIDE_TRY(const auto* b, importer.tensor(node, 1));
  const std::size_t rank = std::max(in_graph(a->shape).size(), in_graph(b->shape).size());
  Op op{.kind = node.entry->code == OpCode::add   ? OpKind::add
                : node.entry->code == OpCode::sub ? OpKind::sub
                                                  : OpKind::mul};
  WAYSIDE_TRY(const TensorId left, importer.raised(node, 0, rank));
  WAYSIDE_TRY(const TensorId right, importer.raised(node, 1, rank));
  op.inputs = {left, right};
  WAYSIDE_TRY(const TensorId out, importer.append_activated(std::move(op), node));
  return importer.define(node, out);
}

Result<void> unary(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  Op op{.inputs = {in}};
  switch (node.entry->code) {
    case OpCode::logistic: op.kind = OpKind::logistic; break;
    case OpCode::tanh: op.kind = OpKind::tanh; break;
    case OpCode::hard_swish: op.kind = OpKind::hard_swish; break;
    case OpCode::rsqrt:
      op.kind = OpKind::sqrt;
      op.alpha = -1;
      break;
    case OpCode::relu: op.kind = OpKind::relu; break;
    case OpCode::leaky_relu:
      op.kind = OpKind::leaky_relu;
      op.alpha = node.options.alpha;
      break;
    case OpCode::relu6:
    case OpCode::relu_n1_to_1:
      op.kind = OpKind::clip;
      op.alpha = node.entry->code == OpCode::relu6 ? 0 : -1;
      op.beta = node.entry->code == OpCode::relu6 ? 6 : 1;
      break;
    default: std::unreachable();
  }
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), importer.result(node)));
  return importer.define(node, out);
}

Result<void> prelu(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  WAYSIDE_TRY(auto slopes, importer.reals(node, 1));
  const int channels = importer.shape(in).back();
  if (slopes.size() == 1) slopes.resize(static_cast<std::size_t>(channels), slopes[0]);
  if (slopes.size() != static_cast<std::size_t>(channels))
    return unsupported(std::format("{} slopes; supported is one for each of {} channels", slopes.size(), channels));
  const auto& like = importer.result(node);
  const TensorId alpha = importer.constant(std::string(like.name) + "/slopes", {channels}, std::move(slopes));
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = OpKind::prelu, .inputs = {in, alpha}}, like));
  return importer.define(node, out);
}

Result<void> softmax(TfliteImporter& importer, const Node& node) {
  if (node.options.beta != 1) return unsupported(std::format("beta {}; supported is 1", node.options.beta));
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  const int last = static_cast<int>(importer.shape(in).size()) - 1;
  WAYSIDE_TRY(const TensorId out,
              importer.append({.kind = OpKind::softmax, .inputs = {in}, .axes = {last}}, importer.result(node)));
  return importer.define(node, out);
}

Result<void> mean(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  WAYSIDE_TRY(const auto axes, importer.wholes(node, 1));
  Op op{.kind = OpKind::mean, .inputs = {in}};
  for (const int axis : axes) {
    WAYSIDE_TRY(const int wrapped, wrap_axis(axis, importer.shape(in).size()));
    if (!std::ranges::contains(op.axes, wrapped)) op.axes.push_back(wrapped);
  }
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), importer.result(node)));
  return importer.define(node, out);  // which drops the ones where keep_dims is not set
}

/// The graph's nearest takes floor(y * in / out); half-pixel centres take floor((y + 0.5) * in / out).
bool is_plain_nearest(const cpu::OpOptions& options, int in, int out) {
  if (options.align_corners) return false;
  for (std::int64_t y = 0; options.half_pixel_centers && y < out; ++y) {
    if ((2 * y + 1) * in / (2 * std::int64_t{out}) != y * in / out) return false;
  }
  return true;
}

Result<void> resize(TfliteImporter& importer, const Node& node) {
  WAYSIDE_TRY(const TensorId in, importer.value(node, 0));
  const ir::Shape from = importer.shape(in), to = in_graph(importer.result(node).shape);
  if (from.size() != 4 || to.size() != 4) return fail(Code::corrupt, std::format("input {}", ir::to_string(from)));
  const auto& options = node.options;
  Op op{.kind = OpKind::resize_nearest, .inputs = {in}};
  if (node.entry->code == OpCode::resize_bilinear) {
    if (options.align_corners == options.half_pixel_centers)
      return unsupported("these coordinates; supported are half_pixel_centers or align_corners");
    op.kind = OpKind::resize_bilinear;
    op.align_corners = options.align_corners;
  } else if (!is_plain_nearest(options, from[1], to[1]) || !is_plain_nearest(options, from[2], to[2])) {
    return unsupported("these coordinates; supported is neither align_corners nor half_pixel_centers");
  }
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), importer.result(node), to));
  return importer.define(node, out);
}

constexpr HandlerEntry kHandlers[] = {
    {OpCode::conv_2d, conv},
    {OpCode::depthwise_conv_2d, conv},
    {OpCode::fully_connected, fully_connected},
    {OpCode::average_pool_2d, pool},
    {OpCode::max_pool_2d, pool},
    {OpCode::add, binary},
    {OpCode::sub, binary},
    {OpCode::mul, binary},
    {OpCode::logistic, unary},
    {OpCode::tanh, unary},
    {OpCode::hard_swish, unary},
    {OpCode::rsqrt, unary},
    {OpCode::relu, unary},
    {OpCode::relu6, unary},
    {OpCode::relu_n1_to_1, unary},
    {OpCode::leaky_relu, unary},
    {OpCode::prelu, prelu},
    {OpCode::softmax, softmax},
    {OpCode::mean, mean},
    {OpCode::resize_nearest_neighbor, resize},
    {OpCode::resize_bilinear, resize},
};

}  // namespace

std::span<const HandlerEntry> layer_handlers() { return kHandlers; }

}  // namespace wayside::optimizer::tflite_import
