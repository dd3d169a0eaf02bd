// SPDX-License-Identifier: Apache-2.0
// Golden cases of the operators that multiply by weights.
#include <algorithm>
#include <cmath>
#include <format>
#include <string>
#include <utility>

#include "tests/conformance/generator/cases.h"
#include "tests/conformance/generator/model_builder.h"

namespace wayside::conformance {

namespace {

using tflite::ActivationFunctionType;
using tflite::TensorType;

/// One convolution-like layer. out_c is the filter count; for depthwise layers in_c * multiplier.
struct Layer {
  std::int32_t batch = 1, in_h = 7, in_w = 9, in_c = 8, out_c = 8;
  std::int32_t kernel_h = 3, kernel_w = 3, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  tflite::Padding padding = tflite::Padding_SAME;
  ActivationFunctionType activation = tflite::ActivationFunctionType_NONE;
  bool bias = true;
  double gain = 1;                  ///< more: outputs saturate
  std::int32_t weight_limit = 127;  ///< weights are at most so far from zero; 1 gives multipliers above 1
  bool int4 = false;                ///< weights of 4 bits
  bool bias_scales = true;
};

constexpr double kByteDeviation = 74;    ///< standard deviation of uniform 8-bit values
constexpr double kOutputDeviation = 55;  ///< wanted in output steps: about 2 % of the outputs saturate
constexpr TensorType kTypes[] = {tflite::TensorType_INT8, tflite::TensorType_UINT8};

std::string describe(const char* kind, TensorType type, const Layer& layer) {
  auto name =
      std::format("{} {} {}x{}x{}x{}->{} k{}x{} s{}x{}", kind, type_name(type), layer.batch, layer.in_h, layer.in_w,
                  layer.in_c, layer.out_c, layer.kernel_h, layer.kernel_w, layer.stride_h, layer.stride_w);
  if (layer.dilation_h != 1 || layer.dilation_w != 1) {
    name += std::format(" d{}x{}", layer.dilation_h, layer.dilation_w);
  }
  name += layer.padding == tflite::Padding_SAME ? " same" : " valid";
  if (layer.activation != tflite::ActivationFunctionType_NONE) {
    name += std::string(" ") + tflite::EnumNameActivationFunctionType(layer.activation);
  }
  if (!layer.bias) name += " no-bias";
  if (layer.weight_limit != 127) name += std::format(" weights+-{}", layer.weight_limit);
  if (layer.int4) name += " int4";
  if (!layer.bias_scales) name += " bias-without-scales";
  if (layer.gain != 1) name += std::format(" gain{}", layer.gain);
  return name;
}

/// Quantisation of the weights and of the output such that the outputs fill their range.
struct Scales {
  Quant input, weights, output;
};

/// What make_scales needs to know of a layer.
struct Sum {
  double terms = 1;  ///< products per output
  double gain = 1;
  std::int32_t weight_limit = 127;
  [[nodiscard]] double weight_deviation() const { return weight_limit / std::sqrt(3.0); }
};

Scales make_scales(Random& random, TensorType type, std::int32_t channels, std::int32_t axis, const Sum& sum) {
  const double input = random.real(0.004, 0.05);
  const double output = random.real(0.02, 0.06);
  const auto input_zero = random.between(0, 3) == 0 ? random.between(lowest(type), highest(type))
                                                    : random.between(lowest(type) + 90, highest(type) - 90);
  const auto middle = lowest(type) + 128;
  const auto input_mean = static_cast<double>(middle - input_zero);
  const double deviation =
      std::sqrt(sum.terms * (kByteDeviation * kByteDeviation + input_mean * input_mean)) * sum.weight_deviation();
  const double weights = sum.gain * output * kOutputDeviation / (input * deviation);
  Scales scales;
  scales.input = quant(input, input_zero);
  scales.output = quant(output, random.between(lowest(type) + 80, highest(type) - 80));
  if (type == tflite::TensorType_UINT8) {
    scales.weights = quant(weights, random.between(124, 132));
    return scales;
  }
  scales.weights.axis = axis;
  for (std::int32_t i = 0; i < channels; ++i) {
    scales.weights.scales.push_back(static_cast<float>(weights * random.real(0.3, 1.7)));
    scales.weights.zero_points.push_back(0);
  }
  return scales;
}

std::int32_t add_weights(ModelBuilder& model, Random& random, TensorType type, const Shape& shape, const Quant& weights,
                         const Sum& sum) {
  const auto zero = type == tflite::TensorType_UINT8 ? weights.zero_points[0] : 0;
  const auto low = std::max(zero - sum.weight_limit, type == tflite::TensorType_UINT8 ? 0L : -127L);
  const auto high = std::min(zero + sum.weight_limit, highest(type));
  return model.constant(type, shape, random_bytes(random, element_count(shape), low, high), weights);
}

/// i8 channels, weights -8..7 packed in pairs, the first in the lower half.
std::int32_t add_int4_weights(ModelBuilder& model, Random& random, const Shape& shape, const Quant& weights) {
  const auto values = random_bytes(random, element_count(shape), -8, 7);
  std::vector<std::uint8_t> packed((values.size() + 1) / 2, 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    packed[i / 2] |= static_cast<std::uint8_t>((values[i] & 15) << (i % 2 * 4));
  }
  return model.constant(tflite::TensorType_INT4, shape, packed, weights);
}

std::int32_t add_bias(ModelBuilder& model, Random& random, std::int32_t channels, const Sum& sum, const Scales& scales,
                      bool state_scales = true) {
  Quant bias;
  for (const auto scale : state_scales ? scales.weights.scales : std::vector<float>()) {
    bias.scales.push_back(scales.input.scales[0] * scale);
    bias.zero_points.push_back(0);
  }
  const auto limit = static_cast<std::int64_t>(std::sqrt(sum.terms) * kByteDeviation * sum.weight_deviation());
  std::vector<std::int32_t> values;
  for (std::int32_t i = 0; i < channels; ++i)
    values.push_back(static_cast<std::int32_t>(random.between(-limit, limit)));
  return model.constant_i32({channels}, values, bias);
}

std::int32_t windows(std::int32_t in, std::int32_t kernel, std::int32_t stride, std::int32_t dilation,
                     tflite::Padding padding) {
  if (padding == tflite::Padding_SAME) return (in + stride - 1) / stride;
  return (in - (kernel - 1) * dilation - 1 + stride) / stride;
}

template <class Options>
void set_window(Options& options, const Layer& layer) {
  options.padding = layer.padding;
  options.stride_h = layer.stride_h;
  options.stride_w = layer.stride_w;
  options.dilation_h_factor = layer.dilation_h;
  options.dilation_w_factor = layer.dilation_w;
  options.fused_activation_function = layer.activation;
}

void add_convolution(Suite& suite, TensorType type, bool depthwise, const Layer& layer, std::uint64_t seed) {
  Random random(seed);
  const Sum sum = {static_cast<double>(layer.kernel_h * layer.kernel_w * (depthwise ? 1 : layer.in_c)), layer.gain,
                   layer.weight_limit};
  const auto scales = make_scales(random, type, layer.out_c, depthwise ? 3 : 0, sum);
  ModelBuilder model;
  const auto in = model.input(type, {layer.batch, layer.in_h, layer.in_w, layer.in_c}, scales.input);
  const Shape shape = depthwise ? Shape{1, layer.kernel_h, layer.kernel_w, layer.out_c}
                                : Shape{layer.out_c, layer.kernel_h, layer.kernel_w, layer.in_c};
  const auto weights = layer.int4 ? add_int4_weights(model, random, shape, scales.weights)
                                  : add_weights(model, random, type, shape, scales.weights, sum);
  std::vector<std::int32_t> inputs = {in, weights};
  if (layer.bias) inputs.push_back(add_bias(model, random, layer.out_c, sum, scales, layer.bias_scales));
  const auto out_h = windows(layer.in_h, layer.kernel_h, layer.stride_h, layer.dilation_h, layer.padding);
  const auto out_w = windows(layer.in_w, layer.kernel_w, layer.stride_w, layer.dilation_w, layer.padding);
  const auto out = model.activation(type, {layer.batch, out_h, out_w, layer.out_c}, scales.output);
  if (depthwise) {
    tflite::DepthwiseConv2DOptionsT options;
    set_window(options, layer);
    options.depth_multiplier = layer.out_c / layer.in_c;
    model.op(tflite::BuiltinOperator_DEPTHWISE_CONV_2D, inputs, {out}, options);
  } else {
    tflite::Conv2DOptionsT options;
    set_window(options, layer);
    model.op(tflite::BuiltinOperator_CONV_2D, inputs, {out}, options);
  }
  const char* file = depthwise ? "depthwise_conv_2d" : "conv_2d";
  suite.add(layer.int4 ? "int4_weights" : file, describe(depthwise ? "dw" : "conv", type, layer), seed,
            model.finish({out}));
}

constexpr auto kValid = tflite::Padding_VALID;
constexpr auto kRelu = tflite::ActivationFunctionType_RELU;
constexpr auto kRelu6 = tflite::ActivationFunctionType_RELU6;
constexpr auto kRelu1 = tflite::ActivationFunctionType_RELU_N1_TO_1;

const std::vector<Layer>& conv_layers() {
  static const std::vector<Layer> layers = {
      {},
      {.in_c = 1, .out_c = 1},
      {.in_c = 3, .out_c = 5, .activation = kRelu6},
      {.in_c = 5, .out_c = 7, .padding = kValid, .activation = kRelu},
      {.in_c = 7, .out_c = 3, .stride_h = 2, .stride_w = 2},
      {.in_c = 17, .out_c = 33, .kernel_h = 1, .kernel_w = 1},
      {.in_c = 33, .out_c = 17, .kernel_h = 1, .kernel_w = 1, .activation = kRelu6},
      {.in_c = 64, .out_c = 64, .kernel_h = 1, .kernel_w = 1},
      {.in_h = 5, .in_w = 5, .in_c = 33, .out_c = 40, .stride_h = 2, .stride_w = 2, .activation = kRelu},
      {.in_h = 4, .in_w = 4, .in_c = 130, .out_c = 9, .kernel_h = 1, .kernel_w = 1},
      {.in_h = 1, .in_w = 1, .in_c = 257, .out_c = 19, .kernel_h = 1, .kernel_w = 1},
      {.in_h = 13, .in_w = 11, .in_c = 3, .out_c = 16, .stride_h = 2, .stride_w = 2, .activation = kRelu6},
      {.in_h = 12, .in_w = 12, .in_c = 3, .out_c = 8, .stride_h = 2, .stride_w = 2, .activation = kRelu6},
      {.in_h = 13, .in_w = 10, .in_c = 4, .out_c = 6, .kernel_h = 5, .kernel_w = 5, .stride_h = 3, .stride_w = 2},
      {.in_h = 9, .in_w = 9, .in_c = 6, .out_c = 6, .kernel_h = 7, .kernel_w = 7, .stride_h = 2, .stride_w = 2},
      {.in_h = 6, .in_w = 15, .in_c = 5, .out_c = 9, .kernel_h = 1, .kernel_w = 5},
      {.in_h = 15, .in_w = 6, .in_c = 5, .out_c = 9, .kernel_h = 5, .kernel_w = 1, .padding = kValid},
      {.in_h = 11, .in_w = 11, .in_c = 8, .out_c = 8, .dilation_h = 2, .dilation_w = 2},
      {.in_h = 11, .in_w = 13, .in_c = 5, .out_c = 7, .dilation_h = 2, .dilation_w = 3, .padding = kValid},
      {.in_h = 6, .in_w = 6, .in_c = 3, .out_c = 4, .dilation_h = 4, .dilation_w = 4},
      {.batch = 2, .in_h = 5, .in_w = 6, .in_c = 7, .out_c = 9, .activation = kRelu1},
      {.batch = 3, .in_h = 3, .in_w = 3, .in_c = 16, .out_c = 16, .kernel_h = 1, .kernel_w = 1},
      {.in_h = 8, .in_w = 8, .in_c = 16, .out_c = 12, .kernel_h = 1, .kernel_w = 1, .stride_h = 2, .stride_w = 2},
      {.in_h = 9, .in_w = 9, .in_c = 12, .out_c = 5, .kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2},
      {.in_h = 4, .in_w = 4, .in_c = 24, .out_c = 10, .kernel_h = 4, .kernel_w = 4, .padding = kValid},
      {.in_c = 2, .out_c = 4, .kernel_h = 1, .kernel_w = 1, .gain = 2, .weight_limit = 1},
      {.in_c = 8, .out_c = 8, .gain = 4},
      {.in_c = 8, .out_c = 8, .gain = 0.1},
      {.in_h = 3, .in_w = 70, .in_c = 15, .out_c = 15, .kernel_h = 1, .kernel_w = 1},
      {.in_h = 2, .in_w = 2, .in_c = 8, .out_c = 8, .kernel_h = 5, .kernel_w = 5},
      {.in_h = 10, .in_w = 10, .in_c = 1, .out_c = 24, .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2},
  };
  return layers;
}

const std::vector<Layer>& depthwise_layers() {
  static const std::vector<Layer> layers = {
      {},
      {.in_c = 1, .out_c = 1},
      {.in_c = 3, .out_c = 3, .activation = kRelu6},
      {.in_c = 5, .out_c = 5, .padding = kValid, .activation = kRelu},
      {.in_c = 7, .out_c = 7, .stride_h = 2, .stride_w = 2},
      {.in_c = 17, .out_c = 17, .activation = kRelu6},
      {.in_c = 33, .out_c = 33, .stride_h = 2, .stride_w = 2, .activation = kRelu6},
      {.in_c = 64, .out_c = 64},
      {.in_h = 5, .in_w = 5, .in_c = 72, .out_c = 72, .padding = kValid},
      {.in_h = 8, .in_w = 8, .in_c = 16, .out_c = 16, .stride_h = 2, .stride_w = 2},
      {.in_h = 9, .in_w = 10, .in_c = 20, .out_c = 20, .kernel_h = 5, .kernel_w = 5},
      {.in_h = 9, .in_w = 10, .in_c = 20, .out_c = 20, .kernel_h = 5, .kernel_w = 5, .stride_h = 2, .stride_w = 2},
      {.in_h = 12, .in_w = 9, .in_c = 9, .out_c = 9, .kernel_h = 7, .kernel_w = 3, .stride_h = 1, .stride_w = 3},
      {.in_h = 11, .in_w = 11, .in_c = 8, .out_c = 8, .dilation_h = 2, .dilation_w = 2},
      {.in_h = 11, .in_w = 13, .in_c = 19, .out_c = 19, .dilation_h = 3, .dilation_w = 2, .padding = kValid},
      {.in_c = 1, .out_c = 8, .stride_h = 2, .stride_w = 2, .activation = kRelu6},
      {.in_c = 3, .out_c = 6},
      {.in_c = 4, .out_c = 12, .activation = kRelu1},
      {.in_h = 6, .in_w = 6, .in_c = 17, .out_c = 34},
      {.batch = 2, .in_h = 5, .in_w = 6, .in_c = 10, .out_c = 10},
      {.in_h = 3, .in_w = 3, .in_c = 48, .out_c = 48, .padding = kValid},
      {.in_h = 1, .in_w = 1, .in_c = 31, .out_c = 31},
      {.in_h = 2, .in_w = 2, .in_c = 24, .out_c = 24},
      {.in_h = 6, .in_w = 5, .in_c = 16, .out_c = 16, .kernel_h = 1, .kernel_w = 1},
      {.in_c = 16, .out_c = 16, .bias = false},
      {.in_c = 16, .out_c = 16, .gain = 2, .weight_limit = 1},
      {.in_c = 16, .out_c = 16, .gain = 0.1},
      {.in_h = 4, .in_w = 40, .in_c = 15, .out_c = 15},
  };
  return layers;
}

/// `rows` inputs of `depth` values to `units` outputs.
struct Dense {
  Shape in;
  std::int32_t depth = 16, units = 10;
  ActivationFunctionType activation = tflite::ActivationFunctionType_NONE;
  bool bias = true, keep_dims = false, per_channel = false, int4 = false;
};

void add_dense(Suite& suite, TensorType type, const Dense& dense, std::uint64_t seed) {
  Random random(seed);
  const Sum sum = {.terms = static_cast<double>(dense.depth), .weight_limit = dense.int4 ? 7 : 127};
  const auto scales = make_scales(random, type, dense.per_channel ? dense.units : 1, 0, sum);
  ModelBuilder model;
  const auto in = model.input(type, dense.in, scales.input);
  const Shape weight_shape = {dense.units, dense.depth};
  const auto weights = dense.int4 ? add_int4_weights(model, random, weight_shape, scales.weights)
                                  : add_weights(model, random, type, weight_shape, scales.weights, sum);
  std::vector<std::int32_t> inputs = {in, weights};
  inputs.push_back(dense.bias ? add_bias(model, random, dense.units, sum, scales) : -1);
  Shape shape = {static_cast<std::int32_t>(element_count(dense.in) / dense.depth), dense.units};
  if (dense.keep_dims) {
    shape = dense.in;
    shape.back() = dense.units;
  }
  const auto out = model.activation(type, shape, scales.output);
  tflite::FullyConnectedOptionsT options;
  options.fused_activation_function = dense.activation;
  options.keep_num_dims = dense.keep_dims;
  model.op(tflite::BuiltinOperator_FULLY_CONNECTED, inputs, {out}, options);
  suite.add(
      dense.int4 ? "int4_weights" : "fully_connected",
      std::format("fc {} {} rows depth {} units {} act {}{}{}{}", type_name(type),
                  element_count(dense.in) / dense.depth, dense.depth, dense.units, static_cast<int>(dense.activation),
                  dense.bias ? "" : " no-bias", dense.keep_dims ? " keep-dims" : "",
                  dense.per_channel ? " per-channel"
                  : dense.int4      ? " int4"
                                    : ""),
      seed, model.finish({out}));
}

void add_transpose_convolution(Suite& suite, TensorType type, const Layer& layer, std::uint64_t seed) {
  Random random(seed);
  const Sum sum = {.terms = layer.in_c * layer.kernel_h * layer.kernel_w /
                            static_cast<double>(layer.stride_h * layer.stride_w)};
  const auto scales = make_scales(random, type, layer.out_c, 0, sum);
  ModelBuilder model;
  const auto in = model.input(type, {layer.batch, layer.in_h, layer.in_w, layer.in_c}, scales.input);
  const bool same = layer.padding == tflite::Padding_SAME;
  const auto extent = [same](std::int32_t in, std::int32_t kernel, std::int32_t stride) {
    return same ? in * stride : (in - 1) * stride + kernel;
  };
  const Shape out_shape = {layer.batch, extent(layer.in_h, layer.kernel_h, layer.stride_h),
                           extent(layer.in_w, layer.kernel_w, layer.stride_w), layer.out_c};
  const auto shape = model.constant_i32({4}, out_shape);
  const auto weights =
      add_weights(model, random, type, {layer.out_c, layer.kernel_h, layer.kernel_w, layer.in_c}, scales.weights, sum);
  std::vector<std::int32_t> inputs = {shape, weights, in};
  if (layer.bias) inputs.push_back(add_bias(model, random, layer.out_c, sum, scales));
  const auto out = model.activation(type, out_shape, scales.output);
  tflite::TransposeConvOptionsT options;
  options.padding = layer.padding;
  options.stride_h = layer.stride_h;
  options.stride_w = layer.stride_w;
  options.fused_activation_function = layer.activation;
  model.op(tflite::BuiltinOperator_TRANSPOSE_CONV, inputs, {out}, options);
  suite.add("transpose_conv", describe("deconv", type, layer), seed, model.finish({out}));
}

/// Layers with sizes drawn from the seed, to reach what the lists do not name.
Layer random_layer(std::uint64_t seed, bool depthwise) {
  Random random(seed);
  Layer layer;
  layer.in_h = static_cast<std::int32_t>(random.between(1, 14));
  layer.in_w = static_cast<std::int32_t>(random.between(1, 18));
  layer.in_c = static_cast<std::int32_t>(random.between(1, depthwise ? 50 : 24));
  layer.out_c = depthwise ? layer.in_c : static_cast<std::int32_t>(random.between(1, 36));
  layer.kernel_h = static_cast<std::int32_t>(random.between(1, 4));
  layer.kernel_w = static_cast<std::int32_t>(random.between(1, 4));
  layer.stride_h = static_cast<std::int32_t>(random.between(1, 2));
  layer.stride_w = static_cast<std::int32_t>(random.between(1, 3));
  layer.padding = random.between(0, 1) == 1 && layer.in_h >= 4 && layer.in_w >= 4 ? kValid : tflite::Padding_SAME;
  layer.activation = random.between(0, 2) == 0 ? kRelu6 : tflite::ActivationFunctionType_NONE;
  return layer;
}

/// Weights of 4 bits: odd and even counts, so that the last half byte is used and unused.
void add_int4(Suite& suite) {
  std::uint64_t seed = 9000;
  const std::vector<Layer> layers = {
      {.in_c = 3, .out_c = 5, .activation = kRelu6, .weight_limit = 7, .int4 = true},
      {.in_c = 16, .out_c = 24, .kernel_h = 1, .kernel_w = 1, .weight_limit = 7, .int4 = true},
      {.in_c = 33, .out_c = 17, .kernel_h = 1, .kernel_w = 1, .weight_limit = 7, .int4 = true},
      {.batch = 2, .in_c = 7, .out_c = 9, .stride_h = 2, .stride_w = 2, .weight_limit = 7, .int4 = true},
      {.in_c = 8, .out_c = 8, .padding = kValid, .weight_limit = 7, .int4 = true},
  };
  for (const auto& layer : layers) add_convolution(suite, tflite::TensorType_INT8, false, layer, seed++);
  for (const std::int32_t channels : {1, 3, 16, 33}) {
    Layer layer{.in_c = channels, .out_c = channels, .weight_limit = 7, .int4 = true};
    add_convolution(suite, tflite::TensorType_INT8, true, layer, seed++);
    layer.stride_h = layer.stride_w = 2;
    add_convolution(suite, tflite::TensorType_INT8, true, layer, seed++);
  }
  add_dense(suite, tflite::TensorType_INT8, {.in = {4, 33}, .depth = 33, .units = 5, .int4 = true}, seed++);
  add_dense(suite, tflite::TensorType_INT8,
            {.in = {3, 24}, .depth = 24, .units = 10, .activation = kRelu6, .int4 = true}, seed++);
  // As the optimiser writes them: the bias's scales follow from the input's and the weights'.
  for (const bool depthwise : {false, true}) {
    const Layer layer{.in_c = 9, .out_c = 9, .weight_limit = 7, .int4 = true, .bias_scales = false};
    add_convolution(suite, tflite::TensorType_INT8, depthwise, layer, seed++);
  }
  add_dense(suite, tflite::TensorType_INT8, {.in = {3, 24}, .depth = 24, .units = 1, .int4 = true}, seed);
}

}  // namespace

void add_convolutions(Suite& suite) {
  constexpr int kRandomLayers = 16;
  std::uint64_t seed = 1000;
  for (const auto type : kTypes) {
    for (const auto& layer : conv_layers()) add_convolution(suite, type, false, layer, seed++);
    for (const auto& layer : depthwise_layers()) add_convolution(suite, type, true, layer, seed++);
    for (int i = 0; i < kRandomLayers; ++i) {
      add_convolution(suite, type, false, random_layer(seed, false), seed);
      ++seed;
      add_convolution(suite, type, true, random_layer(seed, true), seed);
      ++seed;
    }
    for (const auto depth : {1, 3, 7, 16, 33, 130}) {
      for (const auto units : {1, 2, 5, 17, 33}) {
        const auto activation = units == 5 ? kRelu6 : tflite::ActivationFunctionType_NONE;
        add_dense(suite, type, {{4, depth}, depth, units, activation, units != 17}, seed++);
      }
    }
    add_dense(suite, type, {{5, 40}, 40, 12, kRelu}, seed++);
    add_dense(suite, type, {{1, 3, 3, 10}, 90, 9}, seed++);
    add_dense(suite, type, {{2, 3, 16}, 16, 8, kRelu1, true, true}, seed++);
    add_dense(suite, type, {{3, 24}, 24, 10, kRelu6, true, false, true}, seed++);
    const std::vector<Layer> transposed = {
        {.in_h = 4, .in_w = 5, .in_c = 8, .out_c = 6, .stride_h = 2, .stride_w = 2},
        {.in_h = 3, .in_w = 3, .in_c = 5, .out_c = 7, .kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2},
        {.in_h = 4, .in_w = 3, .in_c = 3, .out_c = 1, .stride_h = 2, .stride_w = 1, .padding = kValid},
        {.in_h = 4, .in_w = 4, .in_c = 17, .out_c = 9, .kernel_h = 4, .kernel_w = 4, .stride_h = 2, .stride_w = 2},
        {.in_h = 3, .in_w = 4, .in_c = 6, .out_c = 5, .bias = false},
        {.batch = 2, .in_h = 3, .in_w = 2, .in_c = 4, .out_c = 4, .stride_h = 3, .stride_w = 3, .padding = kValid},
        {.in_h = 4, .in_w = 5, .in_c = 8, .out_c = 6, .stride_h = 2, .stride_w = 2, .activation = kRelu6},
    };
    for (const auto& layer : transposed) add_transpose_convolution(suite, type, layer, seed++);
  }
  add_int4(suite);
}

}  // namespace wayside::conformance
