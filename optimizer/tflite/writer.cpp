// SPDX-License-Identifier: Apache-2.0
// The flatbuffer is put together with the engine's own subset of the TFLite schema.
#include "optimizer/tflite/writer.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "optimizer/quantize/scales.h"
#include "optimizer/tflite/model_parts.h"

namespace wayside::optimizer {
namespace {

namespace schema = accel::cpu::schema;
using flatbuffers::Offset;
using tflite::OperatorId;

constexpr OperatorId kReshape{22, 1}, kQuantize{114, 2};

/// Of the int8 forms.
std::optional<OperatorId> operator_id(const ir::Op& op) {
  switch (op.kind) {
    case ir::OpKind::add: return OperatorId{0, 2};
    case ir::OpKind::average_pool: return OperatorId{1, 2};
    case ir::OpKind::concat: return OperatorId{2, 2};
    case ir::OpKind::conv: return OperatorId{3, 3};
    case ir::OpKind::depthwise_conv: return OperatorId{4, 3};
    case ir::OpKind::fully_connected: return OperatorId{9, 5};
    case ir::OpKind::logistic: return OperatorId{14, 2};
    case ir::OpKind::max_pool: return OperatorId{17, 2};
    case ir::OpKind::mul: return OperatorId{18, 2};
    case ir::OpKind::relu: return OperatorId{19, 2};
    case ir::OpKind::reshape: return kReshape;
    case ir::OpKind::resize_bilinear: return OperatorId{23, 3};
    case ir::OpKind::softmax: return OperatorId{25, 2};
    case ir::OpKind::tanh: return OperatorId{28, 2};
    case ir::OpKind::transpose: return OperatorId{39, 2};
    case ir::OpKind::mean: return OperatorId{40, 2};
    case ir::OpKind::sub: return OperatorId{41, 2};
    case ir::OpKind::slice: return OperatorId{45, 2};
    case ir::OpKind::prelu: return OperatorId{54, 1};
    case ir::OpKind::pad: return OperatorId{60, 2};
    case ir::OpKind::resize_nearest: return OperatorId{97, 2};
    case ir::OpKind::leaky_relu: return OperatorId{98, 2};
    case ir::OpKind::clip: return kQuantize;  // what the output's range cannot hold saturates
    case ir::OpKind::hard_swish: return OperatorId{117, 1};
    case ir::OpKind::sqrt: return op.alpha < 0 ? std::optional(OperatorId{76, 2}) : std::nullopt;  // RSQRT
    case ir::OpKind::div:
    case ir::OpKind::elu:
    case ir::OpKind::exp:
    case ir::OpKind::abs:
    case ir::OpKind::sum: return std::nullopt;
  }
  std::unreachable();
}

schema::ActivationFunctionType activation_of(ir::Activation activation) {
  switch (activation) {
    case ir::Activation::none: return schema::ActivationFunctionType::NONE;
    case ir::Activation::relu: return schema::ActivationFunctionType::RELU;
    case ir::Activation::relu6: return schema::ActivationFunctionType::RELU6;
  }
  std::unreachable();
}

std::int8_t rounded(float value, const TensorQuantization& q) {
  const float steps = std::nearbyint(value / q.scale) + static_cast<float>(q.zero_point);
  return static_cast<std::int8_t>(std::clamp(steps, -128.0F, 127.0F));
}

/// Two in a byte, the first in the lower half. Source: tensorflow/lite/kernels/internal/portable_tensor_utils.cc,
/// UnpackDenseInt4IntoInt8.
std::vector<std::uint8_t> packed_int4(const std::vector<std::int8_t>& values) {
  std::vector<std::uint8_t> out((values.size() + 1) / 2);
  for (std::size_t i = 0; i < values.size(); ++i)
    out[i / 2] |= static_cast<std::uint8_t>((values[i] & 15) << (4 * (i % 2)));
  return out;
}

/// What the format has no form for.
base::Result<void> check(const ir::Graph& graph, const ir::Op& op) {
  const auto& in = graph.tensors[op.inputs[0]].shape;
  const bool windowed = op.kind == ir::OpKind::conv || op.kind == ir::OpKind::depthwise_conv ||
                        op.kind == ir::OpKind::max_pool || op.kind == ir::OpKind::average_pool;
  std::string_view problem;
  if (!operator_id(op)) {
    problem = "the INT8 engine has no such operator";
  } else if (windowed && !ir::is_valid(op.window) && !ir::is_same(op.window, in[1], in[2])) {
    problem = "padding that is neither SAME nor VALID; run passes::to_tflite_forms first";
  } else if (op.kind == ir::OpKind::softmax && op.axes[0] + 1 != static_cast<int>(in.size())) {
    problem = "softmax over another axis than the last";
  } else if (op.kind == ir::OpKind::max_pool && (op.window.dilation_h != 1 || op.window.dilation_w != 1)) {
    problem = "a dilated pool";
  } else {
    return {};
  }
  return base::fail(base::Code::unsupported, std::format("write_tflite: {} \"{}\": {}", ir::to_string(op.kind),
                                                         graph.tensors[op.output].name, problem));
}

struct Options {
  schema::BuiltinOptions kind = schema::BuiltinOptions::NONE;
  Offset<void> table = 0;
};
template <class Table>
Options options(schema::BuiltinOptions kind, Offset<Table> table) {
  return {kind, table.Union()};
}

/// Collects buffers and tensors while the operators are walked.
class Writer {
 public:
  /// `only_weights`: activations, biases and constants stay float; int8: `graph` has those weights, float16: rounded
  /// here.
  explicit Writer(const QuantizedGraph& graph, std::optional<WeightFormat> only_weights = {})
      : graph_(graph), only_weights_(only_weights) {}

