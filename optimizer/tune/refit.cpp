// SPDX-License-Identifier: Apache-2.0
// Both networks run side by side, operator by operator, over all samples at once.
#include "optimizer/tune/refit.h"

#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "optimizer/ir/torch_ops.h"
#include "optimizer/tune/linear_layer.h"
#include "optimizer/tune/torch_samples.h"

namespace wayside::optimizer {
namespace {

using base::Result;
using torch::indexing::None;
using torch::indexing::Slice;

/// Samples, spread over the set, as far as the largest tensors that are still to come stay in memory: of each network
/// so many tensors of that size.
constexpr std::size_t kMostSamples = 256, kMostValues = 200'000'000, kLiveTensors = 8;
/// So many times the samples of the first layers in the last ones: each that comes later runs from the start.
constexpr std::size_t kMostGrowth = 4;
/// Pulls towards the present weights, in parts of the inputs' mean square: what the samples do not show stays.
constexpr double kRidge = 3e-2;

std::optional<LinearLayer> layer_at(const ir::Graph& graph, std::size_t op) {
  return ir::has_weights(graph.ops[op].kind) ? std::optional(linear_layer_of(graph.ops[op])) : std::nullopt;
}

/// One network on one sample, as far as it has run.
class Run {
 public:
  Run(const ir::Graph& graph, const torch::Tensor& input)
      : graph_(&graph), uses_(ir::uses(graph)), values_(graph.tensors.size()) {
    for (std::size_t id = 0; id < graph.tensors.size(); ++id) {
      if (!graph.tensors[id].constant.empty()) values_[id] = ir::constant_tensor(graph.tensors[id]);
    }
    values_[graph.inputs[0]] = input;
  }
  /// Undefined before it is computed, and where nothing reads it any more.
  [[nodiscard]] const torch::Tensor& value(ir::TensorId id) const { return values_[id]; }

  /// `layer`: where it has weights.
  void step(std::size_t index, const std::optional<LinearLayer>& layer) {
    const ir::Op& op = graph_->ops[index];
    values_[op.output] = result(op, layer);
    for (const auto id : op.inputs) {
      if (--uses_[id] == 0) values_[id] = torch::Tensor();
    }
  }

 private:
  [[nodiscard]] torch::Tensor result(const ir::Op& op, const std::optional<LinearLayer>& layer) const {
    const auto& shape = graph_->tensors[op.output].shape;
    if (!layer) {
      std::vector<torch::Tensor> in;
      for (const auto id : op.inputs) in.push_back(values_[id]);
      return ir::run_plain(op, in, shape);
    }
    const auto y = ir::activate(op.activation, linear(op, *layer, values_[op.inputs[0]]));
    if (op.kind != ir::OpKind::fully_connected) return y;
    const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
    return ir::to_nchw(y.squeeze(-1).squeeze(0).t().reshape(sizes));
  }

