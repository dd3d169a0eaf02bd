// SPDX-License-Identifier: Apache-2.0
// Which cuts a range makes that the operators do not.
#include "optimizer/import/stated_range.h"

#include <cmath>
#include <utility>

namespace wayside::optimizer {
namespace {

using ir::Op;
using ir::OpKind;

/// True where the last operator gives nothing below 0 by itself, or only hands on what its inputs give.
bool cannot_be_negative(const Op& op) {
  switch (op.kind) {
    case OpKind::relu:
    case OpKind::logistic:
    case OpKind::softmax:
    case OpKind::abs:
    case OpKind::sqrt:
    case OpKind::exp:
    case OpKind::max_pool:
    case OpKind::average_pool:
    case OpKind::resize_nearest:
    case OpKind::resize_bilinear:
    case OpKind::mean:
    case OpKind::concat: return true;
    case OpKind::clip: return op.alpha >= 0;
    default: return moves_only(op.kind) || op.activation != ir::Activation::none;
  }
}

}  // namespace

StatedRange range_of(float scale, int zero_point, int least) {
  constexpr int kSteps = 255;
  return {scale * static_cast<float>(least - zero_point), scale * static_cast<float>(least + kSteps - zero_point)};
}

base::Result<ir::TensorId> state_range(ir::Assembler& assembler, ir::TensorId id, StatedRange range) {
  ir::Graph& graph = assembler.graph();
  const bool computed = !graph.ops.empty() && graph.ops.back().output == id;
  if (computed && range.low == 0 && !cannot_be_negative(graph.ops.back())) {
    constexpr float kSix = 6;
    const bool six = std::abs(range.high - kSix) < (range.high - range.low) / 255;
    const Op cut =
        six ? Op{.kind = OpKind::clip, .inputs = {id}, .beta = kSix} : Op{.kind = OpKind::relu, .inputs = {id}};
    const std::string name = graph.tensors[id].name;
    graph.tensors[id].name += "/uncut";
    WAYSIDE_TRY(id, assembler.append(cut, name));
  }
  graph.tensors[id].low = range.low;
  graph.tensors[id].high = range.high;
  return id;
}

}  // namespace wayside::optimizer