  std::vector<std::uint8_t> write(const std::string& description) {
    for (std::size_t i = 0; i < graph_.tensors.size(); ++i) add_tensor_of_graph(i);
    for (std::size_t i = 0; i < graph_.graph.ops.size(); ++i) add_operator(i);
    for (const auto id : graph_.graph.inputs) inputs_.push_back(static_cast<std::int32_t>(id));
    for (const auto id : graph_.graph.outputs) outputs_.push_back(static_cast<std::int32_t>(id));
    const auto subgraph =
        schema::CreateSubGraphDirect(out_, &parts_.tensors(), &inputs_, &outputs_, &operators_, "main");
    return parts_.finish(subgraph, description);
  }

 private:
  /// A tensor of the graph keeps its number.
  void add_tensor_of_graph(std::size_t id) {
    const auto& tensor = graph_.graph.tensors[id];
    if (only_weights_) {
      const auto values = tensor.constant.empty() ? 0 : add_floats(tensor.constant);
      parts_.add_tensor(tensor.shape, schema::TensorType::FLOAT32, values, tensor.name, 0);
      return;
    }
    const TensorQuantization& q = graph_.tensors[id];
    std::uint32_t buffer = 0;
    if (!tensor.constant.empty()) {
      std::vector<std::int8_t> values;
      for (const float value : tensor.constant) values.push_back(rounded(value, q));
      buffer = parts_.add_buffer(values.data(), values.size());
    }
    parts_.add_tensor(tensor.shape, schema::TensorType::INT8, buffer, tensor.name,
                      parts_.quantization({q.scale}, q.zero_point));
  }

  std::uint32_t add_floats(const std::vector<float>& values) {
    return parts_.add_buffer(values.data(), values.size() * sizeof(float));
  }

  /// A DEQUANTIZE that gives the layer floats: hybrid kernels take no scales per channel everywhere.
  int add_dequantized(int stored, const std::vector<std::int32_t>& shape, const std::string& name) {
    const auto real = parts_.add_tensor(shape, schema::TensorType::FLOAT32, 0, name + "/weight", 0);
    constexpr OperatorId kDequantize{6, 3};
    add_plain(kDequantize, {stored}, real);
    return real;
  }

  int add_half_weight(const ir::Op& op, const std::vector<std::int32_t>& shape, const std::string& name) {
    static_assert(sizeof(_Float16) == 2);
    std::vector<_Float16> halves;
    for (const float weight : op.weight) halves.push_back(static_cast<_Float16>(weight));
    const auto buffer = parts_.add_buffer(halves.data(), halves.size() * sizeof(_Float16));
    return add_dequantized(parts_.add_constant(shape, schema::TensorType::FLOAT16, buffer, "weight"), shape, name);
  }

  int add_weight(const ir::Op& op, const QuantizedWeights& weights, const std::string& name) {
    const auto channels = static_cast<std::int32_t>(op.bias.size());
    const bool depthwise = op.kind == ir::OpKind::depthwise_conv;
    const std::int32_t inputs = graph_.graph.tensors[op.inputs[0]].shape.back();
    const ir::SlidingWindow& w = op.window;
    const std::vector<std::int32_t> shape = op.kind == ir::OpKind::fully_connected
                                                ? std::vector<std::int32_t>{channels, inputs}
                                                : std::vector<std::int32_t>{depthwise ? 1 : channels, w.kernel_h,
                                                                            w.kernel_w, depthwise ? channels : inputs};
    if (only_weights_ == WeightFormat::float16) return add_half_weight(op, shape, name);
    const bool four_bits = weights.format == WeightFormat::int4;
    const auto packed = four_bits ? packed_int4(weights.weight) : std::vector<std::uint8_t>();
    const auto buffer = four_bits ? parts_.add_buffer(packed.data(), packed.size())
                                  : parts_.add_buffer(weights.weight.data(), weights.weight.size());
    const int stored = parts_.add_constant(shape, four_bits ? schema::TensorType::INT4 : schema::TensorType::INT8,
                                           buffer, "weight", parts_.quantization(weights.scale, 0, depthwise ? 3 : 0));
    return only_weights_ ? add_dequantized(stored, shape, name) : stored;
  }