  const ir::Graph* graph_;
  std::vector<std::size_t> uses_;
  std::vector<torch::Tensor> values_;
};

/// Sums of products over places and samples, for each group of a layer: of what is read with itself, and with what is
/// missing in the output.
struct Equations {
  torch::Tensor square, product;  ///< [groups,unknowns,unknowns], [groups,unknowns,outputs / groups]
};

Equations equations(const ir::Op& op, const LinearLayer& layer, const std::vector<torch::Tensor>& inputs,
                    const std::vector<torch::Tensor>& wanted) {
  const std::int64_t groups = groups_of(op, inputs[0]), outputs = layer.weight.size(0);
  const std::int64_t unknowns = layer.weight[0].numel() + 1;
  Equations out{.square = torch::zeros({groups, unknowns, unknowns}, torch::kDouble),
                .product = torch::zeros({groups, unknowns, outputs / groups}, torch::kDouble)};
  const std::int64_t places = wanted_places(unknowns) / static_cast<std::int64_t>(inputs.size()) + 1;
  for (std::size_t s = 0; s < inputs.size(); ++s) {
    auto missing = (wanted[s] - linear(op, layer, inputs[s])).reshape({groups, outputs / groups, -1});
    const std::int64_t stride = std::max<std::int64_t>(1, missing.size(2) / places);
    missing = missing.index({Slice(), Slice(), Slice(0, None, stride)}).to(torch::kDouble);
    const auto rows = places_read(op, inputs[s], stride);
    out.square += rows.bmm(rows.transpose(1, 2));
    out.product += rows.bmm(missing.transpose(1, 2));
  }
  constexpr double kLeast = 1e-9;  // inputs that are always zero
  const auto pull = out.square.diagonal(0, 1, 2).mean(1).clamp_min(kLeast).view({groups, 1, 1}) * kRidge;
  out.square += pull * torch::eye(unknowns, torch::kDouble);
  return out;
}

/// [outputs,unknowns], zero where `weight` [outputs,unknowns - 1] is.
torch::Tensor solve_kept(const Equations& sums, const torch::Tensor& weight) {
  const std::int64_t outputs = weight.size(0), unknowns = weight.size(1) + 1;
  const std::int64_t groups = sums.square.size(0), per_group = outputs / groups;
  auto change = torch::zeros({outputs, unknowns}, torch::kDouble);
  for (std::int64_t o = 0; o < outputs; ++o) {
    const auto kept = torch::cat({(weight[o] != 0), torch::ones({1}, torch::kBool)}).nonzero().squeeze(1);
    const auto square = sums.square[o / per_group].index_select(0, kept).index_select(1, kept);
    const auto product = sums.product[o / per_group].select(1, o % per_group).index_select(0, kept);
    change[o].index_copy_(0, kept, torch::linalg_solve(square, product));
  }
  return change;
}

/// Adds the least change of the weights that brings linear(x) to `wanted`, [1,outputs,rows,columns] each.
LinearLayer refitted(const ir::Op& op, const LinearLayer& layer, const std::vector<torch::Tensor>& inputs,
                     const std::vector<torch::Tensor>& wanted, bool keep_zeros) {
  const auto sums = equations(op, layer, inputs, wanted);
  const std::int64_t outputs = layer.weight.size(0), unknowns = layer.weight[0].numel() + 1;
  const auto flat = layer.weight.flatten(1);
  const bool has_zeros = keep_zeros && (flat == 0).any().item<bool>();
  const auto change =
      (has_zeros ? solve_kept(sums, flat)
                 : torch::linalg_solve(sums.square, sums.product).transpose(1, 2).reshape({outputs, unknowns}))
          .to(torch::kFloat);
  return {.weight = layer.weight + change.slice(1, 0, unknowns - 1).view(layer.weight.sizes()),
          .bias = layer.bias + change.select(1, unknowns - 1)};
}

/// Teacher and student side by side on the same samples.
class Pair {
 public:
  Pair(const ir::Graph& teacher, const KeptChannels& kept, ir::Graph& student, const Samples& samples)
      : teacher_(teacher), kept_(kept), student_(student), samples_(samples), uses_(ir::uses(student)) {
    for (std::size_t i = 0; i < teacher.ops.size(); ++i) places_[name(teacher, i)] = i;
    order_ = spread(std::min(samples.count, kMostSamples));
    affordable_.assign(student.ops.size() + 1, order_.size());
    std::size_t largest = 1;
    for (std::size_t i = student.ops.size(); i-- > 0;) {
      const auto size = [](const ir::Graph& graph, const ir::Op& op) {
        return std::max(ir::element_count(graph.tensors[op.output].shape),
                        ir::element_count(graph.tensors[op.inputs[0]].shape));
      };
      largest = std::max(largest, size(student, student.ops[i]));
      const auto found = places_.find(name(student, i));
      if (found != places_.end()) largest = std::max(largest, size(teacher, teacher.ops[found->second]));
      affordable_[i] = std::clamp<std::size_t>(kMostValues / (largest * kLiveTensors), 1, order_.size());
    }
    for (std::size_t& count : affordable_) count = std::min(count, kMostGrowth * affordable_[0]);
  }

  Result<std::size_t> refit(bool keep_zeros) {
    std::size_t done = 0;
    for (; next_ < student_.ops.size(); ++next_) {
      WAYSIDE_CHECK(take_samples());
      ir::Op& op = student_.ops[next_];
      auto layer = layer_at(student_, next_);
      const auto target = layer ? wanted() : std::vector<torch::Tensor>{};
      if (!target.empty() && layer->weight[0].numel() < kMostUnknowns) {
        std::vector<torch::Tensor> inputs;
        for (const Run& run : student_runs_) inputs.push_back(run.value(op.inputs[0]));
        layer = refitted(op, *layer, inputs, target, keep_zeros);
        put(*layer, op);
        ++done;
      }
      for (Run& run : student_runs_) run.step(next_, layer);
    }
    return done;
  }

 private:
  static const std::string& name(const ir::Graph& graph, std::size_t op) {
    return graph.tensors[graph.ops[op].output].name;
  }
  /// 0 .. count - 1 of the samples, spread over the set; each beginning of it is spread, too.
  [[nodiscard]] std::vector<std::size_t> spread(std::size_t count) const {
    std::vector<std::size_t> out;
    std::vector<bool> taken(count);
    for (std::size_t part = 1; out.size() < count; part *= 2) {
      for (std::size_t k = 0; k < part && out.size() < count; ++k) {
        const std::size_t i = k * count / part;
        if (i >= count || taken[i]) continue;
        taken[i] = true;
        out.push_back(i * samples_.count / count);
      }
    }
    return out;
  }

