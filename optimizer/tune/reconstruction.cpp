// SPDX-License-Identifier: Apache-2.0
// Block-wise elimination in the inverse of each reader's matrix.
#include "optimizer/tune/reconstruction.h"

#include <torch/torch.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "optimizer/ir/torch_model.h"
#include "optimizer/tune/channel_groups.h"
#include "optimizer/tune/linear_layer.h"
#include "optimizer/tune/projection.h"
#include "optimizer/tune/torch_samples.h"

namespace wayside::optimizer {
namespace {

using base::Result;

/// Samples, spread over the set.
constexpr std::size_t kMostSamples = 64;
/// Added to the diagonal, in parts of its mean.
constexpr double kRidge = 1e-2;

bool is_dense(const ir::Op& op) { return op.kind == ir::OpKind::conv || op.kind == ir::OpKind::fully_connected; }

/// What the samples say about each dense layer.
struct Observed {
  std::vector<torch::Tensor> square;  ///< [inputs * taps + 1, the same], sum over places, mean of samples
  std::vector<torch::Tensor> gain;    ///< [outputs], mean over places and samples of the derivative's square
};

class Observer {
 public:
  Observer(const ir::Graph& graph, std::uint64_t seed)
      : graph_(graph), model_(graph), random_(at::make_generator<at::CPUGeneratorImpl>(seed)) {
    model_.read_weights(graph);
    model_.eval();
    model_.observe([this](ir::TensorId id, const torch::Tensor& x) {
      values_[id] = x;
      if (x.requires_grad()) x.retain_grad();
    });
  }

  Result<Observed> observe(const Samples& samples) {
    Observed out{.square = std::vector<torch::Tensor>(graph_.ops.size()),
                 .gain = std::vector<torch::Tensor>(graph_.ops.size())};
    const std::size_t count = std::min(samples.count, kMostSamples);
    for (std::size_t s = 0; s < count; ++s) {
      WAYSIDE_TRY(const auto x, load_sample(graph_, samples, s * samples.count / count));
      values_.assign(graph_.tensors.size(), {});
      model_.zero_grad();
      projected(model_.forward(x), random_).backward();
      const torch::NoGradGuard no_grad;
      for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
        if (is_dense(graph_.ops[i])) add(i, 1.0 / static_cast<double>(count), out);
      }
    }
    return out;
  }

 private:
  void add(std::size_t index, double weight, Observed& out) {
    const ir::Op& op = graph_.ops[index];
    const auto& y = values_[op.output];
    if (!y.grad().defined()) return;  // nothing that the outputs need
    auto slope = y.grad().square();
    if (op.activation != ir::Activation::none) slope = slope * (y > 0);
    const std::int64_t axis = y.dim() == 4 ? 1 : y.dim() - 1;
    const auto gain = slope.transpose(0, axis).flatten(1).mean(1).to(torch::kDouble) * weight;
    out.gain[index] = out.gain[index].defined() ? out.gain[index] + gain : gain;
    const auto unknowns = static_cast<std::int64_t>(op.weight.size() / op.bias.size()) + 1;
    if (unknowns > kMostUnknowns) return;
    const std::int64_t places = place_count(graph_, op);
    const auto stride = std::max<std::int64_t>(1, places / (wanted_places(unknowns) / kLeastSamples + 1));
    const auto rows = places_read(op, values_[op.inputs[0]], stride)[0];
    const auto square = rows.mm(rows.t()) * (weight * static_cast<double>(stride));
    out.square[index] = out.square[index].defined() ? out.square[index] + square : square;
  }

