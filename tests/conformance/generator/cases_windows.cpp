// SPDX-License-Identifier: Apache-2.0
// Golden cases of operators over windows and axes: pools, means, softmax, resizing.
#include <algorithm>
#include <format>
#include <string>

#include "tests/conformance/generator/cases.h"
#include "tests/conformance/generator/model_builder.h"

namespace wayside::conformance {

namespace {

using tflite::TensorType;

constexpr TensorType kTypes[] = {tflite::TensorType_INT8, tflite::TensorType_UINT8};

Quant any_quant(Random& random, TensorType type) {
  return quant(random.real(0.01, 0.06), random.between(lowest(type), highest(type)));
}

std::string text(const Shape& shape) {
  std::string result;
  for (const auto dim : shape) result += (result.empty() ? "" : "x") + std::to_string(dim);
  return result;
}

struct Pool {
  Shape in = {1, 7, 9, 5};
  std::int32_t filter_h = 2, filter_w = 2, stride_h = 2, stride_w = 2;
  tflite::Padding padding = tflite::Padding_VALID;
  tflite::ActivationFunctionType activation = tflite::ActivationFunctionType_NONE;
};

void add_pool(Suite& suite, tflite::BuiltinOperator code, TensorType type, const Pool& pool, std::uint64_t seed) {
  Random random(seed);
  const auto scales = quant(random.real(0.02, 0.06), random.between(lowest(type) + 60, highest(type) - 60));
  const auto extent = [&](std::int32_t in, std::int32_t filter, std::int32_t stride) {
    return pool.padding == tflite::Padding_SAME ? (in + stride - 1) / stride : (in - filter + stride) / stride;
  };
  ModelBuilder model;
  const auto in = model.input(type, pool.in, scales);
  const auto out = model.activation(type,
                                    {pool.in[0], extent(pool.in[1], pool.filter_h, pool.stride_h),
                                     extent(pool.in[2], pool.filter_w, pool.stride_w), pool.in[3]},
                                    scales);
  tflite::Pool2DOptionsT options;
  options.filter_height = pool.filter_h;
  options.filter_width = pool.filter_w;
  options.stride_h = pool.stride_h;
  options.stride_w = pool.stride_w;
  options.padding = pool.padding;
  options.fused_activation_function = pool.activation;
  model.op(code, {in}, {out}, options);
  suite.add(code == tflite::BuiltinOperator_MAX_POOL_2D ? "max_pool_2d" : "average_pool_2d",
            std::format("{} {} k{}x{} s{}x{} {} act {}", type_name(type), text(pool.in), pool.filter_h, pool.filter_w,
                        pool.stride_h, pool.stride_w, pool.padding == tflite::Padding_SAME ? "same" : "valid",
                        static_cast<int>(pool.activation)),
            seed, model.finish({out}));
}

void add_pools(Suite& suite) {
  constexpr auto kSame = tflite::Padding_SAME;
  const std::vector<Pool> pools = {
      {},
      {.padding = kSame},
      {.in = {1, 8, 8, 16}, .filter_h = 3, .filter_w = 3, .padding = kSame},
      {.in = {1, 8, 8, 17}, .filter_h = 3, .filter_w = 3, .stride_h = 1, .stride_w = 1, .padding = kSame},
      {.in = {1, 7, 7, 33}, .filter_h = 7, .filter_w = 7, .stride_h = 1, .stride_w = 1},
      {.in = {1, 3, 3, 256}, .filter_h = 3, .filter_w = 3, .stride_h = 3, .stride_w = 3},
      {.in = {2, 5, 6, 3}, .filter_h = 2, .filter_w = 3, .stride_h = 1, .stride_w = 2},
      {.in = {1, 4, 4, 7}, .filter_h = 5, .filter_w = 5, .stride_h = 2, .stride_w = 2, .padding = kSame},
      {.in = {1, 15, 15, 1}, .filter_h = 15, .filter_w = 15, .stride_h = 1, .stride_w = 1},
      {.activation = tflite::ActivationFunctionType_RELU},
      {.activation = tflite::ActivationFunctionType_RELU6},
      {.padding = kSame, .activation = tflite::ActivationFunctionType_RELU_N1_TO_1},
  };
  std::uint64_t seed = 6000;
  for (const auto code : {tflite::BuiltinOperator_MAX_POOL_2D, tflite::BuiltinOperator_AVERAGE_POOL_2D}) {
    for (const auto type : kTypes) {
      for (const auto& pool : pools) add_pool(suite, code, type, pool, seed++);
    }
  }
}

struct Mean {
  Shape in;
  std::vector<std::int32_t> axes;
  bool keep_dims = true;
  bool same_quant = false;
};

void add_mean(Suite& suite, TensorType type, const Mean& mean, std::uint64_t seed) {
  Random random(seed);
  const auto rank = static_cast<std::int32_t>(mean.in.size());
  Shape out_shape;
  std::string axes;
  for (const auto axis : mean.axes) axes += std::format(" {}", axis);
  for (std::int32_t i = 0; i < rank; ++i) {
    const bool reduced = std::ranges::any_of(mean.axes, [&](auto axis) { return (axis + rank) % rank == i; });
    if (!reduced) out_shape.push_back(mean.in[static_cast<std::size_t>(i)]);
    if (reduced && mean.keep_dims) out_shape.push_back(1);
  }
  const auto near_middle = [&] { return random.between(lowest(type) + 100, highest(type) - 100); };
  const auto in_quant = quant(random.real(0.01, 0.06), near_middle());
  // Means gather near the middle: a finer output scale spreads them.
  const auto out_quant = mean.same_quant ? in_quant : quant(in_quant.scales[0] * random.real(0.3, 1.1), near_middle());
  ModelBuilder model;
  const auto in = model.input(type, mean.in, in_quant);
  const auto axis = model.constant_i32({static_cast<std::int32_t>(mean.axes.size())}, mean.axes);
  const auto out = model.activation(type, out_shape, out_quant);
  tflite::ReducerOptionsT options;
  options.keep_dims = mean.keep_dims;
  model.op(tflite::BuiltinOperator_MEAN, {in, axis}, {out}, options);
  suite.add("mean",
            std::format("{} {} axes{}{}{}", type_name(type), text(mean.in), axes, mean.keep_dims ? " keep" : "",
                        mean.same_quant ? " same-quant" : ""),
            seed, model.finish({out}));
}

void add_means(Suite& suite) {
  const std::vector<Mean> means = {
      {{1, 7, 7, 33}, {1, 2}},
      {{1, 7, 7, 33}, {1, 2}, false},
      {{1, 7, 7, 16}, {1, 2}, true, true},
      {{1, 7, 7, 16}, {2, 1}, false, true},
      {{2, 4, 5, 7}, {1, 2}},
      {{2, 4, 5, 7}, {3}, false},
      {{2, 4, 5, 7}, {-1}},
      {{2, 4, 5, 7}, {1}, false},
      {{2, 4, 5, 7}, {2, 3}},
      {{2, 4, 5, 7}, {0, 1, 2, 3}},
      {{3, 9, 5}, {1}, false},
      {{6, 33}, {1}, false},
      {{1, 1, 1, 17}, {1, 2}},
      {{1, 15, 20, 9}, {-3, -2}, false},
      {{2, 4, 5, 7}, {1, 2}, false, true},
  };
  std::uint64_t seed = 6500;
  for (const auto type : kTypes) {
    for (const auto& mean : means) add_mean(suite, type, mean, seed++);
  }
}

void add_softmax(Suite& suite) {
  const Shape shapes[] = {{1, 2}, {1, 10}, {1, 33}, {1, 1001}, {5, 7}, {1, 3, 3, 5}, {2, 9, 21}, {1, 1}};
  std::uint64_t seed = 7000;
  for (const auto type : kTypes) {
    for (const auto& shape : shapes) {
      for (const auto beta : {1.0F, 0.3F}) {
        Random random(seed);
        ModelBuilder model;
        const auto in = model.input(
            type, shape,
            quant(random.real(0.005, shape[0] == 5 ? 1.0 : 0.15), random.between(lowest(type), highest(type))));
        const auto out = model.activation(type, shape, quant(1.0 / 256, lowest(type)));
        tflite::SoftmaxOptionsT options;
        options.beta = beta;
        model.op(tflite::BuiltinOperator_SOFTMAX, {in}, {out}, options);
        suite.add("softmax", std::format("{} {} beta {}", type_name(type), text(shape), beta), seed,
                  model.finish({out}));
        ++seed;
      }
    }
  }
}

struct Resize {
  Shape in;
  std::int32_t out_h, out_w;
};

void add_resize(Suite& suite, bool bilinear, TensorType type, const Resize& resize, bool align_corners,
                bool half_pixel_centers, std::uint64_t seed) {
  Random random(seed);
  const auto scales = any_quant(random, type);
  ModelBuilder model;
  const auto in = model.input(type, resize.in, scales);
  const auto size = model.constant_i32({2}, {resize.out_h, resize.out_w});
  const auto out = model.activation(type, {resize.in[0], resize.out_h, resize.out_w, resize.in[3]}, scales);
  if (bilinear) {
    tflite::ResizeBilinearOptionsT options;
    options.align_corners = align_corners;
    options.half_pixel_centers = half_pixel_centers;
    model.op(tflite::BuiltinOperator_RESIZE_BILINEAR, {in, size}, {out}, options);
  } else {
    tflite::ResizeNearestNeighborOptionsT options;
    options.align_corners = align_corners;
    options.half_pixel_centers = half_pixel_centers;
    model.op(tflite::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, {in, size}, {out}, options);
  }
  suite.add(bilinear ? "resize_bilinear" : "resize_nearest_neighbor",
            std::format("{} {} to {}x{}{}{}", type_name(type), text(resize.in), resize.out_h, resize.out_w,
                        align_corners ? " align-corners" : "", half_pixel_centers ? " half-pixel" : ""),
            seed, model.finish({out}));
}

void add_resizes(Suite& suite) {
  const std::vector<Resize> resizes = {{{1, 4, 5, 3}, 8, 10}, {{1, 4, 5, 7}, 9, 11}, {{1, 8, 8, 17}, 4, 4},
                                       {{2, 5, 3, 4}, 7, 2},  {{1, 1, 1, 5}, 3, 3},  {{1, 7, 9, 2}, 1, 1},
                                       {{1, 6, 6, 8}, 6, 6},  {{1, 10, 3, 1}, 3, 10}};
  std::uint64_t seed = 7500;
  for (const bool bilinear : {false, true}) {
    for (const auto type : kTypes) {
      for (const auto& resize : resizes) {
        add_resize(suite, bilinear, type, resize, false, false, seed++);
        add_resize(suite, bilinear, type, resize, true, false, seed++);
        add_resize(suite, bilinear, type, resize, false, true, seed++);
      }
    }
  }
}

}  // namespace

void add_windows(Suite& suite) {
  add_pools(suite);
  add_means(suite);
  add_softmax(suite);
  add_resizes(suite);
}

}  // namespace wayside::conformance
