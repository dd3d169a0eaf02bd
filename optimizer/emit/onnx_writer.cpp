// SPDX-License-Identifier: Apache-2.0
// Walks the graph: names, constants, and the pairs of quantised files.
#include "optimizer/emit/onnx_writer.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <limits>
#include <set>
#include <string>

#include "optimizer/emit/onnx_file.h"
#include "optimizer/emit/onnx_ops.h"

namespace wayside::optimizer::emit {
namespace {

using ir::Op;
using ir::OpKind;
using ir::TensorId;

bool windowed(OpKind kind) {
  return kind == OpKind::conv || kind == OpKind::depthwise_conv || kind == OpKind::max_pool;
}

/// Rows and columns only, of what the window reads as nothing: zeros for a layer, the least number for a maximum, which
/// may have no window that lies outside as a whole.
bool foldable(const Op& pad, const Op& reader) {
  const bool max = reader.kind == OpKind::max_pool;
  const float nothing = max ? std::numeric_limits<float>::lowest() : 0.0F;
  if (!windowed(reader.kind) || pad.alpha != nothing || pad.axes.size() != 8) return false;
  if (pad.axes[0] != 0 || pad.axes[1] != 0 || pad.axes[6] != 0 || pad.axes[7] != 0) return false;
  const ir::SlidingWindow& w = reader.window;
  return !max || (std::max(w.top + pad.axes[2], w.bottom + pad.axes[3]) < w.kernel_h &&
                  std::max(w.left + pad.axes[4], w.right + pad.axes[5]) < w.kernel_w);
}

class Writer {
 public:
  /// `quantized` null: in float.
  Writer(const ir::Graph& graph, const QuantizedGraph* quantized, QdqForm form)
      : graph_(graph),
        quantized_(quantized),
        form_(form),
        names_(onnx_names(graph)),
        read_names_(names_),
        producers_(ir::producers(graph)),
        uses_(ir::uses(graph)) {
    if (quantized_ != nullptr)
      scales_ = form == QdqForm::symmetric ? symmetric_scales(quantized->tensors) : quantized->tensors;
  }

  std::vector<std::uint8_t> write() {
    for (const TensorId id : graph_.inputs) {
      file_.inputs.push_back({names_[id], onnx_shape(graph_.tensors[id].shape)});
      if (quantized_ == nullptr) continue;
      read_names_[id] = names_[id] + "/rounded";
      add_pair(names_[id], read_names_[id], scales_[id]);
    }
    for (TensorId id = 0; id < graph_.tensors.size(); ++id) {
      if (!graph_.tensors[id].constant.empty()) add_constant(id);
    }
    for (std::size_t i = 0; i < graph_.ops.size(); ++i) add_op(i);
    for (const TensorId id : graph_.outputs) {
      // An input or a constant that is an output: its own name is taken.
      if (producers_[id] == ir::kNoOp)
        file_.nodes.push_back({"Identity", {}, {read_names_[id]}, {names_[id] + "/out"}, {}});
      file_.outputs.push_back(
          {producers_[id] == ir::kNoOp ? names_[id] + "/out" : names_[id], onnx_shape(graph_.tensors[id].shape)});
    }
    return serialize(file_);
  }

 private:
  std::string add(const std::string& name, OnnxType type, std::vector<std::int64_t> shape, std::string bytes) {
    file_.constants.push_back({name, type, std::move(shape), std::move(bytes)});
    return name;
  }

  /// DequantizeLinear of constant whole numbers; one scale for each entry of the first axis where there are several.
  template <class Whole>
  std::string dequantized(const std::string& name, OnnxType type, const std::vector<std::int64_t>& shape,
                          const std::vector<Whole>& values, const std::vector<float>& scale, Whole zero_point) {
    const bool per_channel = scale.size() > 1;
    const auto channels = [&] { return std::vector<std::int64_t>(per_channel ? 1 : 0, std::ssize(scale)); };
    const std::vector<Whole> zero(scale.size(), zero_point);
    OnnxNode node{"DequantizeLinear",
                  name,
                  {add(name + "/q", type, shape, bytes_of(values)),
                   add(name + "/scale", OnnxType::float32, channels(), bytes_of(scale)),
                   add(name + "/zero", type, channels(), bytes_of(zero))},
                  {name},
                  {}};
    if (per_channel) node.attributes.emplace_back("axis", std::int64_t{0});
    file_.nodes.push_back(std::move(node));
    return name;
  }

  void add_constant(TensorId id) {
    const auto& tensor = graph_.tensors[id];
    auto values = onnx_order(tensor.constant, tensor.shape);
    auto shape = onnx_shape(tensor.shape);
    // The slopes of a picture's channels need axes for rows and columns behind them.
    for (const Op& op : graph_.ops) {
      if (op.kind == OpKind::prelu && op.inputs[1] == id && graph_.tensors[op.output].shape.size() == 4)
        shape = {tensor.shape[0], 1, 1};
    }
    if (quantized_ == nullptr) {
      add(names_[id], OnnxType::float32, shape, bytes_of(values));
      return;
    }
    const TensorQuantization& q = scales_[id];
    std::vector<std::int8_t> wholes;
    for (const float value : values) {
      const float steps = std::nearbyint(value / q.scale) + static_cast<float>(q.zero_point);
      wholes.push_back(static_cast<std::int8_t>(std::clamp(steps, -128.0F, 127.0F)));
    }
    dequantized(names_[id], OnnxType::int8, shape, wholes, {q.scale}, static_cast<std::int8_t>(q.zero_point));
  }

