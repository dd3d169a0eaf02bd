// SPDX-License-Identifier: Apache-2.0
// ONNX operators with weights or windows. Source of all attributes: the ONNX operator specification.
#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

#include "optimizer/import/onnx_importer.h"
#include "optimizer/import/onnx_transposed.h"

namespace wayside::optimizer::onnx_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Op;
using ir::OpKind;
using ir::SlidingWindow;
using ir::TensorId;

Result<void> expect_picture(const Shape& shape) {
  if (shape.size() != 4)
    return unsupported(std::format("input {}; supported are pictures [N,C,H,W]", ir::to_string(shape)));
  return {};
}

/// Padding of one side for auto_pad, as ONNX has it: SAME_LOWER puts the odd one before.
std::pair<int, int> automatic(const std::string& mode, int in, int kernel, int stride, int dilation) {
  const auto same = ir::same_padding(in, kernel, stride, dilation);
  return mode == "SAME_LOWER" ? std::pair{same.after, same.before} : std::pair{same.before, same.after};
}

int entry(const std::vector<std::int64_t>& list, std::size_t index, int otherwise) {
  if (list.empty()) return otherwise;
  return static_cast<int>(std::clamp<std::int64_t>(index < list.size() ? list[index] : -1, -1, 1 << 20));
}

/// Rows or columns after the picture so that the last, partial window counts too (ceil_mode): only while it starts
/// inside the picture or its padding before.
int after_for_ceil(int in, int before, int after, int kernel, int stride) {
  const int room = in + before + after - kernel;
  if (room < 0 || stride < 1 || room % stride == 0) return after;
  const int start = (room / stride + 1) * stride;
  return start < in + before ? start + kernel - in - before : after;
}

Result<SlidingWindow> read_window(const Node& node, const Shape& in, int kernel_h, int kernel_w) {
  const auto pads = node.wholes("pads"), strides = node.wholes("strides"), dilations = node.wholes("dilations");
  SlidingWindow w{.kernel_h = kernel_h,
                  .kernel_w = kernel_w,
                  .stride_h = entry(strides, 0, 1),
                  .stride_w = entry(strides, 1, 1),
                  .dilation_h = entry(dilations, 0, 1),
                  .dilation_w = entry(dilations, 1, 1),
                  .top = entry(pads, 0, 0),
                  .left = entry(pads, 1, 0),
                  .bottom = entry(pads, 2, 0),
                  .right = entry(pads, 3, 0)};
  for (const int number : {kernel_h, kernel_w, w.stride_h, w.stride_w, w.dilation_h, w.dilation_w}) {
    if (number < 1 || number > 4096)
      return fail(Code::corrupt, std::format("kernel, stride or dilation of {}", number));
  }
  const std::string mode = node.text("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    std::tie(w.top, w.bottom) = automatic(mode, in[2], kernel_h, w.stride_h, w.dilation_h);
    std::tie(w.left, w.right) = automatic(mode, in[3], kernel_w, w.stride_w, w.dilation_w);
  }
  if (node.whole("ceil_mode", 0) != 0) {
    w.bottom = after_for_ceil(in[2], w.top, w.bottom, (kernel_h - 1) * w.dilation_h + 1, w.stride_h);
    w.right = after_for_ceil(in[3], w.left, w.right, (kernel_w - 1) * w.dilation_w + 1, w.stride_w);
  }
  return w;
}

/// ONNX's [out,in,h,w] to [out,h,w,in], outputs first..first+count only.
std::vector<float> conv_weight(const Literal& w, std::size_t first, std::size_t count) {
  const auto in = static_cast<std::size_t>(w.shape[1]), taps = static_cast<std::size_t>(w.shape[2] * w.shape[3]);
  std::vector<float> out;
  out.reserve(count * in * taps);
  for (std::size_t o = first; o < first + count; ++o) {
    for (std::size_t t = 0; t < taps; ++t) {
      for (std::size_t c = 0; c < in; ++c) out.push_back(w.floats[(o * in + c) * taps + t]);
    }
  }
  return out;
}

