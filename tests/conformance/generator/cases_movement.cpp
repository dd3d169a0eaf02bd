// SPDX-License-Identifier: Apache-2.0
// Golden cases of operators that only move values (CONCATENATION of u8 may also rescale them).
#include <format>
#include <string>

#include "tests/conformance/generator/cases.h"
#include "tests/conformance/generator/model_builder.h"

namespace wayside::conformance {

namespace {

using tflite::TensorType;

constexpr TensorType kTypes[] = {tflite::TensorType_INT8, tflite::TensorType_UINT8};

std::string text(const Shape& shape) {
  std::string result;
  for (const auto dim : shape) result += (result.empty() ? "" : "x") + std::to_string(dim);
  return result.empty() ? "scalar" : result;
}

Quant any_quant(Random& random, TensorType type) {
  return quant(random.real(0.01, 0.06), random.between(lowest(type) + 30, highest(type) - 30));
}

std::int32_t length(const Shape& shape) { return static_cast<std::int32_t>(shape.size()); }

void add_concatenations(Suite& suite) {
  struct Concat {
    std::vector<Shape> in;
    std::int32_t axis;
    bool rescale = false;
  };
  const std::vector<Concat> items = {
      {{{1, 3, 4, 5}, {1, 3, 4, 7}}, 3},
      {{{1, 3, 4, 5}, {1, 3, 4, 1}, {1, 3, 4, 17}}, -1},
      {{{1, 3, 4, 5}, {1, 2, 4, 5}}, 1},
      {{{1, 3, 4, 5}, {1, 3, 3, 5}}, 2},
      {{{1, 3, 4, 5}, {2, 3, 4, 5}}, 0},
      {{{1, 9, 4}, {1, 4, 4}, {1, 1, 4}, {1, 1, 4}}, 1},
      {{{1, 9, 4}, {1, 4, 4}, {1, 1, 4}}, -2, true},
      {{{1, 3, 4, 5}, {1, 3, 4, 7}}, 3, true},
      {{{7}, {12}}, 0},
      {{{1, 6}}, 1},
  };
  std::uint64_t seed = 8000;
  for (const auto type : kTypes) {
    for (const auto& item : items) {
      if (item.rescale && type == tflite::TensorType_INT8) continue;  // TFLite demands equal scales of int8
      Random random(seed);
      const auto out_quant = any_quant(random, type);
      const auto rank = length(item.in[0]);
      const auto axis = static_cast<std::size_t>((item.axis + rank) % rank);
      ModelBuilder model;
      std::vector<std::int32_t> inputs;
      Shape out_shape = item.in[0];
      out_shape[axis] = 0;
      for (const auto& shape : item.in) {
        inputs.push_back(model.input(type, shape, item.rescale ? any_quant(random, type) : out_quant));
        out_shape[axis] += shape[axis];
      }
      const auto out = model.activation(type, out_shape, out_quant);
      tflite::ConcatenationOptionsT options;
      options.axis = item.axis;
      model.op(tflite::BuiltinOperator_CONCATENATION, inputs, {out}, options);
      suite.add("concatenation",
                std::format("{} {} inputs of {} axis {}{}", type_name(type), item.in.size(), text(item.in[0]),
                            item.axis, item.rescale ? " rescaled" : ""),
                seed, model.finish({out}));
      ++seed;
    }
  }
}

void add_pads(Suite& suite) {
  const std::pair<Shape, std::vector<std::int32_t>> items[] = {
      {{1, 4, 5, 3}, {0, 0, 1, 1, 1, 1, 0, 0}},
      {{1, 4, 5, 3}, {0, 0, 0, 1, 0, 1, 0, 0}},
      {{1, 4, 5, 3}, {0, 0, 2, 0, 0, 3, 0, 0}},
      {{1, 4, 5, 7}, {0, 0, 0, 0, 0, 0, 2, 3}},
      {{1, 3, 3, 17}, {1, 0, 0, 2, 1, 0, 0, 5}},
      {{1, 6, 6, 33}, {0, 0, 3, 3, 3, 3, 0, 0}},
      {{5, 6}, {1, 2, 0, 3}},
      {{9}, {4, 1}},
      {{1, 3, 4}, {0, 0, 1, 1, 2, 2}},
      {{1, 4, 5, 3}, {0, 0, 0, 0, 0, 0, 0, 0}},
  };
  std::uint64_t seed = 8200;
  for (const auto type : kTypes) {
    for (const auto& [shape, pads] : items) {
      for (const bool with_value : {false, true}) {
        Random random(seed);
        const auto scales = any_quant(random, type);
        Shape out_shape = shape;
        for (std::size_t i = 0; i < shape.size(); ++i) out_shape[i] += pads[2 * i] + pads[2 * i + 1];
        ModelBuilder model;
        const auto in = model.input(type, shape, scales);
        const auto padding = model.constant_i32({length(shape), 2}, pads);
        std::vector<std::int32_t> inputs = {in, padding};
        if (with_value) {
          inputs.push_back(model.constant(type, {1}, random_bytes(random, 1, lowest(type), highest(type)), scales));
        }
        const auto out = model.activation(type, out_shape, scales);
        model.op(with_value ? tflite::BuiltinOperator_PADV2 : tflite::BuiltinOperator_PAD, inputs, {out});
        suite.add(with_value ? "padv2" : "pad",
                  std::format("{} {} to {}", type_name(type), text(shape), text(out_shape)), seed, model.finish({out}));
        ++seed;
      }
    }
  }
}

void add_reshapes(Suite& suite) {
  const std::pair<Shape, Shape> items[] = {{{1, 3, 4, 5}, {1, 60}},
                                           {{1, 3, 4, 5}, {1, -1, 5}},
                                           {{1, 1, 1, 33}, {33}},
                                           {{6, 10}, {1, 3, 4, 5}},
                                           {{2, 3, 4}, {-1}}};
  std::uint64_t seed = 8400;
  for (const auto type : kTypes) {
    for (const auto& [in_shape, wanted] : items) {
      for (const bool as_tensor : {true, false}) {
        Random random(seed);
        const auto scales = any_quant(random, type);
        Shape out_shape = wanted;
        for (auto& dim : out_shape) {
          if (dim == -1) dim = static_cast<std::int32_t>(element_count(in_shape) / -element_count(wanted));
        }
        ModelBuilder model;
        std::vector<std::int32_t> inputs = {model.input(type, in_shape, scales)};
        if (as_tensor) inputs.push_back(model.constant_i32({length(wanted)}, wanted));
        const auto out = model.activation(type, out_shape, scales);
        tflite::ReshapeOptionsT options;
        options.new_shape = wanted;
        model.op(tflite::BuiltinOperator_RESHAPE, inputs, {out}, options);
        suite.add(
            "reshape",
            std::format("{} {} to {}{}", type_name(type), text(in_shape), text(wanted), as_tensor ? "" : " in options"),
            seed, model.finish({out}));
        ++seed;
      }
    }
  }
}

void add_transposes(Suite& suite) {
  const std::pair<Shape, Shape> items[] = {{{3, 5}, {1, 0}},
                                           {{2, 3, 4}, {2, 0, 1}},
                                           {{2, 3, 4}, {0, 2, 1}},
                                           {{1, 5, 6, 7}, {0, 3, 1, 2}},
                                           {{1, 7, 5, 6}, {0, 2, 3, 1}},
                                           {{2, 3, 4, 5}, {3, 2, 1, 0}},
                                           {{2, 3, 4, 5}, {0, 1, 2, 3}},
                                           {{2, 3, 2, 3, 2}, {4, 1, 3, 0, 2}},
                                           {{1, 4, 4, 33}, {0, 2, 1, 3}}};
  std::uint64_t seed = 8500;
  for (const auto type : kTypes) {
    for (const auto& [shape, order] : items) {
      Random random(seed);
      const auto scales = any_quant(random, type);
      Shape out_shape;
      for (const auto axis : order) out_shape.push_back(shape[static_cast<std::size_t>(axis)]);
      ModelBuilder model;
      const auto in = model.input(type, shape, scales);
      const auto permutation = model.constant_i32({length(order)}, order);
      const auto out = model.activation(type, out_shape, scales);
      model.op(tflite::BuiltinOperator_TRANSPOSE, {in, permutation}, {out});
      suite.add("transpose", std::format("{} {} order {}", type_name(type), text(shape), text(order)), seed,
                model.finish({out}));
      ++seed;
    }
  }
}

struct Slice {
  Shape in, begin, end, strides, out;
  std::int32_t begin_mask = 0, end_mask = 0, shrink_mask = 0;
};

void add_strided_slices(Suite& suite) {
  const std::vector<Slice> items = {
      {{1, 5, 6, 7}, {0, 1, 2, 0}, {1, 4, 6, 7}, {1, 1, 1, 1}, {1, 3, 4, 7}},
      {{1, 5, 6, 7}, {0, 0, 0, 0}, {1, 5, 6, 7}, {1, 2, 3, 2}, {1, 3, 2, 4}},
      {{1, 5, 6, 7}, {0, 1, 1, 1}, {0, 0, 0, 0}, {1, 1, 1, 1}, {1, 4, 5, 6}, 0, 15},
      {{1, 5, 6, 7}, {0, 0, 0, 3}, {1, 5, 6, 5}, {1, 1, 1, 1}, {1, 5, 6, 2}, 7, 7},
      {{1, 5, 6, 7}, {0, 4, 0, 0}, {1, 1, 6, 7}, {1, -1, 1, 1}, {1, 3, 6, 7}},
      {{1, 5, 6, 7}, {0, -1, -1, 0}, {1, -6, -7, 7}, {1, -2, -1, 1}, {1, 3, 6, 7}},
      {{1, 5, 6, 7}, {0, 2, 0, 0}, {1, 3, 6, 7}, {1, 1, 1, 1}, {1, 6, 7}, 0, 0, 2},
      {{1, 5, 6, 7}, {0, 0, -3, 0}, {1, 5, -1, 7}, {1, 1, 1, 1}, {1, 5, 2, 7}},
      {{1, 9, 4}, {0, 3, 0}, {1, 100, 4}, {1, 1, 1}, {1, 6, 4}},
      {{33}, {5}, {30}, {4}, {7}},
      {{6, 8}, {0, 2}, {6, 8}, {2, 3}, {3, 2}},
  };
  std::uint64_t seed = 8600;
  for (const auto type : kTypes) {
    for (const auto& item : items) {
      Random random(seed);
      const auto scales = any_quant(random, type);
      ModelBuilder model;
      const auto in = model.input(type, item.in, scales);
      const auto begin = model.constant_i32({length(item.begin)}, item.begin);
      const auto end = model.constant_i32({length(item.end)}, item.end);
      const auto strides = model.constant_i32({length(item.strides)}, item.strides);
      const auto out = model.activation(type, item.out, scales);
      tflite::StridedSliceOptionsT options;
      options.begin_mask = item.begin_mask;
      options.end_mask = item.end_mask;
      options.shrink_axis_mask = item.shrink_mask;
      model.op(tflite::BuiltinOperator_STRIDED_SLICE, {in, begin, end, strides}, {out}, options);
      suite.add("strided_slice",
                std::format("{} {} begin {} end {} strides {} masks {} {} {}", type_name(type), text(item.in),
                            text(item.begin), text(item.end), text(item.strides), item.begin_mask, item.end_mask,
                            item.shrink_mask),
                seed, model.finish({out}));
      ++seed;
    }
  }
}

void add_splits(Suite& suite) {
  struct Split {
    Shape in;
    std::int32_t axis, parts;
  };
  const std::vector<Split> items = {{{1, 4, 6, 8}, 3, 4}, {{1, 4, 6, 10}, -1, 2}, {{1, 4, 6, 5}, 1, 2},
                                    {{1, 4, 6, 5}, 2, 3}, {{4, 9}, 0, 4},         {{1, 3, 3, 33}, 3, 3}};
  std::uint64_t seed = 8800;
  for (const auto type : kTypes) {
    for (const auto& item : items) {
      Random random(seed);
      const auto scales = any_quant(random, type);
      const auto rank = length(item.in);
      Shape out_shape = item.in;
      out_shape[static_cast<std::size_t>((item.axis + rank) % rank)] /= item.parts;
      ModelBuilder model;
      const auto in = model.input(type, item.in, scales);
      const auto axis = model.constant_i32({}, {item.axis});
      std::vector<std::int32_t> outputs;
      for (std::int32_t i = 0; i < item.parts; ++i) outputs.push_back(model.activation(type, out_shape, scales));
      tflite::SplitOptionsT options;
      options.num_splits = item.parts;
      model.op(tflite::BuiltinOperator_SPLIT, {axis, in}, outputs, options);
      suite.add("split", std::format("{} {} axis {} parts {}", type_name(type), text(item.in), item.axis, item.parts),
                seed, model.finish(outputs));
      ++seed;
    }
  }
}

/// SQUEEZE and EXPAND_DIMS: the same bytes in another shape.
void add_dimension_changes(Suite& suite) {
  struct Squeeze {
    Shape in, dims, out;
  };
  const std::vector<Squeeze> squeezes = {
      {{1, 1, 1, 33}, {1, 2}, {1, 33}}, {{1, 4, 1, 5}, {}, {4, 5}}, {{1, 3, 1, 7}, {-2}, {1, 3, 7}}};
  struct Expand {
    Shape in;
    std::int32_t axis;
    Shape out;
  };
  const std::vector<Expand> expands = {{{4, 5}, 0, {1, 4, 5}}, {{4, 5}, -1, {4, 5, 1}}, {{2, 3, 7}, 1, {2, 1, 3, 7}}};
  std::uint64_t seed = 8900;
  for (const auto type : kTypes) {
    for (const auto& item : squeezes) {
      Random random(seed);
      const auto scales = any_quant(random, type);
      ModelBuilder model;
      const auto in = model.input(type, item.in, scales);
      const auto out = model.activation(type, item.out, scales);
      tflite::SqueezeOptionsT options;
      options.squeeze_dims = item.dims;
      model.op(tflite::BuiltinOperator_SQUEEZE, {in}, {out}, options);
      suite.add("squeeze", std::format("{} {} to {}", type_name(type), text(item.in), text(item.out)), seed++,
                model.finish({out}));
    }
    for (const auto& item : expands) {
      Random random(seed);
      const auto scales = any_quant(random, type);
      ModelBuilder model;
      const auto in = model.input(type, item.in, scales);
      const auto axis = model.constant_i32({1}, {item.axis});
      const auto out = model.activation(type, item.out, scales);
      model.op(tflite::BuiltinOperator_EXPAND_DIMS, {in, axis}, {out}, tflite::ExpandDimsOptionsT{});
      suite.add("expand_dims", std::format("{} {} axis {}", type_name(type), text(item.in), item.axis), seed++,
                model.finish({out}));
    }
  }
}

void add_slices(Suite& suite) {
  struct PlainSlice {
    Shape in, begin, size, out;
  };
  const std::vector<PlainSlice> items = {{{1, 5, 6, 7}, {0, 1, 2, 3}, {1, 3, 2, 4}, {1, 3, 2, 4}},
                                         {{1, 5, 6, 7}, {0, 0, 4, 0}, {-1, -1, -1, -1}, {1, 5, 2, 7}},
                                         {{33}, {5}, {17}, {17}},
                                         {{2, 9, 4}, {1, 8, 0}, {1, 1, 4}, {1, 1, 4}}};
  std::uint64_t seed = 8950;
  for (const auto type : kTypes) {
    for (const auto& item : items) {
      Random random(seed);
      const auto scales = any_quant(random, type);
      ModelBuilder model;
      const auto in = model.input(type, item.in, scales);
      const auto begin = model.constant_i32({length(item.begin)}, item.begin);
      const auto size = model.constant_i32({length(item.size)}, item.size);
      const auto out = model.activation(type, item.out, scales);
      model.op(tflite::BuiltinOperator_SLICE, {in, begin, size}, {out}, tflite::SliceOptionsT{});
      suite.add(
          "slice",
          std::format("{} {} begin {} size {}", type_name(type), text(item.in), text(item.begin), text(item.size)),
          seed++, model.finish({out}));
    }
  }
}

/// PACK and its inverse.
void add_packs(Suite& suite) {
  struct Pack {
    Shape part;
    std::int32_t axis, count;
    Shape whole;
  };
  const std::vector<Pack> items = {
      {{4, 5}, 0, 3, {3, 4, 5}}, {{4, 5}, -1, 2, {4, 5, 2}}, {{1, 3, 7}, 1, 4, {1, 4, 3, 7}}};
  std::uint64_t seed = 8980;
  for (const auto type : kTypes) {
    for (const auto& item : items) {
      Random random(seed);
      const auto scales = any_quant(random, type);
      const auto name = std::format("{} {} of {} axis {}", type_name(type), item.count, text(item.part), item.axis);
      ModelBuilder pack, unpack;
      std::vector<std::int32_t> inputs, outputs;
      for (std::int32_t i = 0; i < item.count; ++i) inputs.push_back(pack.input(type, item.part, scales));
      const auto whole = pack.activation(type, item.whole, scales);
      tflite::PackOptionsT options;
      options.values_count = item.count;
      options.axis = item.axis;
      pack.op(tflite::BuiltinOperator_PACK, inputs, {whole}, options);
      suite.add("pack", name, seed, pack.finish({whole}));
      const auto in = unpack.input(type, item.whole, scales);
      for (std::int32_t i = 0; i < item.count; ++i) outputs.push_back(unpack.activation(type, item.part, scales));
      tflite::UnpackOptionsT inverse;
      inverse.num = item.count;
      inverse.axis = item.axis;
      unpack.op(tflite::BuiltinOperator_UNPACK, {in}, outputs, inverse);
      suite.add("unpack", name, seed, unpack.finish(outputs));
      ++seed;
    }
  }
}

}  // namespace

void add_movement(Suite& suite) {
  add_concatenations(suite);
  add_pads(suite);
  add_reshapes(suite);
  add_transposes(suite);
  add_strided_slices(suite);
  add_splits(suite);
  add_dimension_changes(suite);
  add_slices(suite);
  add_packs(suite);
}

}  // namespace wayside::conformance
