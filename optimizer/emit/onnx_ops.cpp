// SPDX-License-Identifier: Apache-2.0
// ONNX's forms of the graph's operators, opset 13. Source: docs/Operators.md of ONNX.
#include "optimizer/emit/onnx_ops.h"

#include <array>
#include <limits>
#include <numeric>
#include <utility>

namespace wayside::optimizer::emit {
namespace {

using ir::Op;
using ir::OpKind;
using Wholes = std::vector<std::int64_t>;
using Attributes = std::vector<std::pair<std::string, OnnxValue>>;

class OpWriter {
 public:
  OpWriter(OnnxFile& file, const ir::Graph& graph, const Op& op, const OpPorts& ports)
      : file_(file),
        op_(op),
        ports_(ports),
        in_(graph.tensors[op.inputs[0]].shape),
        out_(graph.tensors[op.output].shape) {}

  void write() {
    const std::string last = activation();
    switch (op_.kind) {
      case OpKind::conv:
      case OpKind::depthwise_conv: return conv(last);
      case OpKind::fully_connected: return fully_connected(last);
      case OpKind::max_pool:
      case OpKind::average_pool: return pool();
      case OpKind::resize_nearest:
      case OpKind::resize_bilinear: return resize();
      case OpKind::add: return node("Add", ports_.inputs, last);
      case OpKind::sub: return node("Sub", ports_.inputs, last);
      case OpKind::mul: return node("Mul", ports_.inputs, last);
      case OpKind::div: return node("Div", ports_.inputs, last);
      case OpKind::clip: return clip(ports_.inputs[0], op_.alpha, op_.beta, ports_.output);
      case OpKind::hard_swish: return hard_swish();
      case OpKind::sqrt:
        if (op_.alpha >= 0) return plain("Sqrt", {});
        node("Sqrt", ports_.inputs, inner("root"));
        return node("Reciprocal", {inner("root")}, ports_.output);
      case OpKind::softmax: return plain("Softmax", {{"axis", onnx_axis(op_.axes[0], in_.size())}});
      case OpKind::mean: return plain("ReduceMean", {{"axes", reduced_axes()}, {"keepdims", std::int64_t{1}}});
      case OpKind::sum:
        return node("ReduceSum", {ports_.inputs[0], wholes("axes", reduced_axes())}, ports_.output,
                    {{"keepdims", std::int64_t{1}}});
      case OpKind::concat: return plain("Concat", {{"axis", onnx_axis(op_.axes[0], in_.size())}});
      case OpKind::reshape: return reshape();
      case OpKind::transpose: return plain("Transpose", {{"perm", permutation()}});
      case OpKind::slice: return slice();
      case OpKind::pad: return pad();
      default:
        return plain(name_of(op_.kind), op_.kind == OpKind::leaky_relu || op_.kind == OpKind::elu
                                            ? Attributes{{"alpha", op_.alpha}}
                                            : Attributes{});
    }
  }

 private:
  static std::string name_of(OpKind kind) {
    switch (kind) {
      case OpKind::relu: return "Relu";
      case OpKind::leaky_relu: return "LeakyRelu";
      case OpKind::prelu: return "PRelu";
      case OpKind::elu: return "Elu";
      case OpKind::logistic: return "Sigmoid";
      case OpKind::tanh: return "Tanh";
      case OpKind::exp: return "Exp";
      case OpKind::abs: return "Abs";
      default: std::unreachable();
    }
  }

  /// Named after what it gives; the output's own name belongs to the last node.
  void node(const std::string& op, std::vector<std::string> inputs, const std::string& output,
            Attributes attributes = {}) {
    file_.nodes.push_back({op, output, std::move(inputs), {output}, std::move(attributes)});
  }
  void plain(const std::string& op, Attributes attributes) {
    node(op, ports_.inputs, ports_.output, std::move(attributes));
  }
  std::string inner(const std::string& suffix) const { return ports_.output + "/" + suffix; }
  std::string wholes(const std::string& suffix, const Wholes& values) {
    file_.constants.push_back({inner(suffix), OnnxType::int64, {std::ssize(values)}, bytes_of(values)});
    return file_.constants.back().name;
  }
  std::string floats(const std::string& suffix, const std::vector<float>& values, bool scalar = false) {
    file_.constants.push_back(
        {inner(suffix), OnnxType::float32, Wholes(scalar ? 0 : 1, std::ssize(values)), bytes_of(values)});
    return file_.constants.back().name;
  }

