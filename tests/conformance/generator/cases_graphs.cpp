// SPDX-License-Identifier: Apache-2.0
// Golden cases of small graphs as real models have them: what one operator leaves is what the next one takes.
#include <cmath>
#include <string>

#include "tests/conformance/generator/cases.h"
#include "tests/conformance/generator/model_builder.h"

namespace wayside::conformance {

namespace {

using tflite::ActivationFunctionType;
using tflite::TensorType;

constexpr TensorType kTypes[] = {tflite::TensorType_INT8, tflite::TensorType_UINT8};
constexpr auto kNone = tflite::ActivationFunctionType_NONE;
constexpr auto kRelu6 = tflite::ActivationFunctionType_RELU6;

/// An activation on its way through the graph.
struct Value {
  std::int32_t tensor = 0;
  Shape shape;
  Quant scales;
};

/// What to build next: a layer of `out_c` filters of kernel x kernel.
struct Step {
  std::int32_t out_c = 8, kernel = 1, stride = 1;
  ActivationFunctionType activation = kRelu6;
  bool depthwise = false;
};

class GraphBuilder {
 public:
  GraphBuilder(TensorType type, std::uint64_t seed) : random_(seed), type_(type) {}

  Value input(const Shape& shape) {
    const auto scales = quant(1.0 / 128, lowest(type_) + 128);
    return {model_.input(type_, shape, scales), shape, scales};
  }
  Value conv(const Value& in, const Step& step);
  Value binary(tflite::BuiltinOperator code, const Value& left, const Value& right);
  Value reshape(const Value& in, const Shape& shape);
  Value transpose(const Value& in, const Shape& order);
  Value concat(const std::vector<Value>& in, std::int32_t axis);
  Value mean(const Value& in);
  Value resize(const Value& in, std::int32_t height, std::int32_t width);
  Value logistic(const Value& in);
  Value max_pool(const Value& in);
  Value softmax(const Value& in);
  std::vector<Value> split(const Value& in, std::int32_t parts);
  void finish(Suite& suite, const std::string& name, std::uint64_t seed, const std::vector<Value>& outputs) {
    std::vector<std::int32_t> tensors;
    for (const auto& value : outputs) tensors.push_back(value.tensor);
    suite.add("graphs", type_name(type_) + " " + name, seed, model_.finish(tensors));
  }

 private:
  Value make(const Shape& shape, const Quant& scales) {
    return {model_.activation(type_, shape, scales), shape, scales};
  }
  Quant full_range(double scale) { return quant(scale, lowest(type_) + random_.between(90, 160)); }