  /// Tensors get smaller on the way: from where twice as many samples fit, these run from the start.
  Result<void> take_samples() {
    const std::size_t count = affordable_[next_], before = student_runs_.size();
    if (before > 0 && count < std::min(2 * before, affordable_.back())) return {};
    for (std::size_t s = before; s < count; ++s) {
      WAYSIDE_TRY(const auto x, load_sample(student_, samples_, order_[s]));
      teacher_runs_.emplace_back(teacher_, x);
      for (std::size_t i = 0; i < teacher_next_; ++i) teacher_runs_.back().step(i, layer_at(teacher_, i));
      student_runs_.emplace_back(student_, x);
      for (std::size_t i = 0; i < next_; ++i) student_runs_.back().step(i, layer_at(student_, i));
    }
    return {};
  }

  /// What the student's next layer should give for each sample before its activation; empty: the teacher has no such
  /// layer.
  std::vector<torch::Tensor> wanted() {
    const auto found = places_.find(name(student_, next_));
    if (found == places_.end() || found->second < teacher_next_ || !ir::has_weights(teacher_.ops[found->second].kind))
      return {};
    for (; teacher_next_ < found->second; ++teacher_next_) {
      const auto layer = layer_at(teacher_, teacher_next_);
      for (Run& run : teacher_runs_) run.step(teacher_next_, layer);
    }
    const ir::Op& op = teacher_.ops[teacher_next_];
    const auto kept = channels(op, student_.ops[next_].bias.size());
    if (!kept.defined()) return {};
    const auto layer = linear_layer_of(op);
    const auto beside = added_to();
    std::vector<torch::Tensor> out;
    for (std::size_t s = 0; s < teacher_runs_.size(); ++s) {
      auto y = linear(op, layer, teacher_runs_[s].value(op.inputs[0])).index_select(1, kept);
      if (beside) {
        y = y + teacher_runs_[s].value(beside->teacher).index_select(1, kept) - student_runs_[s].value(beside->student);
      }
      out.push_back(std::move(y));
    }
    return out;
  }

  /// Which of the teacher's channels the student has; undefined: another form of layer.
  [[nodiscard]] torch::Tensor channels(const ir::Op& op, std::size_t count) const {
    const auto kept = kept_.find(teacher_.tensors[op.output].name);
    if (kept == kept_.end())
      return count == op.bias.size() ? torch::arange(static_cast<std::int64_t>(count)) : torch::Tensor();
    std::vector<std::int64_t> out(kept->second.begin(), kept->second.end());
    return out.size() == count ? torch::tensor(out) : torch::Tensor();
  }

  struct Tensors {
    ir::TensorId teacher = 0, student = 0;
  };
  /// The other operand of the addition that alone reads the student's next layer, where it is computed already.
  [[nodiscard]] std::optional<Tensors> added_to() const {
    const ir::Op& op = student_.ops[next_];
    if (op.activation != ir::Activation::none || uses_[op.output] != 1) return std::nullopt;
    const auto sum = std::ranges::find_if(
        student_.ops, [&](const ir::Op& other) { return std::ranges::contains(other.inputs, op.output); });
    const auto twin = sum == student_.ops.end() ? places_.end() : places_.find(student_.tensors[sum->output].name);
    if (twin == places_.end() || sum->kind != ir::OpKind::add) return std::nullopt;
    const ir::Op& teachers = teacher_.ops[twin->second];
    const std::size_t side = sum->inputs[0] == op.output ? 1 : 0;
    if (teachers.kind != ir::OpKind::add || teachers.inputs[1 - side] != teacher_.ops[teacher_next_].output)
      return std::nullopt;
    const Tensors out{.teacher = teachers.inputs[side], .student = sum->inputs[side]};
    const bool alike = student_.tensors[out.student].shape == student_.tensors[op.output].shape &&
                       teacher_.tensors[out.teacher].shape == teacher_.tensors[teachers.inputs[1 - side]].shape;
    if (!alike || !teacher_runs_[0].value(out.teacher).defined() || !student_runs_[0].value(out.student).defined() ||
        !student_.tensors[out.student].constant.empty())
      return std::nullopt;
    return out;
  }

  const ir::Graph& teacher_;
  const KeptChannels& kept_;
  ir::Graph& student_;
  const Samples& samples_;
  std::vector<std::size_t> uses_;
  std::map<std::string, std::size_t> places_;    ///< of the teacher's operators
  std::vector<std::size_t> order_, affordable_;  ///< of samples; how many of them from each operator on
  std::vector<Run> teacher_runs_, student_runs_;
  std::size_t next_ = 0, teacher_next_ = 0;  ///< the first operators that have not run
};

}  // namespace

Result<std::size_t> refit_layers(const ir::Graph& teacher, const KeptChannels& kept, ir::Graph& student,
                                 const Samples& samples, const RefitOptions& options) {
  if (samples.count == 0)
    return base::fail(base::Code::invalid_argument, "refit: no samples; give frames of the kind that will be seen");
  const torch::NoGradGuard no_grad;
  return Pair(teacher, kept, student, samples).refit(options.keep_zeros);
}

}  // namespace wayside::optimizer