  /// Where the arithmetic ends and the activation, if any, begins.
  std::string activation() {
    if (op_.activation == ir::Activation::none) return ports_.output;
    pending_activation_ = true;
    return inner("linear");
  }

 public:
  void finish() {
    if (!pending_activation_) return;
    if (op_.activation == ir::Activation::relu) return node("Relu", {inner("linear")}, ports_.output);
    clip(inner("linear"), 0, 6, ports_.output);
  }

 private:
  void clip(const std::string& in, float least, float most, const std::string& out) {
    node("Clip", {in, floats("least", {least}, true), floats("most", {most}, true)}, out);
  }

  Attributes window_attributes() const {
    const ir::SlidingWindow& w = ports_.window;
    return {{"kernel_shape", Wholes{w.kernel_h, w.kernel_w}},
            {"strides", Wholes{w.stride_h, w.stride_w}},
            {"pads", Wholes{w.top, w.left, w.bottom, w.right}}};
  }
  Wholes dilations() const { return {ports_.window.dilation_h, ports_.window.dilation_w}; }

  void conv(const std::string& out) {
    Attributes attributes = window_attributes();
    attributes.emplace_back("dilations", dilations());
    attributes.emplace_back("group", op_.kind == OpKind::depthwise_conv ? in_.back() : std::int64_t{1});
    node("Conv", {ports_.inputs[0], ports_.weight, ports_.bias}, out, std::move(attributes));
  }

  void fully_connected(const std::string& out) {
    const std::vector<std::string> inputs{ports_.inputs[0], ports_.weight, ports_.bias};
    if (in_.size() == 4) return node("Conv", inputs, out, {{"kernel_shape", Wholes{1, 1}}});
    if (in_.size() == 2) return node("Gemm", inputs, out, {{"transB", std::int64_t{1}}});
    node("Transpose", {ports_.weight}, inner("weight_transposed"), {{"perm", Wholes{1, 0}}});
    node("MatMul", {ports_.inputs[0], inner("weight_transposed")}, inner("product"));
    node("Add", {inner("product"), ports_.bias}, out);
  }

  void pool() {
    Attributes attributes = window_attributes();
    const bool max = op_.kind == OpKind::max_pool;
    if (max && dilations() != Wholes{1, 1}) attributes.emplace_back("dilations", dilations());
    plain(max ? "MaxPool" : "AveragePool", std::move(attributes));
  }

  /// Factors where they are whole, which every compiler takes; else sizes.
  void resize() {
    const bool nearest = op_.kind == OpKind::resize_nearest;
    Attributes attributes{{"mode", std::string(nearest ? "nearest" : "linear")}};
    attributes.emplace_back("coordinate_transformation_mode", std::string(nearest             ? "asymmetric"
                                                                          : op_.align_corners ? "align_corners"
                                                                                              : "half_pixel"));
    if (nearest) attributes.emplace_back("nearest_mode", std::string("floor"));
    if (out_[1] % in_[1] == 0 && out_[2] % in_[2] == 0) {
      const auto rows = static_cast<float>(out_[1] / in_[1]), columns = static_cast<float>(out_[2] / in_[2]);
      return node("Resize", {ports_.inputs[0], "", floats("scales", {1, 1, rows, columns})}, ports_.output,
                  std::move(attributes));
    }
    node("Resize", {ports_.inputs[0], "", "", wholes("sizes", onnx_shape(out_))}, ports_.output, std::move(attributes));
  }

  /// x * clip(x / 6 + 1/2, 0, 1): opset 13 has no HardSwish.
  void hard_swish() {
    node("HardSigmoid", ports_.inputs, inner("gate"), {{"alpha", 1.0F / 6.0F}, {"beta", 0.5F}});
    node("Mul", {ports_.inputs[0], inner("gate")}, ports_.output);
  }

