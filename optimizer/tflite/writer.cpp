// SPDX-License-Identifier: Apache-2.0
// The flatbuffer is put together with the engine's own subset of the TFLite schema.
#include "optimizer/tflite/writer.h"

#include <flatbuffers/flatbuffers.h>
#include <tflite_generated.h>

#include <algorithm>
#include <cmath>
#include <format>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "optimizer/quantize/minmax.h"

namespace wayside::optimizer {
namespace {

namespace schema = accel::cpu::schema;
using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

/// Numbers of the operators and the versions that introduced their int8 forms.
/// Source: tensorflow/lite/schema/schema.fbs (BuiltinOperator) and tensorflow/lite/tools/versioning/op_version.cc.
struct OperatorId {
  int code = 0;
  int version = 1;
  auto operator<=>(const OperatorId&) const = default;
};
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
    case ir::OpKind::reshape: return OperatorId{22, 1};
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
    case ir::OpKind::clip: return OperatorId{114, 2};  // QUANTIZE: what the output's range cannot hold saturates
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

/// Collects buffers and tensors while the operators are walked.
class Writer {
 public:
  /// `only_weights`: activations, biases and constants stay float; int8: `graph` has those weights, float16: rounded
  /// here.
  explicit Writer(const QuantizedGraph& graph, std::optional<WeightFormat> only_weights = {})
      : graph_(graph), only_weights_(only_weights) {}

  std::vector<std::uint8_t> write(const std::string& description) {
    buffers_.push_back(schema::CreateBuffer(out_));  // buffer 0 is empty by convention: "computed at run time"
    for (std::size_t i = 0; i < graph_.tensors.size(); ++i) add_tensor_of_graph(i);
    for (std::size_t i = 0; i < graph_.graph.ops.size(); ++i) add_operator(i);
    for (const auto id : graph_.graph.inputs) inputs_.push_back(static_cast<std::int32_t>(id));
    for (const auto id : graph_.graph.outputs) outputs_.push_back(static_cast<std::int32_t>(id));
    const auto subgraph = schema::CreateSubGraphDirect(out_, &tensors_, &inputs_, &outputs_, &operators_, "main");
    const std::vector<Offset<schema::SubGraph>> subgraphs{subgraph};
    constexpr unsigned kSchemaVersion = 3;
    const auto model =
        schema::CreateModelDirect(out_, kSchemaVersion, &codes_, &subgraphs, description.c_str(), &buffers_);
    schema::FinishModelBuffer(out_, model);
    return {out_.GetBufferPointer(), out_.GetBufferPointer() + out_.GetSize()};
  }

 private:
  /// A tensor of the graph keeps its number.
  void add_tensor_of_graph(std::size_t id) {
    const auto& tensor = graph_.graph.tensors[id];
    if (only_weights_) {
      const auto values = tensor.constant.empty() ? 0 : add_floats(tensor.constant);
      add_tensor(tensor.shape, schema::TensorType::FLOAT32, values, tensor.name, 0);
      return;
    }
    const TensorQuantization& q = graph_.tensors[id];
    const std::vector<float> scale{q.scale};
    const std::vector<std::int64_t> zero{q.zero_point};
    std::uint32_t buffer = 0;
    if (!tensor.constant.empty()) {
      std::vector<std::int8_t> values;
      for (const float value : tensor.constant) values.push_back(rounded(value, q));
      buffer = add_buffer(values.data(), values.size());
    }
    const auto quantization = schema::CreateQuantizationParametersDirect(out_, nullptr, nullptr, &scale, &zero);
    add_tensor(tensor.shape, schema::TensorType::INT8, buffer, tensor.name, quantization);
  }

  int add_tensor(const std::vector<std::int32_t>& shape, schema::TensorType type, std::uint32_t buffer,
                 const std::string& name, Offset<schema::QuantizationParameters> quantization) {
    tensors_.push_back(schema::CreateTensorDirect(out_, &shape, type, buffer, name.c_str(), quantization));
    return static_cast<int>(tensors_.size()) - 1;
  }