  void add_pair(const std::string& from, const std::string& to, const TensorQuantization& q) {
    const std::vector<float> scale{q.scale};
    const std::vector<std::int8_t> zero{static_cast<std::int8_t>(q.zero_point)};
    const auto scale_name = add(to + "/scale", OnnxType::float32, {}, bytes_of(scale));
    const auto zero_name = add(to + "/zero", OnnxType::int8, {}, bytes_of(zero));
    file_.nodes.push_back({"QuantizeLinear", to + "/q", {from, scale_name, zero_name}, {to + "/q"}, {}});
    file_.nodes.push_back({"DequantizeLinear", to, {to + "/q", scale_name, zero_name}, {to}, {}});
  }

  std::vector<std::int64_t> weight_dims(const Op& op) const { return onnx_shape(weight_shape(graph_, op)); }

  void add_weights(std::size_t index, OpPorts& ports) {
    const Op& op = graph_.ops[index];
    const std::string& name = names_[op.output];
    ports.weight = name + "/weight";
    ports.bias = name + "/bias";
    const std::vector<std::int64_t> one_each{std::ssize(op.bias)};
    if (quantized_ == nullptr) {
      const auto weight = onnx_weight(graph_, op, op.weight);
      add(ports.weight, OnnxType::float32, weight_dims(op), bytes_of(weight));
      add(ports.bias, OnnxType::float32, one_each, bytes_of(op.bias));
      return;
    }
    const QuantizedWeights& weights = quantized_->weights[index];
    dequantized(ports.weight, OnnxType::int8, weight_dims(op), onnx_weight(graph_, op, weights.weight), weights.scale,
                std::int8_t{0});
    std::vector<float> scale = weights.scale;
    for (float& s : scale) s *= quantized_->tensors[op.inputs[0]].scale;
    if (form_ == QdqForm::integer) {
      dequantized(ports.bias, OnnxType::int32, one_each, weights.bias, scale, std::int32_t{0});
      return;
    }
    std::vector<float> bias;
    for (std::size_t o = 0; o < scale.size(); ++o) bias.push_back(scale[o] * static_cast<float>(weights.bias[o]));
    add(ports.bias, OnnxType::float32, one_each, bytes_of(bias));
  }

  /// True for a pad that goes into its one reader.
  bool folds_away(const Op& op) const {
    if (op.kind != OpKind::pad || uses_[op.output] != 1) return false;
    return std::ranges::any_of(graph_.ops,
                               [&](const Op& reader) { return reader.inputs[0] == op.output && foldable(op, reader); });
  }

  void add_op(std::size_t index) {
    const Op& op = graph_.ops[index];
    if (folds_away(op)) return;
    OpPorts ports{.inputs = {}, .weight = {}, .bias = {}, .output = names_[op.output], .window = op.window};
    for (const TensorId id : op.inputs) ports.inputs.push_back(read_names_[id]);
    const std::size_t before = producers_[op.inputs[0]];
    if (before != ir::kNoOp && folds_away(graph_.ops[before])) {
      const Op& pad = graph_.ops[before];
      ports.inputs[0] = read_names_[pad.inputs[0]];
      ports.window.top += pad.axes[2];
      ports.window.bottom += pad.axes[3];
      ports.window.left += pad.axes[4];
      ports.window.right += pad.axes[5];
    }
    if (ir::has_weights(op.kind)) add_weights(index, ports);
    if (quantized_ != nullptr) ports.output += "/raw";
    write_op(file_, graph_, op, ports);
    if (quantized_ != nullptr) add_pair(ports.output, names_[op.output], scales_[op.output]);
  }

  const ir::Graph& graph_;
  const QuantizedGraph* quantized_;
  QdqForm form_;
  std::vector<TensorQuantization> scales_;
  std::vector<std::string> names_, read_names_;
  std::vector<std::size_t> producers_, uses_;
  OnnxFile file_;
};

base::Result<void> check(const ir::Graph& graph) {
  for (const Op& op : graph.ops) {
    if (ir::has_weights(op.kind) && (!op.norm.empty() || op.bias.empty()))
      return base::fail(base::Code::invalid_argument,
                        std::format("write_onnx: {} has no bias or an unfolded batch norm; call fold_batch_norm first",
                                    graph.tensors[op.output].name));
  }
  return {};
}

}  // namespace

base::Result<std::vector<std::uint8_t>> write_onnx(const ir::Graph& graph) {
  WAYSIDE_CHECK(check(graph));
  return Writer(graph, nullptr, QdqForm::integer).write();
}

base::Result<std::vector<std::uint8_t>> write_onnx(const QuantizedGraph& graph, QdqForm form) {
  WAYSIDE_CHECK(check(graph.graph));
  return Writer(graph.graph, &graph, form).write();
}

std::vector<TensorQuantization> symmetric_scales(const std::vector<TensorQuantization>& tensors) {
  std::vector<TensorQuantization> out;
  for (const auto& q : tensors) {
    const int most = std::max(128 + q.zero_point, 127 - q.zero_point);
    out.push_back({q.scale * static_cast<float>(most) / 127.0F, 0});
  }
  return out;
}

std::vector<std::string> onnx_names(const ir::Graph& graph) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
    std::string name = graph.tensors[i].name.empty() ? std::format("tensor_{}", i) : graph.tensors[i].name;
    if (!taken.insert(name).second) taken.insert(name = std::format("{}#{}", name, i));
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace wayside::optimizer::emit