  ModelBuilder model_;
  Random random_;
  TensorType type_;
};

Value GraphBuilder::conv(const Value& in, const Step& step) {
  const auto channels = in.shape[3];
  const double terms = step.kernel * step.kernel * (step.depthwise ? 1 : channels);
  const bool rectified = step.activation != kNone;
  const auto out_scales = rectified ? quant(6.0 / 255, lowest(type_)) : full_range(0.04);
  // The input's deviation is about 74 steps, the output's is to be about 60.
  const double scale = 60.0 * out_scales.scales[0] / (in.scales.scales[0] * std::sqrt(terms) * 74 * 74);
  Quant weights = type_ == tflite::TensorType_UINT8 ? quant(scale, random_.between(110, 145)) : Quant{};
  weights.axis = type_ == tflite::TensorType_INT8 && step.depthwise ? 3 : 0;
  for (std::int32_t i = 0; type_ == tflite::TensorType_INT8 && i < step.out_c; ++i) {
    weights.scales.push_back(static_cast<float>(scale * random_.real(0.5, 1.6)));
    weights.zero_points.push_back(0);
  }
  Quant bias;
  for (const auto value : weights.scales) {
    bias.scales.push_back(in.scales.scales[0] * value);
    bias.zero_points.push_back(0);
  }
  const Shape shape = step.depthwise ? Shape{1, step.kernel, step.kernel, step.out_c}
                                     : Shape{step.out_c, step.kernel, step.kernel, channels};
  const auto low = type_ == tflite::TensorType_UINT8 ? 0 : -127;
  const auto filter =
      model_.constant(type_, shape, random_bytes(random_, element_count(shape), low, highest(type_)), weights);
  std::vector<std::int32_t> values;
  for (std::int32_t i = 0; i < step.out_c; ++i)
    values.push_back(static_cast<std::int32_t>(random_.between(-9000, 9000)));
  const auto offsets = model_.constant_i32({step.out_c}, values, bias);
  const auto out = make({in.shape[0], (in.shape[1] + step.stride - 1) / step.stride,
                         (in.shape[2] + step.stride - 1) / step.stride, step.out_c},
                        out_scales);
  const auto set = [&](auto options) {
    options.stride_h = options.stride_w = step.stride;
    options.fused_activation_function = step.activation;
    return options;
  };
  if (step.depthwise) {
    auto options = set(tflite::DepthwiseConv2DOptionsT{});
    options.depth_multiplier = step.out_c / channels;
    model_.op(tflite::BuiltinOperator_DEPTHWISE_CONV_2D, {in.tensor, filter, offsets}, {out.tensor}, options);
  } else {
    model_.op(tflite::BuiltinOperator_CONV_2D, {in.tensor, filter, offsets}, {out.tensor},
              set(tflite::Conv2DOptionsT{}));
  }
  return out;
}

Value GraphBuilder::binary(tflite::BuiltinOperator code, const Value& left, const Value& right) {
  const double scale = code == tflite::BuiltinOperator_MUL ? 0.9 * left.scales.scales[0] : 0.05;
  const auto out = make(left.shape, full_range(scale));
  if (code == tflite::BuiltinOperator_MUL) {
    model_.op(code, {left.tensor, right.tensor}, {out.tensor}, tflite::MulOptionsT{});
  } else {
    model_.op(code, {left.tensor, right.tensor}, {out.tensor}, tflite::AddOptionsT{});
  }
  return out;
}

Value GraphBuilder::reshape(const Value& in, const Shape& shape) {
  const auto out = make(shape, in.scales);
  tflite::ReshapeOptionsT options;
  options.new_shape = shape;
  const auto wanted = model_.constant_i32({static_cast<std::int32_t>(shape.size())}, shape);
  model_.op(tflite::BuiltinOperator_RESHAPE, {in.tensor, wanted}, {out.tensor}, options);
  return out;
}

Value GraphBuilder::transpose(const Value& in, const Shape& order) {
  Shape shape;
  for (const auto axis : order) shape.push_back(in.shape[static_cast<std::size_t>(axis)]);
  const auto out = make(shape, in.scales);
  const auto permutation = model_.constant_i32({static_cast<std::int32_t>(order.size())}, order);
  model_.op(tflite::BuiltinOperator_TRANSPOSE, {in.tensor, permutation}, {out.tensor});
  return out;
}

Value GraphBuilder::concat(const std::vector<Value>& in, std::int32_t axis) {
  Shape shape = in[0].shape;
  shape[static_cast<std::size_t>(axis)] = 0;
  std::vector<std::int32_t> tensors;
  for (const auto& value : in) {
    shape[static_cast<std::size_t>(axis)] += value.shape[static_cast<std::size_t>(axis)];
    tensors.push_back(value.tensor);
  }
  const auto out = make(shape, in[0].scales);
  tflite::ConcatenationOptionsT options;
  options.axis = axis;
  model_.op(tflite::BuiltinOperator_CONCATENATION, tensors, {out.tensor}, options);
  return out;
}

Value GraphBuilder::mean(const Value& in) {
  const auto out = make({in.shape[0], 1, 1, in.shape[3]}, quant(in.scales.scales[0] * 0.7, in.scales.zero_points[0]));
  const auto axes = model_.constant_i32({2}, {1, 2});
  tflite::ReducerOptionsT options;
  options.keep_dims = true;
  model_.op(tflite::BuiltinOperator_MEAN, {in.tensor, axes}, {out.tensor}, options);
  return out;
}

Value GraphBuilder::resize(const Value& in, std::int32_t height, std::int32_t width) {
  const auto out = make({in.shape[0], height, width, in.shape[3]}, in.scales);
  const auto size = model_.constant_i32({2}, {height, width});
  model_.op(tflite::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, {in.tensor, size}, {out.tensor},
            tflite::ResizeNearestNeighborOptionsT{});
  return out;
}

Value GraphBuilder::logistic(const Value& in) {
  const auto out = make(in.shape, quant(1.0 / 256, lowest(type_)));
  model_.op(tflite::BuiltinOperator_LOGISTIC, {in.tensor}, {out.tensor});
  return out;
}

Value GraphBuilder::max_pool(const Value& in) {
  const auto out = make({in.shape[0], in.shape[1] / 2, in.shape[2] / 2, in.shape[3]}, in.scales);
  tflite::Pool2DOptionsT options;
  options.padding = tflite::Padding_VALID;
  options.filter_height = options.filter_width = options.stride_h = options.stride_w = 2;
  model_.op(tflite::BuiltinOperator_MAX_POOL_2D, {in.tensor}, {out.tensor}, options);
  return out;
}

Value GraphBuilder::softmax(const Value& in) {
  const auto out = make(in.shape, quant(1.0 / 256, lowest(type_)));
  tflite::SoftmaxOptionsT options;
  options.beta = 1;
  model_.op(tflite::BuiltinOperator_SOFTMAX, {in.tensor}, {out.tensor}, options);
  return out;
}

std::vector<Value> GraphBuilder::split(const Value& in, std::int32_t parts) {
  const auto axis = model_.constant_i32({}, {3});
  std::vector<Value> values;
  std::vector<std::int32_t> tensors;
  for (std::int32_t i = 0; i < parts; ++i) {
    values.push_back(make({in.shape[0], in.shape[1], in.shape[2], in.shape[3] / parts}, in.scales));
    tensors.push_back(values.back().tensor);
  }
  tflite::SplitOptionsT options;
  options.num_splits = parts;
  model_.op(tflite::BuiltinOperator_SPLIT, {axis, in.tensor}, tensors, options);
  return values;
}

constexpr auto kAdd = tflite::BuiltinOperator_ADD;
constexpr auto kMul = tflite::BuiltinOperator_MUL;

void add_residual_block(Suite& suite, TensorType type, std::uint64_t seed) {
  GraphBuilder graph(type, seed);
  const auto stem = graph.conv(graph.input({1, 16, 12, 3}), {.out_c = 8, .kernel = 3, .stride = 2});
  auto value = graph.conv(stem, {.out_c = 24});
  value = graph.conv(value, {.out_c = 24, .kernel = 3, .depthwise = true});
  value = graph.conv(value, {.out_c = 8, .activation = kNone});
  graph.finish(suite, "residual block", seed, {graph.binary(kAdd, value, stem)});
}

void add_ssd_head(Suite& suite, TensorType type, std::uint64_t seed) {
  GraphBuilder graph(type, seed);
  const auto large = graph.conv(graph.input({1, 12, 12, 3}), {.out_c = 12, .kernel = 3, .stride = 2});
  const auto small = graph.conv(large, {.out_c = 16, .kernel = 3, .stride = 2});
  const Step head = {.out_c = 12, .kernel = 3, .activation = kNone};
  const auto large_boxes = graph.reshape(graph.conv(large, head), {1, 108, 4});
  const auto small_boxes = graph.reshape(graph.conv(small, head), {1, 27, 4});
  const Step score = {.out_c = 15, .activation = kNone};
  const auto large_scores = graph.logistic(graph.reshape(graph.conv(large, score), {1, 108, 5}));
  const auto small_scores = graph.logistic(graph.reshape(graph.conv(small, score), {1, 27, 5}));
  const auto scores = graph.concat({large_scores, small_scores}, 1);
  if (type == tflite::TensorType_INT8) {  // TFLite's int8 concatenation demands equal scales
    graph.finish(suite, "ssd head", seed, {large_boxes, small_boxes, scores});
  } else {
    graph.finish(suite, "ssd head", seed, {graph.concat({large_boxes, small_boxes}, 1), scores});
  }
}

void add_squeeze_excite(Suite& suite, TensorType type, std::uint64_t seed) {
  GraphBuilder graph(type, seed);
  const auto value = graph.conv(graph.input({1, 10, 14, 3}), {.out_c = 17, .kernel = 3, .stride = 2});
  const auto squeezed = graph.conv(graph.mean(value), {.out_c = 5});
  const auto gate = graph.logistic(graph.conv(squeezed, {.out_c = 17, .activation = kNone}));
  graph.finish(suite, "squeeze and excite", seed, {graph.binary(kMul, value, gate)});
}

void add_channels_first(Suite& suite, TensorType type, std::uint64_t seed) {
  GraphBuilder graph(type, seed);
  const auto pixels = graph.transpose(graph.input({1, 3, 10, 8}), {0, 2, 3, 1});
  const auto value = graph.max_pool(graph.conv(pixels, {.out_c = 9, .kernel = 3}));
  graph.finish(suite, "channels first", seed, {graph.transpose(value, {0, 3, 1, 2})});
}

void add_feature_pyramid(Suite& suite, TensorType type, std::uint64_t seed) {
  GraphBuilder graph(type, seed);
  const auto fine = graph.conv(graph.input({1, 12, 16, 3}), {.out_c = 10, .kernel = 3, .stride = 2});
  const auto coarse = graph.conv(fine, {.out_c = 10, .kernel = 3, .stride = 2});
  const auto joined = graph.concat({fine, graph.resize(coarse, 6, 8)}, 3);
  const auto parts = graph.split(joined, 2);
  const auto mixed = graph.binary(kAdd, parts[0], parts[1]);
  graph.finish(suite, "feature pyramid", seed, {graph.conv(mixed, {.out_c = 7, .activation = kNone}), coarse});
}

void add_classifier(Suite& suite, TensorType type, std::uint64_t seed) {
  GraphBuilder graph(type, seed);
  auto value = graph.conv(graph.input({1, 20, 20, 1}), {.out_c = 8, .kernel = 5, .stride = 2, .depthwise = true});
  for (const auto channels : {16, 20, 33}) {
    value = graph.conv(value, {.out_c = channels});
    value = graph.conv(value, {.out_c = channels, .kernel = 3, .stride = 2, .depthwise = true});
  }
  const auto logits = graph.reshape(graph.conv(graph.mean(value), {.out_c = 11, .activation = kNone}), {1, 11});
  graph.finish(suite, "classifier", seed, {graph.softmax(logits)});
}

/// An activation that is an output and is used further: its memory must survive.
void add_tapped_output(Suite& suite, TensorType type, std::uint64_t seed) {
  GraphBuilder graph(type, seed);
  const auto first = graph.conv(graph.input({1, 9, 9, 4}), {.out_c = 12, .kernel = 3});
  const auto second = graph.conv(first, {.out_c = 12, .kernel = 3});
  const auto third = graph.conv(second, {.out_c = 12, .kernel = 3});
  const auto fourth = graph.binary(kAdd, third, first);
  graph.finish(suite, "tapped outputs", seed, {fourth, first, graph.reshape(second, {1, 972})});
}

}  // namespace

void add_graphs(Suite& suite) {
  std::uint64_t seed = 9000;
  for (const auto type : kTypes) {
    add_residual_block(suite, type, seed++);
    add_ssd_head(suite, type, seed++);
    add_squeeze_excite(suite, type, seed++);
    add_channels_first(suite, type, seed++);
    add_feature_pyramid(suite, type, seed++);
    add_classifier(suite, type, seed++);
    add_tapped_output(suite, type, seed++);
  }
}

}  // namespace wayside::conformance
