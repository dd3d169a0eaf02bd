// SPDX-License-Identifier: Apache-2.0
// Graph: the optimiser's intermediate representation: a float network, NHWC, operators in order of execution.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::optimizer::ir {

/// Formulas at struct Op.
enum class OpKind : std::uint8_t {
  // with weights
  conv,
  depthwise_conv,
  fully_connected,
  // windows
  max_pool,
  average_pool,
  resize_nearest,
  resize_bilinear,
  // two inputs, which may be broadcast
  add,
  sub,
  mul,
  div,
  // one element at a time
  relu,
  clip,
  leaky_relu,
  prelu,
  elu,
  logistic,
  tanh,
  hard_swish,
  exp,
  sqrt,
  abs,
  // along axes
  softmax,
  mean,
  sum,
  // no arithmetic: see moves_only()
  concat,
  reshape,
  transpose,
  slice,
  pad,
};
[[nodiscard]] std::string_view to_string(OpKind kind);
enum class Activation : std::uint8_t { none, relu, relu6 };

/// Pictures are N, H, W, C. Every dimension is positive; at most kMaxRank of them; scalars have the shape {1}.
using Shape = std::vector<int>;
inline constexpr std::size_t kMaxRank = 6;
[[nodiscard]] std::size_t element_count(const Shape& shape);
[[nodiscard]] std::string to_string(const Shape& shape);
using TensorId = std::size_t;

struct Tensor {
  std::string name;
  Shape shape{};
  std::vector<float> constant{};  ///< contents, row by row; empty: computed at run time
  float low = 0, high = 0;        ///< the range that an imported quantised file states; equal: none
};

/// Where a convolution or pool reads: rows and columns of zero points around the picture (pools: of nothing).
struct SlidingWindow {
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int top = 0, left = 0, bottom = 0, right = 0;
  bool operator==(const SlidingWindow&) const = default;
};

/// Per-channel normalisation that follows a convolution in training: y = (x - mean) / sqrt(variance + epsilon) * gamma
/// + beta. Empty vectors: none.
struct BatchNorm {
  std::vector<float> gamma, beta, mean, variance;
  [[nodiscard]] bool empty() const { return gamma.empty(); }
};
/// Keeps the division finite; PyTorch's default.
inline constexpr float kBatchNormEpsilon = 1e-5F;

/// conv:            out[n,y,x,o] = act(bn(bias[o] + sum_{i,j,c} in[n, y*stride+i*dilation-top,
/// x*stride+j*dilation-left,
///                  c] * weight[o,i,j,c]))
/// depthwise_conv:  the same with c = o / (outputs / inputs) only; weight is [1,kernel_h,kernel_w,outputs].
/// fully_connected: out[..,o] = act(bias[o] + sum_c in[..,c] * weight[o,c]); the input may have any rank.
/// max_pool, average_pool: over the window; the average is over the px inside the picture only.
/// resize_nearest:  out[y,x] = in[floor(y * h_in / h_out), ..] (TFLite: half_pixel_centers = align_corners = false).
/// resize_bilinear: half_pixel_centers = true, or align_corners where `align_corners` is set.
/// add, sub, mul, div: act(a op b), broadcast as numpy does over equal ranks.
/// relu: max(x, 0). clip: min(max(x, alpha), beta). leaky_relu: x < 0 ? alpha * x : x. prelu: the same with
/// inputs[1] = the constant slopes [channels]. elu: x < 0 ? alpha * (e^x - 1) : x. hard_swish: x*clip(x+3,0,6)/6.
/// sqrt: 1 / sqrt(x) where alpha is negative. softmax: along axes[0]. mean, sum: over `axes`, which stay as ones.
/// concat:          along axes[0]. reshape: to the output's shape, elements in the same order.
/// transpose:       out's axis i is in's axis axes[i].
/// slice:           out[i..] = in[axes[k] + i_k * steps[k]..]; the output's shape says how many; steps may be negative.
/// pad:             axes = before, after for each axis; filled with alpha.
struct Op {
  OpKind kind = OpKind::conv;
  std::vector<TensorId> inputs;
  TensorId output = 0;
  Activation activation = Activation::none;  ///< of operators with weights, and of add, sub, mul and div
  SlidingWindow window;
  std::vector<float> weight;  ///< conv: [out,kernel_h,kernel_w,in]
  std::vector<float> bias;    ///< [out]
  BatchNorm norm;
  std::vector<int> axes, steps;
  float alpha = 0, beta = 0;
  bool align_corners = false;
};

[[nodiscard]] bool has_weights(OpKind kind);
/// True for operators with one computed input that put elements elsewhere and change none.
[[nodiscard]] bool moves_only(OpKind kind);

struct Graph {
  std::vector<Tensor> tensors;
  std::vector<Op> ops;
  std::vector<TensorId> inputs, outputs;
};

/// Rows or columns that TFLite's SAME padding puts before the first: half of the total, the smaller half.
struct SamePadding {
  int before = 0, after = 0;
};
[[nodiscard]] SamePadding same_padding(int in, int kernel, int stride, int dilation = 1);
/// The window is what TFLite's SAME computes for a picture of this size; false also where it is VALID (no padding).
[[nodiscard]] bool is_same(const SlidingWindow& window, int rows, int columns);
[[nodiscard]] bool is_valid(const SlidingWindow& window);

/// Multiply-accumulates of all convolutions, and number of weights.
struct Cost {
  std::uint64_t mac_count = 0;
  std::uint64_t weight_count = 0;
};
[[nodiscard]] Cost cost(const Graph& graph);

/// The producer of each tensor, kNoOp for inputs and constants.
inline constexpr std::size_t kNoOp = static_cast<std::size_t>(-1);
[[nodiscard]] std::vector<std::size_t> producers(const Graph& graph);
/// How many operators read each tensor, and how often it is an output of the graph.
[[nodiscard]] std::vector<std::size_t> uses(const Graph& graph);

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