  Wholes reduced_axes() const {
    Wholes axes;
    for (const int axis : op_.axes) axes.push_back(onnx_axis(axis, in_.size()));
    return axes;
  }

  /// Of a transpose: the graph's axes are mapped on both sides.
  Wholes permutation() const {
    Wholes out(op_.axes.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto to = static_cast<std::size_t>(onnx_axis(static_cast<int>(i), out.size()));
      out[to] = onnx_axis(op_.axes[i], out.size());
    }
    return out;
  }

  /// True where the elements lie alike in NHWC and NCHW.
  static bool one_order(const ir::Shape& shape) {
    return shape.size() != 4 || shape[3] == 1 || (shape[1] == 1 && shape[2] == 1);
  }

  void reshape() {
    std::string from = ports_.inputs[0];
    if (!one_order(in_)) {
      node("Transpose", {from}, inner("nhwc"), {{"perm", Wholes{0, 2, 3, 1}}});
      from = inner("nhwc");
    }
    if (one_order(out_)) return node("Reshape", {from, wholes("shape", onnx_shape(out_))}, ports_.output);
    const Wholes shape(out_.begin(), out_.end());
    node("Reshape", {from, wholes("shape", shape)}, inner("reshaped"));
    node("Transpose", {inner("reshaped")}, ports_.output, {{"perm", Wholes{0, 3, 1, 2}}});
  }

  void slice() {
    Wholes starts, ends, axes, steps;
    for (std::size_t i = 0; i < out_.size(); ++i) {
      if (op_.axes[i] == 0 && op_.steps[i] == 1 && out_[i] == in_[i]) continue;
      const std::int64_t past = op_.axes[i] + std::int64_t{out_[i]} * op_.steps[i];
      starts.push_back(op_.axes[i]);
      // A negative end counts from the last element; before the first is a number below all.
      ends.push_back(past < 0 ? std::numeric_limits<std::int32_t>::min() : past);
      axes.push_back(onnx_axis(static_cast<int>(i), out_.size()));
      steps.push_back(op_.steps[i]);
    }
    if (axes.empty()) return plain("Identity", {});
    node("Slice",
         {ports_.inputs[0], wholes("starts", starts), wholes("ends", ends), wholes("axes", axes),
          wholes("steps", steps)},
         ports_.output);
  }

  void pad() {
    Wholes amounts(op_.axes.size());
    for (std::size_t i = 0; i < out_.size(); ++i) {
      const auto axis = static_cast<std::size_t>(onnx_axis(static_cast<int>(i), out_.size()));
      amounts[axis] = op_.axes[2 * i];
      amounts[out_.size() + axis] = op_.axes[2 * i + 1];
    }
    node("Pad", {ports_.inputs[0], wholes("amounts", amounts), floats("fill", {op_.alpha}, true)}, ports_.output);
  }

  OnnxFile& file_;
  const Op& op_;
  const OpPorts& ports_;
  const ir::Shape &in_, &out_;
  bool pending_activation_ = false;
};

}  // namespace

std::vector<std::int64_t> onnx_shape(const ir::Shape& shape) {
  if (shape.size() != 4) return {shape.begin(), shape.end()};
  return {shape[0], shape[3], shape[1], shape[2]};
}

std::int64_t onnx_axis(int axis, std::size_t rank) {
  constexpr std::array<std::int64_t, 4> kPlaces{0, 2, 3, 1};
  return rank == 4 ? kPlaces[static_cast<std::size_t>(axis)] : axis;
}

ir::Shape weight_shape(const ir::Graph& graph, const Op& op) {
  const ir::Shape& in = graph.tensors[op.inputs[0]].shape;
  const auto out = static_cast<int>(op.bias.size());
  if (op.kind == OpKind::fully_connected)
    return in.size() == 4 ? ir::Shape{out, 1, 1, in.back()} : ir::Shape{out, in.back()};
  return {out, op.window.kernel_h, op.window.kernel_w, op.kind == OpKind::depthwise_conv ? 1 : in.back()};
}

void write_op(OnnxFile& file, const ir::Graph& graph, const Op& op, const OpPorts& ports) {
  OpWriter writer(file, graph, op, ports);
  writer.write();
  writer.finish();
}

}  // namespace wayside::optimizer::emit