/// [out,1,h,w] to [1,h,w,out].
std::vector<float> depthwise_weight(const Literal& w) {
  const auto channels = static_cast<std::size_t>(w.shape[0]), taps = static_cast<std::size_t>(w.shape[2] * w.shape[3]);
  std::vector<float> out;
  out.reserve(channels * taps);
  for (std::size_t t = 0; t < taps; ++t) {
    for (std::size_t o = 0; o < channels; ++o) out.push_back(w.floats[o * taps + t]);
  }
  return out;
}

/// Groups that are not depthwise: each has its slice of the channels and a convolution of its own.
Result<TensorId> grouped(Importer& importer, const Node& node, const Op& like, const Literal& w, TensorId in,
                         int groups) {
  const Shape shape = importer.shape(in);
  const int each_in = w.shape[1];
  const auto each_out = static_cast<std::size_t>(w.shape[0] / groups);
  Op join{.kind = OpKind::concat, .axes = {3}};
  for (int g = 0; g < groups; ++g) {
    const std::string name = std::format("{}/group{}", node.outputs[0], g);
    Shape part = shape;
    part[3] = each_in;
    WAYSIDE_TRY(
        const TensorId slice,
        importer.append({.kind = OpKind::slice, .inputs = {in}, .axes = {0, 0, 0, g * each_in}, .steps = {1, 1, 1, 1}},
                        name + "/in", part));
    Op conv = like;
    const auto first = static_cast<std::size_t>(g) * each_out;
    conv.inputs = {slice};
    conv.weight = conv_weight(w, first, each_out);
    conv.bias.assign(like.bias.begin() + static_cast<std::ptrdiff_t>(first),
                     like.bias.begin() + static_cast<std::ptrdiff_t>(first + each_out));
    WAYSIDE_TRY(const TensorId out, importer.append(std::move(conv), name));
    join.inputs.push_back(out);
  }
  return importer.append(std::move(join), node.outputs[0]);
}

Result<void> conv(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_CHECK(expect_picture(x.shape));
  WAYSIDE_TRY(const Literal* w, importer.literal(node, 1));
  if (w->shape.size() != 4 || w->whole || w->size() == 0)
    return unsupported("supported are float weights of rank 4 (two-dimensional convolution)");
  const auto groups = static_cast<int>(std::clamp<std::int64_t>(node.whole("group", 1), 0, 1 << 20));
  if (groups < 1 || w->shape[0] % groups != 0 || static_cast<std::int64_t>(w->shape[1]) * groups != x.shape[1])
    return fail(Code::corrupt, std::format("weights {} with {} groups do not fit input {}", ir::to_string(w->shape),
                                           groups, ir::to_string(x.shape)));
  WAYSIDE_TRY(const SlidingWindow window, read_window(node, x.shape, w->shape[2], w->shape[3]));
  Op op{.kind = OpKind::conv, .window = window, .bias = std::vector<float>(static_cast<std::size_t>(w->shape[0]))};
  if (node.has_input(2)) {
    WAYSIDE_TRY(const Literal* bias, importer.literal(node, 2));
    if (bias->floats.size() != op.bias.size()) return fail(Code::corrupt, "the bias does not fit the weights");
    op.bias = bias->floats;
  }
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  op.inputs = {in};
  const bool depthwise = groups > 1 && groups == x.shape[1];
  if (groups > 1 && !depthwise) {
    constexpr int kMostGroups = 64;
    if (groups > kMostGroups)
      return unsupported(
          std::format("{} groups; supported are up to {}, or one for each channel", groups, kMostGroups));
    WAYSIDE_TRY(const TensorId out, grouped(importer, node, op, *w, in, groups));
    return importer.define(node, out);
  }
  op.kind = depthwise ? OpKind::depthwise_conv : OpKind::conv;
  op.weight = depthwise ? depthwise_weight(*w) : conv_weight(*w, 0, op.bias.size());
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), node.outputs[0]));
  return importer.define(node, out);
}

