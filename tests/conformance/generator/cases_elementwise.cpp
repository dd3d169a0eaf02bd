// SPDX-License-Identifier: Apache-2.0
// Golden cases of operators that treat each value alone, with or without a second operand.
#include <cmath>
#include <format>
#include <string>

#include "tests/conformance/generator/cases.h"
#include "tests/conformance/generator/model_builder.h"

namespace wayside::conformance {

namespace {

using tflite::ActivationFunctionType;
using tflite::BuiltinOperator;
using tflite::TensorType;

constexpr TensorType kTypes[] = {tflite::TensorType_INT8, tflite::TensorType_UINT8};
constexpr ActivationFunctionType kActivations[] = {
    tflite::ActivationFunctionType_NONE, tflite::ActivationFunctionType_RELU, tflite::ActivationFunctionType_RELU6,
    tflite::ActivationFunctionType_RELU_N1_TO_1};

std::string text(const Shape& shape) {
  std::string result;
  for (const auto dim : shape) result += (result.empty() ? "" : "x") + std::to_string(dim);
  return result.empty() ? "scalar" : result;
}

/// All 256 values once: the whole function is checked.
std::vector<std::uint8_t> all_values() {
  std::vector<std::uint8_t> bytes(256);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return bytes;
}

struct Operands {
  Shape left, right, out;
  bool right_is_constant = false;
};

void add_binary(Suite& suite, const char* file, BuiltinOperator code, TensorType type, const Operands& shapes,
                ActivationFunctionType activation, std::uint64_t seed) {
  Random random(seed);
  // One zero point in three is anywhere, the others near the middle.
  const auto any_quant = [&](double low, double high) {
    const auto margin = random.between(0, 2) == 0 ? 0 : 70;
    return quant(random.real(low, high), random.between(lowest(type) + margin, highest(type) - margin));
  };
  const auto left_quant = any_quant(0.005, 0.05);
  const auto right_quant = any_quant(0.005, 0.05);
  const double sum_scale = static_cast<double>(left_quant.scales[0]) + static_cast<double>(right_quant.scales[0]);
  const auto out_quant =
      quant(code == tflite::BuiltinOperator_MUL ? random.real(0.01, 0.05) : sum_scale * random.real(0.5, 0.9),
            random.between(lowest(type) + 80, highest(type) - 80));
  ModelBuilder model;
  const auto left = model.input(type, shapes.left, left_quant);
  const auto right =
      shapes.right_is_constant
          ? model.constant(type, shapes.right,
                           random_bytes(random, element_count(shapes.right), lowest(type), highest(type)), right_quant)
          : model.input(type, shapes.right, right_quant);
  const auto out = model.activation(type, shapes.out, out_quant);
  if (code == tflite::BuiltinOperator_ADD) {
    tflite::AddOptionsT options;
    options.fused_activation_function = activation;
    model.op(code, {left, right}, {out}, options);
  } else if (code == tflite::BuiltinOperator_SUB) {
    tflite::SubOptionsT options;
    options.fused_activation_function = activation;
    model.op(code, {left, right}, {out}, options);
  } else {
    tflite::MulOptionsT options;
    options.fused_activation_function = activation;
    model.op(code, {left, right}, {out}, options);
  }
  suite.add(file,
            std::format("{} {} {}{} act {}", type_name(type), text(shapes.left), text(shapes.right),
                        shapes.right_is_constant ? " constant" : "", static_cast<int>(activation)),
            seed, model.finish({out}));
}

void add_binaries(Suite& suite) {
  const std::vector<Operands> shapes = {
      {{1, 5, 7, 3}, {1, 5, 7, 3}, {1, 5, 7, 3}},
      {{1, 4, 4, 33}, {1, 4, 4, 33}, {1, 4, 4, 33}},
      {{1, 6, 6, 16}, {1, 1, 1, 16}, {1, 6, 6, 16}},
      {{1, 1, 1, 17}, {1, 5, 3, 17}, {1, 5, 3, 17}},
      {{2, 3, 5, 7}, {3, 5, 7}, {2, 3, 5, 7}},
      {{1, 5, 5, 5}, {5}, {1, 5, 5, 5}, true},
      {{1, 5, 5, 8}, {1}, {1, 5, 5, 8}, true},
      {{1, 4, 5, 6}, {1, 4, 5, 1}, {1, 4, 5, 6}},
      {{1, 4, 1, 6}, {1, 1, 5, 6}, {1, 4, 5, 6}},
      {{7, 9}, {7, 9}, {7, 9}},
      {{130}, {130}, {130}},
  };
  struct Entry {
    const char* file;
    BuiltinOperator code;
  };
  std::uint64_t seed = 3000;
  for (const auto& entry : {Entry{"add", tflite::BuiltinOperator_ADD}, Entry{"sub", tflite::BuiltinOperator_SUB},
                            Entry{"mul", tflite::BuiltinOperator_MUL}}) {
    for (const auto type : kTypes) {
      for (const auto& item : shapes) {
        add_binary(suite, entry.file, entry.code, type, item, tflite::ActivationFunctionType_NONE, seed++);
      }
      for (const auto activation : kActivations)
        add_binary(suite, entry.file, entry.code, type, shapes[0], activation, seed++);
    }
  }
}

/// A function of one value, over all 256 inputs, for several quantisations.
template <class AddOp>
void add_function(Suite& suite, const char* file, std::uint64_t seed, bool probability, AddOp add_op) {
  constexpr int kQuantisations = 6;
  for (const auto type : kTypes) {
    for (int i = 0; i < kQuantisations; ++i) {
      Random random(seed);
      const auto zero_point = [&] {  // the first is the middle, the last is anywhere
        if (i == 0) return lowest(type) + 128;
        const auto margin = i == kQuantisations - 1 ? 0 : 60;
        return random.between(lowest(type) + margin, highest(type) - margin);
      };
      const auto in_quant = quant(random.real(0.01, probability ? 0.06 : 0.08), zero_point());
      const auto out_quant =
          probability ? quant(1.0 / 256, lowest(type)) : quant(random.real(0.02, 0.06), zero_point());
      ModelBuilder model;
      const auto in = model.input(type, {1, 16, 16, 1}, in_quant);
      const auto out = model.activation(type, {1, 16, 16, 1}, out_quant);
      add_op(model, in, out);
      suite.add(file, std::format("{} all values, quantisation {}", type_name(type), i), seed, model.finish({out}),
                {all_values()});
      ++seed;
    }
  }
}

void add_functions(Suite& suite) {
  const auto plain = [](BuiltinOperator code) {
    return [code](ModelBuilder& model, std::int32_t in, std::int32_t out) { model.op(code, {in}, {out}); };
  };
  add_function(suite, "relu", 4000, false, plain(tflite::BuiltinOperator_RELU));
  add_function(suite, "relu6", 4100, false, plain(tflite::BuiltinOperator_RELU6));
  add_function(suite, "relu_n1_to_1", 4200, false, plain(tflite::BuiltinOperator_RELU_N1_TO_1));
  add_function(suite, "hard_swish", 4300, false, plain(tflite::BuiltinOperator_HARD_SWISH));
  add_function(suite, "logistic", 4400, true, plain(tflite::BuiltinOperator_LOGISTIC));
  for (const auto alpha : {0.1F, 0.01F, 0.3F, 1.5F}) {
    add_function(suite, "leaky_relu", 4600 + static_cast<std::uint64_t>(alpha * 1000), false,
                 [alpha](ModelBuilder& model, std::int32_t in, std::int32_t out) {
                   tflite::LeakyReluOptionsT options;
                   options.alpha = alpha;
                   model.op(tflite::BuiltinOperator_LEAKY_RELU, {in}, {out}, options);
                 });
  }
  for (const auto type : kTypes) {  // TANH demands scale 1/128 and the middle as its zero point
    for (std::uint64_t seed = 4900; seed < 4904; ++seed) {
      Random random(seed);
      ModelBuilder model;
      const auto in = model.input(type, {1, 16, 16, 1},
                                  quant(random.real(0.005, 0.06), random.between(lowest(type), highest(type))));
      const auto out = model.activation(type, {1, 16, 16, 1}, quant(1.0 / 128, lowest(type) + 128));
      model.op(tflite::BuiltinOperator_TANH, {in}, {out});
      suite.add("tanh", std::format("{} all values, seed {}", type_name(type), seed), seed, model.finish({out}),
                {all_values()});
    }
  }
}

/// All values that have a reciprocal root: from the zero point, which the reference answers with the most there is.
void add_rsqrt(Suite& suite) {
  for (std::uint64_t seed = 4950; seed < 4956; ++seed) {
    Random random(seed);
    const auto zero_in = seed < 4954 ? -128 : random.between(-127, 0);
    const double scale = random.real(0.001, 0.2);
    std::vector<std::uint8_t> bytes;
    for (int q = zero_in; q < 128; ++q) bytes.push_back(static_cast<std::uint8_t>(q));
    const auto count = static_cast<std::int32_t>(bytes.size());
    // The least value's answer is the range's end, or a tenth of the range is left to the values above it.
    const auto out_quant = quant(1 / std::sqrt(scale) / (seed % 2 == 0 ? 255 : 2550), seed % 3 == 0 ? 3 : -128);
    ModelBuilder model;
    const auto in = model.input(tflite::TensorType_INT8, {1, count}, quant(scale, zero_in));
    const auto out = model.activation(tflite::TensorType_INT8, {1, count}, out_quant);
    model.op(tflite::BuiltinOperator_RSQRT, {in}, {out});
    suite.add("rsqrt", std::format("int8 from the zero point, seed {}", seed), seed, model.finish({out}), {bytes});
  }
}

void add_prelu(Suite& suite) {
  const std::pair<Shape, Shape> shapes[] = {{{1, 5, 7, 9}, {1, 1, 9}},
                                            {{1, 8, 8, 16}, {1, 1, 16}},
                                            {{2, 3, 4, 5}, {3, 4, 5}},
                                            {{1, 6, 6, 3}, {1, 1, 1}},
                                            {{1, 4, 4, 33}, {1, 1, 33}}};
  std::uint64_t seed = 5000;
  for (const auto type : kTypes) {
    for (const auto& [shape, alpha_shape] : shapes) {
      Random random(seed);
      const auto in_quant = quant(random.real(0.01, 0.05), random.between(lowest(type) + 90, highest(type) - 90));
      const auto out_quant = quant(random.real(0.02, 0.05), random.between(lowest(type) + 80, highest(type) - 80));
      const auto alpha_quant = quant(random.real(0.001, 0.01), random.between(lowest(type) + 60, highest(type) - 60));
      ModelBuilder model;
      const auto in = model.input(type, shape, in_quant);
      const auto alpha =
          model.constant(type, alpha_shape,
                         random_bytes(random, element_count(alpha_shape), lowest(type), highest(type)), alpha_quant);
      const auto out = model.activation(type, shape, out_quant);
      model.op(tflite::BuiltinOperator_PRELU, {in, alpha}, {out});
      suite.add("prelu", std::format("{} {} alpha {}", type_name(type), text(shape), text(alpha_shape)), seed,
                model.finish({out}));
      ++seed;
    }
  }
}

/// QUANTIZE in all its directions, DEQUANTIZE.
void add_quantize(Suite& suite) {
  constexpr TensorType kSources[] = {tflite::TensorType_FLOAT32, tflite::TensorType_INT8, tflite::TensorType_UINT8};
  std::uint64_t seed = 5500;
  for (const auto from : kSources) {
    for (const auto to : kSources) {
      if (from == tflite::TensorType_FLOAT32 && to == tflite::TensorType_FLOAT32) continue;
      for (int i = 0; i < 5; ++i) {
        Random random(seed);
        const auto quant_of = [&](TensorType type, bool same) {
          if (type == tflite::TensorType_FLOAT32) return Quant{};
          const auto margin = i == 4 ? 0 : 80;
          const auto zero_point = random.between(lowest(type) + margin, highest(type) - margin);
          return quant(same ? 0.31 : random.real(0.15, 0.45), zero_point);
        };
        const Shape shape = i == 1 ? Shape{77} : Shape{1, 16, 16, 1};
        const bool same_scale = i == 2;  // only the zero points differ: TFLite has a path of its own
        ModelBuilder model;
        const auto in = model.input(from, shape, quant_of(from, same_scale));
        const auto out = model.activation(to, shape, quant_of(to, same_scale));
        const bool to_float = to == tflite::TensorType_FLOAT32;
        model.op(to_float ? tflite::BuiltinOperator_DEQUANTIZE : tflite::BuiltinOperator_QUANTIZE, {in}, {out});
        const auto name = std::format("{} to {} {} {}", type_name(from), type_name(to), text(shape), i);
        const char* file = to_float ? "dequantize" : "quantize";
        if (from != tflite::TensorType_FLOAT32 && i != 1) {
          suite.add(file, name, seed, model.finish({out}), {all_values()});
        } else {
          suite.add(file, name, seed, model.finish({out}));
        }
        ++seed;
      }
    }
  }
}

}  // namespace

void add_elementwise(Suite& suite) {
  add_binaries(suite);
  add_functions(suite);
  add_prelu(suite);
  add_rsqrt(suite);
  add_quantize(suite);
}

}  // namespace wayside::conformance