  std::uint32_t add_buffer(const void* data, std::size_t size_bytes) {
    out_.ForceVectorAlignment(size_bytes, 1, 16);
    const auto bytes = out_.CreateVector(static_cast<const std::uint8_t*>(data), size_bytes);
    buffers_.push_back(schema::CreateBuffer(out_, bytes));
    return static_cast<std::uint32_t>(buffers_.size() - 1);
  }

  std::uint32_t add_floats(const std::vector<float>& values) {
    return add_buffer(values.data(), values.size() * sizeof(float));
  }

  /// A DEQUANTIZE that gives the layer floats: hybrid kernels take no scales per channel everywhere.
  int add_dequantized(int stored, const std::vector<std::int32_t>& shape, const std::string& name) {
    const std::vector<std::int32_t> from{stored};
    const std::vector<std::int32_t> real{add_tensor(shape, schema::TensorType::FLOAT32, 0, name, 0)};
    constexpr OperatorId kDequantize{6, 3};
    operators_.push_back(schema::CreateOperatorDirect(out_, code_index(kDequantize), &from, &real));
    return real[0];
  }

  int add_half_weight(const ir::Op& op, const std::vector<std::int32_t>& shape, const std::string& name) {
    static_assert(sizeof(_Float16) == 2);
    std::vector<_Float16> halves;
    for (const float weight : op.weight) halves.push_back(static_cast<_Float16>(weight));
    const auto buffer = add_buffer(halves.data(), halves.size() * sizeof(_Float16));
    return add_dequantized(add_tensor(shape, schema::TensorType::FLOAT16, buffer, name + "/half", 0), shape, name);
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
    if (only_weights_ == WeightFormat::float16) return add_half_weight(op, shape, name + "/weight");
    const std::vector<std::int64_t> zeros(weights.scale.size(), 0);
    const auto quantization = schema::CreateQuantizationParametersDirect(out_, nullptr, nullptr, &weights.scale, &zeros,
                                                                         0, depthwise ? 3 : 0);
    if (weights.format == WeightFormat::int4) {
      const auto packed = packed_int4(weights.weight);
      return add_tensor(shape, schema::TensorType::INT4, add_buffer(packed.data(), packed.size()), name + "/weight",
                        quantization);
    }
    const auto buffer = add_buffer(weights.weight.data(), weights.weight.size());
    const std::string full = name + "/weight";
    if (!only_weights_) return add_tensor(shape, schema::TensorType::INT8, buffer, full, quantization);
    return add_dequantized(add_tensor(shape, schema::TensorType::INT8, buffer, full + "/int8", quantization), shape,
                           full);
  }

  int add_bias(const ir::Op& op, const QuantizedWeights& weights, const std::string& name) {
    if (only_weights_)
      return add_tensor({static_cast<std::int32_t>(op.bias.size())}, schema::TensorType::FLOAT32, add_floats(op.bias),
                        name + "/bias", 0);
    const float input_scale = graph_.tensors[op.inputs[0]].scale;
    std::vector<float> scale = weights.scale;
    for (float& s : scale) s *= input_scale;
    const std::vector<std::int64_t> zeros(scale.size(), 0);
    const auto quantization = schema::CreateQuantizationParametersDirect(out_, nullptr, nullptr, &scale, &zeros);
    const auto buffer = add_buffer(weights.bias.data(), weights.bias.size() * sizeof(std::int32_t));
    return add_tensor({static_cast<std::int32_t>(scale.size())}, schema::TensorType::INT32, buffer, name + "/bias",
                      quantization);
  }

  /// A constant list of whole numbers; of shape [n/2,2] where `pairs`.
  int add_numbers(const std::vector<std::int32_t>& values, const std::string& name, bool pairs = false) {
    const auto count = static_cast<std::int32_t>(values.size());
    const auto buffer = add_buffer(values.data(), values.size() * sizeof(std::int32_t));
    const auto shape = pairs ? std::vector<std::int32_t>{count / 2, 2} : std::vector<std::int32_t>{count};
    return add_tensor(shape, schema::TensorType::INT32, buffer, name, 0);
  }

