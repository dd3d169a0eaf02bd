// SPDX-License-Identifier: Apache-2.0
// Follows the channels of all layers through a graph and ties those together that can only go together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// Number of one output channel of one layer; kFixedLabel is tied to all that must stay.
using Label = std::size_t;
inline constexpr Label kFixedLabel = 0;

class UnionFind {
 public:
  std::size_t add() {
    parent_.push_back(parent_.size());
    return parent_.size() - 1;
  }
  std::size_t find(std::size_t x) {
    while (parent_[x] != x) x = parent_[x] = parent_[parent_[x]];
    return x;
  }
  void join(std::size_t a, std::size_t b) {
    a = find(a), b = find(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<std::size_t> parent_;
};

/// What a tensor holds along its channel axis. `rest` is the value of a channel everywhere once its layers' weights are
/// zero; kUnknown where that differs from place to place or depends on the input.
struct Trace {
  int axis = -1;
  std::vector<Label> label;
  std::vector<float> rest;
  [[nodiscard]] bool known() const { return axis >= 0; }
};
inline constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

class ChannelTracer {
 public:
  explicit ChannelTracer(const ir::Graph& graph);

  [[nodiscard]] const Trace& trace(ir::TensorId id) const { return traces_[id]; }
  [[nodiscard]] UnionFind& ties() { return ties_; }
  struct Origin {
    std::size_t op, channel;
  };
  /// Of each label but kFixedLabel, whose entry says nothing.
  [[nodiscard]] const std::vector<Origin>& origins() const { return origins_; }

 private:
  void fix(const Trace& trace);
  /// The operator cannot do without any of these channels, and its output has none that could go.
  Trace stuck(const ir::Op& op);
  Trace layer(std::size_t index);
  Trace unary(const ir::Op& op);
  Trace binary(const ir::Op& op);
  Trace concat(const ir::Op& op);
  Trace reshape(const ir::Op& op);
  Trace slice(const ir::Op& op);
  Trace follow(std::size_t index);

  const ir::Graph& graph_;
  std::vector<Trace> traces_;
  std::vector<Origin> origins_;
  UnionFind ties_;
};

}  // namespace wayside::optimizer