  /// Its scale is the product of the input's and the weights': it is said again only where other runtimes' fast paths,
  /// which do not know four-bit weights, ask for it, and where there is one scale for the whole tensor, which TFLite
  /// compares with the product.
  int add_bias(const ir::Op& op, const QuantizedWeights& weights) {
    const std::vector<std::int32_t> shape{static_cast<std::int32_t>(op.bias.size())};
    if (only_weights_) return parts_.add_constant(shape, schema::TensorType::FLOAT32, add_floats(op.bias), "bias");
    const auto buffer = parts_.add_buffer(weights.bias.data(), weights.bias.size() * sizeof(std::int32_t));
    std::vector<float> scale = weights.scale;
    if (weights.format == WeightFormat::int4 && scale.size() > 1)
      return parts_.add_constant(shape, schema::TensorType::INT32, buffer, "bias");
    const float input_scale = graph_.tensors[op.inputs[0]].scale;
    for (float& s : scale) s *= input_scale;
    return parts_.add_constant(shape, schema::TensorType::INT32, buffer, "bias", parts_.quantization(scale, 0));
  }

  /// A constant list of whole numbers; of shape [n/2,2] where `pairs`.
  int add_numbers(const std::vector<std::int32_t>& values, std::string_view role, bool pairs = false) {
    const auto count = static_cast<std::int32_t>(values.size());
    const auto buffer = parts_.add_buffer(values.data(), values.size() * sizeof(std::int32_t));
    const auto shape = pairs ? std::vector<std::int32_t>{count / 2, 2} : std::vector<std::int32_t>{count};
    return parts_.add_constant(shape, schema::TensorType::INT32, buffer, role);
  }

  /// The value that a pad puts in, in the scale of what is padded.
  int add_fill(const ir::Op& op) {
    if (only_weights_) return parts_.add_constant({1}, schema::TensorType::FLOAT32, add_floats({op.alpha}), "fill");
    const TensorQuantization& q = graph_.tensors[op.output];
    const std::int8_t value = rounded(op.alpha, q);
    return parts_.add_constant({1}, schema::TensorType::INT8, parts_.add_buffer(&value, 1), "fill",
                               parts_.quantization({q.scale}, q.zero_point));
  }

  std::uint32_t code_index(const ir::Op& op, WeightFormat format) {
    OperatorId id = *operator_id(op);
    constexpr int kInt4Version = 7;  // of both convolutions
    if (format == WeightFormat::int4) id.version = kInt4Version;
    return parts_.code_index(id);
  }

  /// Constants that follow an operator's inputs.
  void add_constants(const ir::Op& op, const QuantizedWeights& weights, std::vector<std::int32_t>& inputs) {
    const auto& out = graph_.graph.tensors[op.output];
    switch (op.kind) {
      case ir::OpKind::conv:
      case ir::OpKind::depthwise_conv:
      case ir::OpKind::fully_connected:
        inputs.push_back(add_weight(op, weights, out.name));
        inputs.push_back(add_bias(op, weights));
        break;
      case ir::OpKind::resize_nearest:
      case ir::OpKind::resize_bilinear: inputs.push_back(add_numbers({out.shape[1], out.shape[2]}, "size")); break;
      case ir::OpKind::reshape: inputs.push_back(add_numbers(out.shape, "shape")); break;
      case ir::OpKind::transpose:
      case ir::OpKind::mean: inputs.push_back(add_numbers(op.axes, "axes")); break;
      case ir::OpKind::pad:
        inputs.push_back(add_numbers(op.axes, "amounts", true));
        inputs.push_back(add_fill(op));
        break;
      case ir::OpKind::slice: {
        std::vector<std::int32_t> end;
        for (std::size_t i = 0; i < op.axes.size(); ++i)
          end.push_back(op.axes[i] + (out.shape[i] - 1) * op.steps[i] + 1);
        inputs.push_back(add_numbers(op.axes, "begin"));
        inputs.push_back(add_numbers(end, "end"));
        inputs.push_back(add_numbers(op.steps, "step"));
        break;
      }
      default: break;
    }
  }

