// SPDX-License-Identifier: Apache-2.0
// Decomposition by libtorch's LAPACK; the roots of the singular values go to both halves, so that neither needs more
// bits.
#include "optimizer/tune/low_rank.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using ir::Op;
using ir::OpKind;

std::vector<float> to_vector(const at::Tensor& tensor) {
  const auto flat = tensor.contiguous().flatten();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

/// weight [out,kh,kw,in], or [out,1,1,in] of a fully connected layer.
at::Tensor weight_of(const Op& op) {
  const auto out = static_cast<std::int64_t>(op.bias.size()), rows = static_cast<std::int64_t>(op.window.kernel_h),
             columns = static_cast<std::int64_t>(op.window.kernel_w);
  const auto flat =
      at::from_blob(const_cast<float*>(op.weight.data()), {static_cast<std::int64_t>(op.weight.size())}, at::kFloat);
  return flat.view({out, rows, columns, -1});
}

/// One way to cut a layer in two.
struct Cut {
  FactorisedLayer layer;
  Op first, second;
  ir::Shape between;
};

std::size_t choose_rank(const std::vector<float>& singular, const LowRankOptions& options) {
  if (options.rank_share) {
    const double wanted = std::round(*options.rank_share * static_cast<double>(singular.size()));
    return std::max<std::size_t>(1, static_cast<std::size_t>(wanted));
  }
  double sum = 0, kept = 0;
  for (const float s : singular) sum += static_cast<double>(s) * static_cast<double>(s);
  for (std::size_t rank = 0; rank < singular.size(); ++rank) {
    if (kept >= options.energy * sum && rank > 0) return rank;
    kept += static_cast<double>(singular[rank]) * static_cast<double>(singular[rank]);
  }
  return singular.size();
}

double energy_share(const std::vector<float>& singular, std::size_t rank) {
  double sum = 0, kept = 0;
  for (std::size_t i = 0; i < singular.size(); ++i) {
    const double square = static_cast<double>(singular[i]) * static_cast<double>(singular[i]);
    sum += square;
    if (i < rank) kept += square;
  }
  return sum > 0 ? kept / sum : 1;
}

std::uint64_t macs(const Op& op, const ir::Shape& in, const ir::Shape& out) {
  ir::Graph alone;
  alone.tensors = {{.name = "in", .shape = in}, {.name = "out", .shape = out}};
  alone.ops = {op};
  alone.ops[0].inputs = {0};
  alone.ops[0].output = 1;
  return ir::cost(alone).mac_count;
}

class Factoriser {
 public:
  Factoriser(const ir::Graph& graph, const LowRankOptions& options)
      : graph_(graph), options_(options), out_{graph, {}} {
    out_.graph.ops.clear();
  }

  LowRank run() {
    for (const Op& op : graph_.ops) {
      if (!take(op)) out_.graph.ops.push_back(op);
    }
    return std::move(out_);
  }

 private:
  /// Replaces the layer by two where that saves enough.
  bool take(const Op& op) {
    if (op.kind != OpKind::conv && op.kind != OpKind::fully_connected) return false;
    Cut best = by_channel(op);
    if (op.window.kernel_h > 1 && op.window.kernel_w > 1) {
      Cut other = by_space(op);
      if (other.layer.kept_mac_share < best.layer.kept_mac_share) best = std::move(other);
    }
    if (best.layer.kept_mac_share > 1 - options_.least_saving) return false;
    best.layer.name = graph_.tensors[op.output].name;
    out_.graph.tensors.push_back({.name = best.layer.name + "_rank", .shape = std::move(best.between)});
    best.first.output = out_.graph.tensors.size() - 1;
    best.second.inputs = {best.first.output};
    out_.graph.ops.push_back(std::move(best.first));
    out_.graph.ops.push_back(std::move(best.second));
    out_.layers.push_back(std::move(best.layer));
    return true;
  }

  struct Halves {
    at::Tensor left, right;  ///< [rows,rank] and [rank,columns]
  };
  Halves decompose(const at::Tensor& matrix, FactorisedLayer& layer) const {
    const auto [u, s, v] = at::linalg_svd(matrix, false);
    const auto singular = to_vector(s);
    layer.full_rank = singular.size();
    layer.rank = std::min(choose_rank(singular, options_), singular.size());
    layer.kept_energy = energy_share(singular, layer.rank);
    const auto rank = static_cast<std::int64_t>(layer.rank);
    const auto root = s.narrow(0, 0, rank).sqrt();
    return {u.narrow(1, 0, rank) * root, root.unsqueeze(1) * v.narrow(0, 0, rank)};
  }

  void count(Cut& cut, const Op& op) const {
    const auto& in = graph_.tensors[op.inputs[0]].shape;
    const auto& out = graph_.tensors[op.output].shape;
    const auto both = macs(cut.first, in, cut.between) + macs(cut.second, cut.between, out);
    cut.layer.kept_mac_share = static_cast<double>(both) / static_cast<double>(macs(op, in, out));
  }

  [[nodiscard]] Cut by_channel(const Op& op) const {
    Cut cut{.layer = {.form = Factorisation::channel}, .first = op, .second = op, .between = {}};
    const auto [left, right] = decompose(weight_of(op).flatten(1), cut.layer);
    cut.first.activation = ir::Activation::none;
    cut.first.weight = to_vector(right);  // [rank, kh*kw*in]
    cut.first.bias.assign(cut.layer.rank, 0);
    cut.second.weight = to_vector(left);  // [out, rank]
    cut.second.window = {};
    cut.between = graph_.tensors[op.output].shape;
    cut.between.back() = static_cast<int>(cut.layer.rank);
    count(cut, op);
    return cut;
  }

  [[nodiscard]] Cut by_space(const Op& op) const {
    Cut cut{.layer = {.form = Factorisation::spatial}, .first = op, .second = op, .between = {}};
    const auto weight = weight_of(op);
    const std::int64_t out = weight.size(0), rows = weight.size(1), columns = weight.size(2), in = weight.size(3);
    const auto matrix = weight.permute({1, 3, 2, 0}).reshape({rows * in, columns * out});
    const auto [left, right] = decompose(matrix, cut.layer);
    cut.first.activation = ir::Activation::none;
    cut.first.weight = to_vector(left.t());  // [rank,kh,1,in]
    cut.first.bias.assign(cut.layer.rank, 0);
    const ir::SlidingWindow& w = op.window;
    cut.first.window = {
        .kernel_h = w.kernel_h, .stride_h = w.stride_h, .dilation_h = w.dilation_h, .top = w.top, .bottom = w.bottom};
    cut.second.weight = to_vector(right.view({-1, columns, out}).permute({2, 1, 0}));  // [out,1,kw,rank]
    cut.second.window = {
        .kernel_w = w.kernel_w, .stride_w = w.stride_w, .dilation_w = w.dilation_w, .left = w.left, .right = w.right};
    cut.between = graph_.tensors[op.output].shape;
    cut.between[2] = graph_.tensors[op.inputs[0]].shape[2];
    cut.between[3] = static_cast<int>(cut.layer.rank);
    count(cut, op);
    return cut;
  }

  const ir::Graph& graph_;
  const LowRankOptions& options_;
  LowRank out_;
};

}  // namespace

base::Result<LowRank> factorise(const ir::Graph& graph, const LowRankOptions& options) {
  const auto is_share = [](double share) { return share > 0 && share <= 1; };
  if (!is_share(options.energy) || !is_share(options.rank_share.value_or(1)))
    return fail(Code::invalid_argument, "low rank: energy and rank share lie above 0 and up to 1");
  for (const Op& op : graph.ops) {
    if (!op.norm.empty()) {
      return fail(Code::invalid_argument, std::format("low rank: \"{}\" has a batch norm; call fold_batch_norm first",
                                                      graph.tensors[op.output].name));
    }
  }
  return Factoriser(graph, options).run();
}

}  // namespace wayside::optimizer
