// SPDX-License-Identifier: Apache-2.0
// ONNX's ConvTranspose as what every INT8 engine is fast at: a convolution that computes all places of a stride at
// once, and movement that puts them side by side.
#include "optimizer/import/onnx_transposed.h"

#include <algorithm>
#include <format>
#include <utility>

namespace wayside::optimizer::onnx_import {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Op;
using ir::OpKind;
using ir::TensorId;

/// One side of the picture: out[y] = sum over v, i with v * stride + i - before = y. With y + before = u * stride +
/// phase this is a convolution over u - taps + 1 .. u, whose kernel holds i = phase + (taps - 1 - k) * stride at place
/// k.
struct Side {
  int in = 0, kernel = 1, stride = 1, before = 0, out = 0;
  [[nodiscard]] int taps() const { return (kernel + stride - 1) / stride; }
  /// Rows of the convolution: all that the outputs need.
  [[nodiscard]] int rows() const { return (before + out + stride - 1) / stride; }
  /// Of ONNX's kernel; the kernel's size or more: nothing lies there.
  [[nodiscard]] int place(int phase, int k) const { return phase + (taps() - 1 - k) * stride; }
};

Result<Side> read_side(const Node& node, const Shape& in, const Shape& weight, std::size_t axis) {
  constexpr std::int64_t kMost = 4096;
  const auto number = [&](const std::string& key, std::size_t index, std::int64_t otherwise) {
    const auto list = node.wholes(key);
    return list.empty() ? otherwise : (index < list.size() ? list[index] : -1);
  };
  const std::int64_t stride = number("strides", axis, 1), dilation = number("dilations", axis, 1);
  const std::int64_t before = number("pads", axis, 0), after = number("pads", axis + 2, 0);
  const std::int64_t more = number("output_padding", axis, 0);
  Side side{.in = in[axis + 2], .kernel = weight[axis + 2]};
  if (dilation != 1) return unsupported(std::format("a dilation of {}; supported is 1", dilation));
  if (stride < 1 || stride > kMost || before < 0 || before > kMost || after < 0 || after > kMost || more < 0 ||
      more >= stride || side.kernel < 1 || side.kernel > kMost)
    return fail(Code::corrupt,
                std::format("stride {}, pads {} and {}, output_padding {}", stride, before, after, more));
  side.stride = static_cast<int>(stride);
  side.before = static_cast<int>(before);
  const std::int64_t out = (side.in - 1) * stride + side.kernel - before - after + more;
  if (out < 1 || out > (1 << 20)) return fail(Code::corrupt, std::format("an output of {} px", out));
  side.out = static_cast<int>(out);
  return side;
}

/// Weights of the convolution: output (phase_y * stride_x + phase_x) * channels + o, from ONNX's [in,out,h,w].
std::vector<float> phase_weights(const Literal& w, const Side& y, const Side& x) {
  const int inputs = w.shape[0], channels = w.shape[1];
  std::vector<float> out;
  const auto at = [&](int c, int o, int i, int j) {
    const std::int64_t index = ((std::int64_t{c} * channels + o) * y.kernel + i) * x.kernel + j;
    return i < y.kernel && j < x.kernel ? w.floats[static_cast<std::size_t>(index)] : 0.0F;
  };
  for (int phase = 0; phase < y.stride * x.stride; ++phase) {
    for (int o = 0; o < channels; ++o) {
      for (int tap = 0; tap < y.taps() * x.taps(); ++tap) {
        const int i = y.place(phase / x.stride, tap / x.taps()), j = x.place(phase % x.stride, tap % x.taps());
        for (int c = 0; c < inputs; ++c) out.push_back(at(c, o, i, j));
      }
    }
  }
  return out;
}

Result<std::vector<float>> read_bias(Importer& importer, const Node& node, std::size_t channels) {
  if (!node.has_input(2)) return std::vector<float>(channels);
  WAYSIDE_TRY(const Literal* bias, importer.literal(node, 2));
  if (bias->floats.size() != channels) return fail(Code::corrupt, "the bias does not fit the weights");
  return bias->floats;
}

/// [n, rows, columns, stride_y * stride_x * channels] to the places side by side, cut to the outputs.
Result<TensorId> spread(Importer& importer, const std::string& name, TensorId all, const Side& y, const Side& x,
                        int channels) {
  const int n = importer.shape(all)[0];
  TensorId out = all;
  if (y.stride * x.stride > 1) {
    WAYSIDE_TRY(const TensorId parts, importer.append({.kind = OpKind::reshape, .inputs = {all}}, name + "/split",
                                                      {n, y.rows(), x.rows(), y.stride, x.stride, channels}));
    WAYSIDE_TRY(
        const TensorId moved,
        importer.append({.kind = OpKind::transpose, .inputs = {parts}, .axes = {0, 1, 3, 2, 4, 5}}, name + "/moved"));
    WAYSIDE_TRY(out, importer.append({.kind = OpKind::reshape, .inputs = {moved}}, name + "/merged",
                                     {n, y.rows() * y.stride, x.rows() * x.stride, channels}));
  }
  const Shape wanted{n, y.out, x.out, channels};
  if (importer.shape(out) == wanted) return out;
  return importer.append(
      {.kind = OpKind::slice, .inputs = {out}, .axes = {0, y.before, x.before, 0}, .steps = {1, 1, 1, 1}}, name,
      wanted);
}

}  // namespace

