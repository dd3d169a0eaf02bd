// SPDX-License-Identifier: Apache-2.0
// Interpreter: runs a graph in float, or with the rounding of INT8 put in, on plain arrays; libtorch stays behind it.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "optimizer/ir/graph.h"
#include "optimizer/quantize/scheme.h"

namespace wayside::optimizer::ir {

/// Values of one tensor in the graph's order (rank 4: NHWC).
using Values = std::vector<float>;

class Interpreter {
 public:
  /// Takes a copy of the graph, whose shapes are consistent (an Assembler made it).
  explicit Interpreter(const Graph& graph);
  ~Interpreter();
  Interpreter(Interpreter&&) noexcept;

  /// One entry for each input and output of the graph.
  [[nodiscard]] std::vector<Values> run(const std::vector<Values>& inputs);

  /// Called by run() with each input and each computed tensor, before rounding. Empty: off.
  using Observer = std::function<void(TensorId, std::span<const float>)>;
  void observe(Observer observer);

  /// From now on the readers of each input and computed tensor get these values, in the graph's order, instead of
  /// rounded ones; they live until run() returns. Weights are rounded as the scheme says. Empty: off.
  using Replacement = std::function<std::span<const float>(TensorId)>;
  void replace(Replacement replacement);

  /// From now on activations and weights are rounded as the scheme says. Empty: float.
  void simulate(Scheme scheme);

 private:
  struct Torch;
  std::unique_ptr<Torch> torch_;
};

/// Threads that every interpreter of the process uses.
void set_interpreter_threads(int count);

}  // namespace wayside::optimizer::ir