Result<void> pool(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_CHECK(expect_picture(x.shape));
  const bool largest = node.op == "MaxPool";
  if (node.outputs.size() > 1 && !node.outputs[1].empty())
    return unsupported("the indices of MaxPool; supported is its first output");
  const auto kernel = node.wholes("kernel_shape");
  if (kernel.size() != 2) return unsupported("supported are two-dimensional windows");
  WAYSIDE_TRY(SlidingWindow window, read_window(node, x.shape, entry(kernel, 0, 1), entry(kernel, 1, 1)));
  if (!largest && (window.dilation_h != 1 || window.dilation_w != 1))
    return unsupported("AveragePool with dilations; supported is 1");
  WAYSIDE_TRY(TensorId in, importer.stored(x, node.inputs[0]));
  if (!largest && node.whole("count_include_pad", 0) != 0 && !ir::is_valid(window)) {
    if (node.whole("ceil_mode", 0) != 0)
      return unsupported("count_include_pad with ceil_mode; supported is one of them");
    WAYSIDE_TRY(in, importer.append({.kind = OpKind::pad,
                                     .inputs = {in},
                                     .axes = {0, 0, window.top, window.bottom, window.left, window.right, 0, 0}},
                                    node.outputs[0] + "/pad"));
    window.top = window.left = window.bottom = window.right = 0;
  }
  WAYSIDE_TRY(
      const TensorId out,
      importer.append({.kind = largest ? OpKind::max_pool : OpKind::average_pool, .inputs = {in}, .window = window},
                      node.outputs[0]));
  return importer.define(node, out);
}

Result<void> global_pool(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_CHECK(expect_picture(x.shape));
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  Op op{.kind = OpKind::mean, .inputs = {in}, .axes = {1, 2}};
  if (node.op == "GlobalMaxPool") {
    op = {.kind = OpKind::max_pool, .inputs = {in}, .window = {.kernel_h = x.shape[2], .kernel_w = x.shape[3]}};
  }
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), node.outputs[0]));
  return importer.define(node, out);
}

/// y = x * gamma / sqrt(variance + epsilon) + (beta - mean * gamma / sqrt(variance + epsilon))
Result<void> batch_norm(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  if (x.shape.size() < 2) return unsupported("supported are inputs [N,C,..]");
  if (node.whole("training_mode", 0) != 0) return unsupported("training_mode; export the model for inference");
  const auto channels = static_cast<std::size_t>(x.shape[1]);
  std::vector<const Literal*> p;
  for (std::size_t i = 1; i <= 4; ++i) {
    WAYSIDE_TRY(const Literal* parameter, importer.literal(node, i));
    if (parameter->floats.size() != channels) return fail(Code::corrupt, "parameters that do not fit the channels");
    p.push_back(parameter);
  }
  const float epsilon = node.number("epsilon", 1e-5F);
  Literal factor{.shape = Shape(x.shape.size(), 1), .whole = false, .floats = {}, .wholes = {}};
  factor.shape[1] = x.shape[1];
  Literal offset = factor;
  for (std::size_t c = 0; c < channels; ++c) {
    const float scale = p[0]->floats[c] / std::sqrt(p[3]->floats[c] + epsilon);
    if (!std::isfinite(scale)) return fail(Code::corrupt, "a negative variance");
    factor.floats.push_back(scale);
    offset.floats.push_back(p[1]->floats[c] - p[2]->floats[c] * scale);
  }
  const std::string& name = node.outputs[0];
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  WAYSIDE_TRY(const TensorId f, importer.stored({.shape = factor.shape, .literal = &factor}, name + "/scale"));
  WAYSIDE_TRY(const TensorId o, importer.stored({.shape = offset.shape, .literal = &offset}, name + "/offset"));
  WAYSIDE_TRY(const TensorId scaled, importer.append({.kind = OpKind::mul, .inputs = {in, f}}, name + "/scaled"));
  WAYSIDE_TRY(const TensorId out, importer.append({.kind = OpKind::add, .inputs = {scaled, o}}, name));
  return importer.define(node, out);
}