  static constexpr std::int64_t kLeastSamples = 16;  ///< one sample gives this part of the places
  const ir::Graph& graph_;
  ir::TorchModel model_;
  torch::Generator random_;
  std::vector<torch::Tensor> values_;
};

/// A dense layer that reads channels that may go.
struct Reader {
  torch::Tensor inverse, weight;              ///< [n,n] and [outputs,n], times the root of the gain
  std::map<std::size_t, torch::Tensor> read;  ///< by group: its places among the n
  std::map<std::size_t, double> costs;        ///< of those
};

class Elimination {
 public:
  Elimination(const ir::Graph& graph, const ChannelGroups& groups, const Observed& observed,
              const PruneOptions& options)
      : graph_(graph),
        groups_(groups),
        readers_(graph.ops.size()),
        readers_of_(groups.groups.size()),
        inputs_(graph.ops.size()),
        outputs_(graph.ops.size()),
        least_(graph.ops.size()) {
    for (std::size_t i = 0; i < graph.ops.size(); ++i) {
      const ir::Op& op = graph.ops[i];
      if (!ir::has_weights(op.kind)) continue;
      outputs_[i] = op.bias.size();
      least_[i] = std::max<std::size_t>(
          1, static_cast<std::size_t>(static_cast<double>(op.bias.size()) * options.least_kept_channels));
      inputs_[i] = op.kind == ir::OpKind::depthwise_conv
                       ? 1
                       : static_cast<std::size_t>(graph.tensors[op.inputs[0]].shape.back());
      if (is_dense(op)) open(i, observed);
    }
  }

  RemovalOrder run() {
    for (std::size_t i = 0; i < readers_.size(); ++i) price(i);
    std::vector<bool> gone(groups_.groups.size());
    RemovalOrder order;
    while (true) {
      std::size_t best = gone.size();
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t g = 0; g < gone.size(); ++g) {
        if (gone[g] || !may_go(g)) continue;
        const double price = cost(g) / static_cast<double>(saving(g));
        if (best < gone.size() && !(price < least)) continue;
        least = price;
        best = g;
      }
      if (best == gone.size()) break;
      gone[best] = true;
      order.push_back(best);
      remove(best);
    }
    for (std::size_t g = 0; g < gone.size(); ++g) {
      if (!gone[g]) order.push_back(g);
    }
    return order;
  }

 private:
  void open(std::size_t index, const Observed& observed) {
    const ir::Op& op = graph_.ops[index];
    const auto& placement = groups_.tensors[op.inputs[0]];
    if (!observed.gain[index].defined() || placement.axis < 0) return;
    const auto flat = linear_layer_of(op).weight.flatten(1).to(torch::kDouble);
    const std::int64_t taps = op.window.kernel_h * op.window.kernel_w, unknowns = flat.size(1) + 1;
    std::map<std::size_t, std::vector<std::int64_t>> read;
    for (std::size_t channel = 0; channel < placement.group.size(); ++channel) {
      if (placement.group[channel] == ChannelGroups::kFixed) continue;
      for (std::int64_t tap = 0; tap < taps; ++tap)
        read[placement.group[channel]].push_back(static_cast<std::int64_t>(channel) * taps + tap);
    }
    Reader& reader = readers_[index];
    for (const auto& [group, places] : read) {
      reader.read.emplace(group, torch::tensor(places));
      readers_of_[group].push_back(index);
    }
    if (read.empty()) return;
    reader.weight = torch::cat({flat, torch::zeros({flat.size(0), 1}, torch::kDouble)}, 1) *
                    observed.gain[index].sqrt().unsqueeze(1);
    const auto identity = torch::eye(unknowns, torch::kDouble);
    if (observed.square[index].defined()) {
      const auto& square = observed.square[index];
      constexpr double kLeast = 1e-12;  // inputs that are always zero
      const auto pull = square.diagonal().mean().clamp_min(kLeast) * kRidge;
      reader.inverse = torch::linalg_inv(square + pull * identity);
    } else {
      reader.inverse = identity;  // too large to be fitted anew
    }
  }

  /// What each group that is left would cost in this reader; groups of one size at a time.
  void price(std::size_t index) {
    Reader& reader = readers_[index];
    std::map<std::int64_t, std::vector<std::size_t>> by_size;
    for (const auto& [group, places] : reader.read) by_size[places.size(0)].push_back(group);
    for (const auto& [size, members] : by_size) {
      std::vector<torch::Tensor> lists;
      for (const std::size_t group : members) lists.push_back(reader.read.at(group));
      const auto places = torch::stack(lists);  // [groups,size]
      const auto blocks = reader.inverse.index({places.unsqueeze(2), places.unsqueeze(1)});
      const auto weights =
          reader.weight.index_select(1, places.flatten()).view({-1, places.size(0), size}).permute({1, 2, 0});
      const auto costs = (weights * torch::linalg_solve(blocks, weights)).sum({1, 2}).contiguous();
      for (std::size_t m = 0; m < members.size(); ++m) reader.costs[members[m]] = costs.data_ptr<double>()[m];
    }
  }