  /// The value that a pad puts in, in the scale of what is padded.
  int add_fill(const ir::Op& op, const std::string& name) {
    if (only_weights_) return add_tensor({1}, schema::TensorType::FLOAT32, add_floats({op.alpha}), name + "/fill", 0);
    const TensorQuantization& q = graph_.tensors[op.output];
    const std::int8_t value = rounded(op.alpha, q);
    const std::vector<float> scale{q.scale};
    const std::vector<std::int64_t> zero{q.zero_point};
    const auto quantization = schema::CreateQuantizationParametersDirect(out_, nullptr, nullptr, &scale, &zero);
    return add_tensor({1}, schema::TensorType::INT8, add_buffer(&value, 1), name + "/fill", quantization);
  }

  std::uint32_t code_index(const OperatorId& id) {
    const auto [entry, fresh] = code_of_.try_emplace(id, static_cast<std::uint32_t>(codes_.size()));
    if (fresh) {
      codes_.push_back(schema::CreateOperatorCode(out_, static_cast<std::int8_t>(id.code), 0, id.version, id.code));
    }
    return entry->second;
  }
  std::uint32_t code_index(const ir::Op& op, WeightFormat format) {
    OperatorId id = *operator_id(op);
    constexpr int kInt4Version = 7;  // of all three operators with weights
    if (format == WeightFormat::int4) id.version = kInt4Version;
    return code_index(id);
  }

  /// Constants that follow an operator's inputs.
  void add_constants(const ir::Op& op, const QuantizedWeights& weights, std::vector<std::int32_t>& inputs) {
    const auto& out = graph_.graph.tensors[op.output];
    const std::string& name = out.name;
    switch (op.kind) {
      case ir::OpKind::conv:
      case ir::OpKind::depthwise_conv:
      case ir::OpKind::fully_connected:
        inputs.push_back(add_weight(op, weights, name));
        inputs.push_back(add_bias(op, weights, name));
        break;
      case ir::OpKind::resize_nearest:
      case ir::OpKind::resize_bilinear:
        inputs.push_back(add_numbers({out.shape[1], out.shape[2]}, name + "/size"));
        break;
      case ir::OpKind::reshape: inputs.push_back(add_numbers(out.shape, name + "/shape")); break;
      case ir::OpKind::transpose:
      case ir::OpKind::mean: inputs.push_back(add_numbers(op.axes, name + "/axes")); break;
      case ir::OpKind::pad:
        inputs.push_back(add_numbers(op.axes, name + "/amounts", true));
        inputs.push_back(add_fill(op, name));
        break;
      case ir::OpKind::slice: {
        std::vector<std::int32_t> end;
        for (std::size_t i = 0; i < op.axes.size(); ++i)
          end.push_back(op.axes[i] + (out.shape[i] - 1) * op.steps[i] + 1);
        inputs.push_back(add_numbers(op.axes, name + "/begin"));
        inputs.push_back(add_numbers(end, name + "/end"));
        inputs.push_back(add_numbers(op.steps, name + "/step"));
        break;
      }
      default: break;
    }
  }

  struct Options {
    schema::BuiltinOptions kind = schema::BuiltinOptions::NONE;
    Offset<void> table = 0;
  };
  template <class Table>
  static Options options(schema::BuiltinOptions kind, Offset<Table> table) {
    return {kind, table.Union()};
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
      case ir::OpKind::reshape: return options(ReshapeOptions, schema::CreateReshapeOptionsDirect(out_, &out));
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

  void add_operator(std::size_t index) {
    const ir::Op& op = graph_.graph.ops[index];
    std::vector<std::int32_t> inputs;
    for (const auto id : op.inputs) inputs.push_back(static_cast<std::int32_t>(id));
    add_constants(op, graph_.weights[index], inputs);
    const Options options = add_options(op);
    const std::vector<std::int32_t> outputs{static_cast<std::int32_t>(op.output)};
    operators_.push_back(schema::CreateOperatorDirect(out_, code_index(op, graph_.weights[index].format), &inputs,
                                                      &outputs, options.kind, options.table));
  }

  const QuantizedGraph& graph_;
  std::optional<WeightFormat> only_weights_;
  FlatBufferBuilder out_;
  std::vector<Offset<schema::Buffer>> buffers_;
  std::vector<Offset<schema::Tensor>> tensors_;
  std::vector<Offset<schema::Operator>> operators_;
  std::vector<Offset<schema::OperatorCode>> codes_;
  std::map<OperatorId, std::uint32_t> code_of_;
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