/// A layer out of a constant [in,out] (or [out,in] where `transposed`) times `factor`.
Op dense(const Literal& w, bool transposed, float factor) {
  const auto rows = static_cast<std::size_t>(w.shape[0]), columns = static_cast<std::size_t>(w.shape[1]);
  const std::size_t out = transposed ? rows : columns, in = transposed ? columns : rows;
  Op op{.kind = OpKind::fully_connected, .bias = std::vector<float>(out)};
  op.weight.reserve(w.floats.size());
  for (std::size_t o = 0; o < out; ++o) {
    for (std::size_t i = 0; i < in; ++i) op.weight.push_back(factor * w.floats[transposed ? o * in + i : i * out + o]);
  }
  return op;
}

Result<const Literal*> matrix(Importer& importer, const Node& node, std::size_t index) {
  WAYSIDE_TRY(const Literal* w, importer.literal(node, index));
  if (w->shape.size() != 2 || w->whole || w->size() == 0)
    return unsupported("supported is a constant float matrix as the second factor");
  return w;
}

Result<void> gemm(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const Literal* w, matrix(importer, node, 1));
  if (x.shape.size() != 2 || node.whole("transA", 0) != 0)
    return unsupported("supported is Gemm of [N,in] with transA = 0");
  Op op = dense(*w, node.whole("transB", 0) != 0, node.number("alpha", 1));
  if (node.has_input(2)) {
    WAYSIDE_TRY(const Literal* c, importer.literal(node, 2));
    const bool row =
        c->floats.size() == op.bias.size() && (c->shape.size() == 1 || (c->shape.size() == 2 && c->shape[0] == 1));
    if (!row && c->floats.size() != 1) return unsupported("supported is a bias with one value for each output");
    for (std::size_t o = 0; o < op.bias.size(); ++o) op.bias[o] = node.number("beta", 1) * c->floats[row ? o : 0];
  }
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  op.inputs = {in};
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), node.outputs[0]));
  return importer.define(node, out);
}

Result<void> matmul(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_TRY(const Literal* w, matrix(importer, node, 1));
  Op op = dense(*w, false, 1);
  WAYSIDE_TRY(const TensorId in, importer.plain(x, node.inputs[0]));
  op.inputs = {in};
  WAYSIDE_TRY(const TensorId out, importer.append(std::move(op), node.outputs[0]));
  return importer.define_plain(node, out);
}

/// True when out px y reads floor(y * in / out) in ONNX's rule too.
bool is_plain_nearest(const Node& node, int in, int out) {
  const std::string rule =
      node.op == "Upsample" ? "asymmetric" : node.text("coordinate_transformation_mode", "half_pixel");
  const std::string rounding = node.op == "Upsample" ? "floor" : node.text("nearest_mode", "round_prefer_floor");
  const double ratio = static_cast<double>(in) / out;
  for (int y = 0; y < out; ++y) {
    double at = rule == "asymmetric"      ? y * ratio
                : rule == "align_corners" ? (out > 1 ? y * (in - 1.0) / (out - 1) : 0)
                                          : (y + 0.5) * ratio - 0.5;
    if (rounding == "floor")
      at = std::floor(at);
    else if (rounding == "ceil")
      at = std::ceil(at);
    else if (rounding == "round_prefer_ceil")
      at = std::floor(at + 0.5);
    else
      at = std::ceil(at - 0.5);
    if (static_cast<int>(std::clamp(at, 0.0, in - 1.0)) != static_cast<int>(static_cast<std::int64_t>(y) * in / out))
      return false;
  }
  return true;
}