Result<void> conv_transpose(Importer& importer, const Node& node) {
  WAYSIDE_TRY(const Value in, importer.value(node, 0));
  WAYSIDE_TRY(const Literal* w, importer.literal(node, 1));
  if (in.shape.size() != 4 || w->shape.size() != 4 || w->whole || w->size() == 0)
    return unsupported("supported are pictures [N,C,H,W] and float weights of rank 4");
  if (node.whole("group", 1) != 1) return unsupported("groups; supported is one");
  if (!node.wholes("output_shape").empty() ||
      !std::ranges::contains(std::vector<std::string>{"NOTSET", "VALID"}, node.text("auto_pad", "NOTSET")))
    return unsupported("output_shape or auto_pad SAME; supported are pads and output_padding");
  if (w->shape[0] != in.shape[1])
    return fail(Code::corrupt,
                std::format("weights {} do not fit input {}", ir::to_string(w->shape), ir::to_string(in.shape)));
  WAYSIDE_TRY(const Side y, read_side(node, in.shape, w->shape, 0));
  WAYSIDE_TRY(const Side x, read_side(node, in.shape, w->shape, 1));
  const int channels = w->shape[1], phases = y.stride * x.stride;
  constexpr std::size_t kMostWeights = 1U << 28U;  // strides without a kernel to match are no upsampling
  if (static_cast<std::size_t>(phases) * y.taps() * x.taps() > kMostWeights / w->size())
    return fail(Code::exhausted,
                std::format("strides {}x{} for a kernel of {}x{}", y.stride, x.stride, y.kernel, x.kernel));
  WAYSIDE_TRY(const auto bias, read_bias(importer, node, static_cast<std::size_t>(channels)));
  Op op{
      .kind = OpKind::conv, .window = {.kernel_h = y.taps(), .kernel_w = x.taps()}, .weight = phase_weights(*w, y, x)};
  op.window.top = y.taps() - 1;
  op.window.left = x.taps() - 1;
  op.window.bottom = std::max(0, y.rows() - y.in);
  op.window.right = std::max(0, x.rows() - x.in);
  for (int phase = 0; phase < phases; ++phase) op.bias.insert(op.bias.end(), bias.begin(), bias.end());
  WAYSIDE_TRY(const TensorId from, importer.stored(in, node.inputs[0]));
  op.inputs = {from};
  WAYSIDE_TRY(TensorId all, importer.append(std::move(op), node.outputs[0] + "/phases"));
  const Shape needed{in.shape[0], y.rows(), x.rows(), channels * phases};
  if (importer.shape(all) != needed) {  // pads that crop more than one stride at the end
    WAYSIDE_TRY(all,
                importer.append({.kind = OpKind::slice, .inputs = {all}, .axes = {0, 0, 0, 0}, .steps = {1, 1, 1, 1}},
                                node.outputs[0] + "/needed", needed));
  }
  WAYSIDE_TRY(const TensorId out, spread(importer, node.outputs[0], all, y, x, channels));
  return importer.define(node, out);
}

}  // namespace wayside::optimizer::onnx_import