  Options add_options(const ir::Op& op) {
    using enum schema::BuiltinOptions;
    const auto activation = activation_of(op.activation);
    const ir::SlidingWindow& w = op.window;
    const auto padding = ir::is_valid(w) ? schema::Padding::VALID : schema::Padding::SAME;
    const auto& out = graph_.graph.tensors[op.output].shape;
    const auto& in = graph_.graph.tensors[op.inputs[0]].shape;
    switch (op.kind) {
      case ir::OpKind::conv:
        return options(Conv2DOptions, schema::CreateConv2DOptions(out_, padding, w.stride_w, w.stride_h, activation,
                                                                  w.dilation_w, w.dilation_h));
      case ir::OpKind::depthwise_conv:
        return options(DepthwiseConv2DOptions, schema::CreateDepthwiseConv2DOptions(
                                                   out_, padding, w.stride_w, w.stride_h, out.back() / in.back(),
                                                   activation, w.dilation_w, w.dilation_h));
      case ir::OpKind::fully_connected:
        return options(FullyConnectedOptions, schema::CreateFullyConnectedOptions(out_, activation, 0, in.size() != 2));
      case ir::OpKind::max_pool:
      case ir::OpKind::average_pool:
        return options(Pool2DOptions,
                       schema::CreatePool2DOptions(out_, padding, w.stride_w, w.stride_h, w.kernel_w, w.kernel_h));
      case ir::OpKind::add: return options(AddOptions, schema::CreateAddOptions(out_, activation));
      case ir::OpKind::sub: return options(SubOptions, schema::CreateSubOptions(out_, activation));
      case ir::OpKind::mul: return options(MulOptions, schema::CreateMulOptions(out_, activation));
      case ir::OpKind::softmax: return options(SoftmaxOptions, schema::CreateSoftmaxOptions(out_, 1.0F));
      case ir::OpKind::concat:
        return options(ConcatenationOptions, schema::CreateConcatenationOptions(out_, op.axes[0]));
      case ir::OpKind::reshape: return options(ReshapeOptions, schema::CreateReshapeOptions(out_, parts_.numbers(out)));
      case ir::OpKind::mean: return options(ReducerOptions, schema::CreateReducerOptions(out_, true));
      case ir::OpKind::slice: return options(StridedSliceOptions, schema::CreateStridedSliceOptions(out_));
      case ir::OpKind::leaky_relu: return options(LeakyReluOptions, schema::CreateLeakyReluOptions(out_, op.alpha));
      case ir::OpKind::resize_nearest:
        return options(ResizeNearestNeighborOptions, schema::CreateResizeNearestNeighborOptions(out_));
      case ir::OpKind::resize_bilinear:
        return options(ResizeBilinearOptions,
                       schema::CreateResizeBilinearOptions(out_, op.align_corners, !op.align_corners));
      default: return {};
    }
  }

  /// An INT8 value that only the file has.
  std::int32_t add_value(const std::vector<std::int32_t>& shape, const std::string& name, const TensorQuantization& q) {
    return parts_.add_tensor(shape, schema::TensorType::INT8, 0, name, parts_.quantization({q.scale}, q.zero_point));
  }

  void add_plain(const OperatorId& id, const std::vector<std::int32_t>& inputs, std::int32_t output,
                 const Options& options = {}) {
    operators_.push_back(schema::CreateOperator(out_, parts_.code_index(id), parts_.numbers(inputs),
                                                parts_.numbers({output}), options.kind, options.table));
  }

  void add_reshape(std::int32_t from, const std::vector<std::int32_t>& shape, std::int32_t to) {
    add_plain(
        kReshape, {from, add_numbers(shape, "shape")}, to,
        options(schema::BuiltinOptions::ReshapeOptions, schema::CreateReshapeOptions(out_, parts_.numbers(shape))));
  }