  [[nodiscard]] double cost(std::size_t group) const {
    double sum = 0;
    for (const std::size_t reader : readers_of_[group]) sum += readers_[reader].costs.at(group);
    return sum;
  }

  /// Multiply-accumulates, as the layers are now.
  [[nodiscard]] std::size_t saving(std::size_t group) const {
    std::size_t sum = 0;
    for (const auto& member : groups_.groups[group].members) sum += taps(member.op) * inputs_[member.op];
    for (const std::size_t reader : readers_of_[group]) {
      const ir::Op& op = graph_.ops[reader];
      const auto window = static_cast<std::size_t>(op.window.kernel_h * op.window.kernel_w);
      sum +=
          taps(reader) / window * outputs_[reader] * static_cast<std::size_t>(readers_[reader].read.at(group).size(0));
    }
    return std::max<std::size_t>(1, sum);
  }
  [[nodiscard]] std::size_t taps(std::size_t index) const {
    const ir::Op& op = graph_.ops[index];
    return static_cast<std::size_t>(place_count(graph_, op) * op.window.kernel_h * op.window.kernel_w);
  }

  [[nodiscard]] bool may_go(std::size_t group) const {
    std::map<std::size_t, std::size_t> leaving;
    for (const auto& member : groups_.groups[group].members) ++leaving[member.op];
    return std::ranges::all_of(leaving,
                               [&](const auto& one) { return outputs_[one.first] >= least_[one.first] + one.second; });
  }

  void remove(std::size_t group) {
    std::set<std::size_t> changed;
    for (const auto& [index, channel] : groups_.groups[group].members) {
      --outputs_[index];
      Reader& owner = readers_[index];
      if (!owner.weight.defined()) continue;
      owner.weight[static_cast<std::int64_t>(channel)].zero_();
      changed.insert(index);
    }
    for (const std::size_t index : readers_of_[group]) {
      Reader& reader = readers_[index];
      const auto places = reader.read.at(group);
      const auto rows = reader.inverse.index_select(0, places);
      const auto step = torch::linalg_solve(rows.index_select(1, places), rows);  // [size,n]
      reader.weight = reader.weight - reader.weight.index_select(1, places).mm(step);
      reader.inverse = reader.inverse - rows.t().mm(step);
      const auto window =
          static_cast<std::size_t>(graph_.ops[index].window.kernel_h * graph_.ops[index].window.kernel_w);
      inputs_[index] -= static_cast<std::size_t>(places.size(0)) / window;
      reader.read.erase(group);
      reader.costs.erase(group);
      changed.insert(index);
    }
    readers_of_[group].clear();
    for (const std::size_t index : changed) price(index);
  }

  const ir::Graph& graph_;
  const ChannelGroups& groups_;
  std::vector<Reader> readers_;                        ///< one for each operator
  std::vector<std::vector<std::size_t>> readers_of_;   ///< of each group
  std::vector<std::size_t> inputs_, outputs_, least_;  ///< channels of each operator that are left
};

}  // namespace

Result<RemovalOrder> removal_order(const ir::Graph& graph, const Samples& samples, const PruneOptions& options,
                                   std::uint64_t seed) {
  if (samples.count == 0)
    return base::fail(base::Code::invalid_argument,
                      "pruning by reconstruction: no samples; give some of the kind that will be seen");
  WAYSIDE_TRY(const auto observed, Observer(graph, seed).observe(samples));
  const torch::NoGradGuard no_grad;
  return Elimination(graph, find_channel_groups(graph), observed, options).run();
}

}  // namespace wayside::optimizer
