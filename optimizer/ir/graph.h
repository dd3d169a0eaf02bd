// SPDX-License-Identifier: Apache-2.0
// Graph: the optimiser's intermediate representation: a small float network, NHWC, operators in order of execution.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace wayside::optimizer::ir {

enum class OpKind : std::uint8_t { conv, depthwise_conv, add, resize_nearest, logistic };
enum class Activation : std::uint8_t { none, relu, relu6 };

using Shape = std::array<int, 4>;  ///< N, H, W, C
using TensorId = std::size_t;

struct Tensor {
  std::string name;
  Shape shape{};
};

/// Per-channel normalisation that follows a convolution in training: y = (x - mean) / sqrt(variance + epsilon) * gamma
/// + beta. Empty vectors: none.
struct BatchNorm {
  std::vector<float> gamma, beta, mean, variance;
  [[nodiscard]] bool empty() const { return gamma.empty(); }
};
/// Keeps the division finite; PyTorch's default.
inline constexpr float kBatchNormEpsilon = 1e-5F;

/// conv:            out[n,y,x,o] = act(bn(bias[o] + sum_{i,j,c} in[n, y*stride+i-pad, x*stride+j-pad, c] *
/// weight[o,i,j,c])) depthwise_conv:  the same with c = o only; weight is [1,kernel,kernel,channels]. Padding is
/// TFLite's SAME. add:             act(inputs[0] + inputs[1]), equal shapes. resize_nearest:  every px doubled in both
/// directions (TFLite: half_pixel_centers = false, align_corners = false). logistic:        1 / (1 + exp(-x)).
struct Op {
  OpKind kind = OpKind::conv;
  std::vector<TensorId> inputs;
  TensorId output = 0;
  Activation activation = Activation::none;
  int kernel = 1, stride = 1;  ///< convolutions only
  std::vector<float> weight;   ///< conv: [out,kernel,kernel,in]; depthwise: [1,kernel,kernel,channels]
  std::vector<float> bias;     ///< [out]
  BatchNorm norm;
};

struct Graph {
  std::vector<Tensor> tensors;
  std::vector<Op> ops;
  std::vector<TensorId> inputs, outputs;
};

/// Rows or columns that TFLite's SAME padding puts before the first: half of the total, the smaller half.
struct SamePadding {
  int before = 0, after = 0;
};
[[nodiscard]] SamePadding same_padding(int in, int kernel, int stride);

/// Multiply-accumulates of all convolutions, and number of weights.
struct Cost {
  std::uint64_t mac_count = 0;
  std::uint64_t weight_count = 0;
};
[[nodiscard]] Cost cost(const Graph& graph);

/// Appends an op whose output is a new tensor; shapes are derived from the inputs. Weights are left empty.
class Builder {
 public:
  TensorId input(std::string name, Shape shape);
  TensorId conv(TensorId in, std::string name, int out_channels, int kernel, int stride, Activation activation,
                bool batch_norm);
  TensorId depthwise(TensorId in, std::string name, int kernel, int stride, Activation activation, bool batch_norm);
  TensorId add(TensorId a, TensorId b, std::string name, Activation activation);
  TensorId resize_nearest(TensorId in, std::string name);
  void output(TensorId tensor) { graph_.outputs.push_back(tensor); }
  [[nodiscard]] Graph take() { return std::move(graph_); }

 private:
  TensorId append(Op op, std::string name, Shape shape);
  Graph graph_;
};

/// Replaces each batch norm by a scaled weight and a bias. Afterwards every convolution has a bias and no norm.
void fold_batch_norm(Graph& graph);

/// Puts a logistic after output tensor `tensor`; the new tensor takes over its name and its place among the outputs.
void append_logistic(Graph& graph, TensorId tensor);

}  // namespace wayside::optimizer::ir