  /// TFLite has no fully connected layer with four-bit weights and a scale for each channel: a 1x1 convolution between
  /// two reshapes computes the same.
  void add_int4_rows(const ir::Op& op, const QuantizedWeights& weights) {
    const auto& in = graph_.graph.tensors[op.inputs[0]];
    const auto& out = graph_.graph.tensors[op.output];
    const auto rows = static_cast<std::int32_t>(ir::element_count(in.shape)) / in.shape.back();
    const std::vector<std::int32_t> wide{1, rows, 1, in.shape.back()}, narrow{1, rows, 1, out.shape.back()};
    const auto from = add_value(wide, out.name + "/rows", graph_.tensors[op.inputs[0]]);
    const auto to = add_value(narrow, out.name + "/sums", graph_.tensors[op.output]);
    add_reshape(static_cast<std::int32_t>(op.inputs[0]), wide, from);
    ir::Op conv = op;
    conv.kind = ir::OpKind::conv;
    std::vector<std::int32_t> inputs{from};
    add_constants(conv, weights, inputs);
    operators_.push_back(schema::CreateOperator(
        out_, code_index(conv, weights.format), parts_.numbers(inputs), parts_.numbers({to}),
        schema::BuiltinOptions::Conv2DOptions,
        schema::CreateConv2DOptions(out_, schema::Padding::VALID, 1, 1, activation_of(op.activation)).Union()));
    add_reshape(to, out.shape, static_cast<std::int32_t>(op.output));
  }

  /// TFLite joins only what has the output's scale.
  std::vector<std::int32_t> joined_inputs(const ir::Op& op) {
    std::vector<std::int32_t> inputs;
    for (const auto id : op.inputs) {
      const TensorQuantization &from = graph_.tensors[id], &to = graph_.tensors[op.output];
      auto input = static_cast<std::int32_t>(id);
      if (!only_weights_ && (from.scale != to.scale || from.zero_point != to.zero_point)) {
        const auto& tensor = graph_.graph.tensors[id];
        input = add_value(tensor.shape, std::format("{}/for{}", tensor.name, op.output), to);
        add_plain(kQuantize, {static_cast<std::int32_t>(id)}, input);
      }
      inputs.push_back(input);
    }
    return inputs;
  }

  void add_operator(std::size_t index) {
    const ir::Op& op = graph_.graph.ops[index];
    const QuantizedWeights& weights = graph_.weights[index];
    if (op.kind == ir::OpKind::fully_connected && weights.format == WeightFormat::int4)
      return add_int4_rows(op, weights);
    std::vector<std::int32_t> inputs(op.inputs.begin(), op.inputs.end());
    if (op.kind == ir::OpKind::concat) inputs = joined_inputs(op);
    add_constants(op, weights, inputs);
    const Options options = add_options(op);
    operators_.push_back(schema::CreateOperator(out_, code_index(op, weights.format), parts_.numbers(inputs),
                                                parts_.numbers({static_cast<std::int32_t>(op.output)}), options.kind,
                                                options.table));
  }

  const QuantizedGraph& graph_;
  std::optional<WeightFormat> only_weights_;
  tflite::ModelParts parts_;
  flatbuffers::FlatBufferBuilder& out_ = parts_.out();
  std::vector<Offset<schema::Operator>> operators_;
  std::vector<std::int32_t> inputs_, outputs_;
};

}  // namespace

namespace {

base::Result<void> check(const ir::Graph& graph) {
  if (graph.inputs.size() != 1) {
    return base::fail(base::Code::unsupported,
                      std::format("write_tflite: {} inputs; exactly one is supported", graph.inputs.size()));
  }
  for (const auto& op : graph.ops) WAYSIDE_CHECK(check(graph, op));
  return {};
}

}  // namespace

base::Result<std::vector<std::uint8_t>> write_tflite(const QuantizedGraph& graph, const std::string& description) {
  WAYSIDE_CHECK(check(graph.graph));
  return Writer(graph).write(description);
}

base::Result<std::vector<std::uint8_t>> write_weight_only(const ir::Graph& graph, WeightFormat format,
                                                          const std::string& description) {
  WAYSIDE_CHECK(check(graph));
  const auto clip = std::ranges::find(graph.ops, ir::OpKind::clip, &ir::Op::kind);
  if (clip != graph.ops.end())
    return base::fail(
        base::Code::unsupported,
        std::format("write_weight_only: clip \"{}\": only INT8 saturates by itself", graph.tensors[clip->output].name));
  if (format != WeightFormat::int8 && format != WeightFormat::float16)
    return base::fail(base::Code::invalid_argument, "write_weight_only: weights are int8 or float16");
  // Scales of activations do not matter: they are not written.
  WAYSIDE_TRY(const auto integer, quantize(graph, std::vector<TensorQuantization>(graph.tensors.size())));
  return Writer(integer, format).write(description);
}

base::Result<void> save_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes) {
  std::filesystem::path temporary = path;
  temporary += ".part";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file)
    return base::fail(base::Code::io,
                      std::format("write {}: failed; is the folder there and writable?", temporary.string()));
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) return base::fail(base::Code::io, std::format("rename to {}: {}", path.string(), error.message()));
  return {};
}

}  // namespace wayside::optimizer