/// Sizes of the result from `sizes` or `scales`, in ONNX's order.
Result<Shape> resized(Importer& importer, const Node& node, const Shape& in) {
  Shape out = in;
  const bool old = node.op == "Upsample" || importer.opset() < 11;
  if (!old && node.has_input(3)) {
    WAYSIDE_TRY(const auto sizes, importer.numbers(node, 3, ""));
    if (sizes.size() != in.size()) return unsupported("supported are sizes for all axes");
    for (std::size_t i = 0; i < in.size(); ++i)
      out[i] = static_cast<int>(std::clamp<std::int64_t>(sizes[i], 0, 1 << 20));
    return out;
  }
  std::vector<float> scales;
  if (const Attribute* attribute = node.find("scales"); attribute != nullptr) {
    scales = attribute->floats;
  } else {
    WAYSIDE_TRY(const Literal* input, importer.literal(node, old ? 1 : 2));
    scales = input->floats;
  }
  if (scales.size() != in.size()) return unsupported("supported are scales for all axes");
  for (std::size_t i = 0; i < in.size(); ++i) {
    const double size = std::floor(static_cast<double>(in[i]) * static_cast<double>(scales[i]));
    out[i] = static_cast<int>(std::clamp(size, 0.0, 1048576.0));
    // ONNX takes coordinates from the scale, others from the sizes: the same only where the size is exact.
    if (std::abs(static_cast<double>(in[i]) * static_cast<double>(scales[i]) - size) > 1e-3)
      return unsupported(
          std::format("a scale of {} for {} px; supported are scales that give a whole size", scales[i], in[i]));
  }
  return out;
}

Result<void> resize(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value x, importer.value(node, 0));
  WAYSIDE_CHECK(expect_picture(x.shape));
  if (!node.wholes("axes").empty() || node.whole("antialias", 0) != 0)
    return unsupported("supported is Resize without axes and antialias");
  WAYSIDE_TRY(const Shape out, resized(importer, node, x.shape));
  if (out[0] != x.shape[0] || out[1] != x.shape[1] || out[2] < 1 || out[3] < 1)
    return unsupported(
        std::format("{} to {}; supported is resizing of rows and columns", ir::to_string(x.shape), ir::to_string(out)));
  const std::string mode = node.text("mode", "nearest"),
                    rule = node.text("coordinate_transformation_mode", "half_pixel");
  Op op{.kind = OpKind::resize_nearest};
  if (mode == "nearest") {
    if (!is_plain_nearest(node, x.shape[2], out[2]) || !is_plain_nearest(node, x.shape[3], out[3]))
      return unsupported("this rounding of nearest; supported is asymmetric with floor");
  } else if (mode == "linear" && node.op == "Resize") {
    const bool half = rule == "half_pixel" || (rule == "pytorch_half_pixel" && out[2] > 1 && out[3] > 1);
    if (!half && rule != "align_corners")
      return unsupported("linear with other coordinates; supported are half_pixel and align_corners");
    op.kind = OpKind::resize_bilinear;
    op.align_corners = !half;
  } else {
    return unsupported(std::format("mode {}; supported are nearest and linear", printable(mode)));
  }
  WAYSIDE_TRY(const TensorId in, importer.stored(x, node.inputs[0]));
  op.inputs = {in};
  WAYSIDE_TRY(const TensorId done, importer.append(std::move(op), node.outputs[0], {out[0], out[2], out[3], out[1]}));
  return importer.define(node, done);
}

constexpr HandlerEntry kHandlers[] = {
    {"Conv", conv},
    {"ConvTranspose", conv_transpose},
    {"MaxPool", pool},
    {"AveragePool", pool},
    {"GlobalAveragePool", global_pool},
    {"GlobalMaxPool", global_pool},
    {"BatchNormalization", batch_norm},
    {"Gemm", gemm},
    {"MatMul", matmul},
    {"Resize", resize},
    {"Upsample", resize},
};

}  // namespace

std::span<const HandlerEntry> layer_handlers() { return kHandlers; }

}  // namespace wayside::optimizer::onnx_import
