// SPDX-License-Identifier: Apache-2.0
// One sample after the other; a share of them only measures.
#include "optimizer/tune/lesson.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>

#include "optimizer/tune/torch_samples.h"

namespace wayside::optimizer {
namespace {

using base::Result;

/// Samples that tell the size of the teacher's tensors and the range of values.
constexpr std::size_t kLooks = 32;
/// One of so many samples is held out, within these bounds (the upper one: measuring shall not take longer than
/// teaching) and never more than half.
constexpr std::size_t kHeldOutPart = 5, kLeastHeldOut = 8, kMostHeldOut = 64;
constexpr std::uint64_t kApart = 1'000'003;  // a prime: seeds that follow each other share no rounds

/// What is compared for an output: saturated probabilities teach nothing, what they are made of does.
ir::TensorId compared(const ir::Graph& graph, ir::TensorId output) {
  const auto maker = std::ranges::find(graph.ops, output, &ir::Op::output);
  const bool saturates =
      maker != graph.ops.end() && (maker->kind == ir::OpKind::softmax || maker->kind == ir::OpKind::logistic);
  return saturates ? maker->inputs[0] : output;
}

bool is_curve(ir::OpKind kind) {
  switch (kind) {
    case ir::OpKind::relu:
    case ir::OpKind::clip:
    case ir::OpKind::leaky_relu:
    case ir::OpKind::prelu:
    case ir::OpKind::elu:
    case ir::OpKind::hard_swish: return true;
    default: return false;
  }
}

/// Hidden tensors that say something of their own: what layers and sums give, after the activation, where all of their
/// readers get it so.
std::vector<ir::TensorId> telling(const ir::Graph& graph) {
  std::vector<bool> is_read_plainly(graph.tensors.size());
  for (const auto& op : graph.ops) {
    for (const auto id : op.inputs) is_read_plainly[id] = is_read_plainly[id] || !is_curve(op.kind);
  }
  std::vector<ir::TensorId> out;
  for (const auto& op : graph.ops) {
    const bool tells =
        ir::has_weights(op.kind) || is_curve(op.kind) || op.kind == ir::OpKind::add || op.kind == ir::OpKind::mul;
    if (tells && is_read_plainly[op.output]) out.push_back(op.output);
  }
  return out;
}

}  // namespace

Lesson::Lesson(const Finetune& run, const FinetuneOptions& options)
    : run_(run), options_(options), teacher_(*run.teacher), teacher_values_(run.teacher->tensors.size()) {
  teacher_.read_weights(*run.teacher);
  teacher_.eval();
  teacher_.observe([this](ir::TensorId id, const torch::Tensor& x) { teacher_values_[id] = x; });
  vary_ = options.vary && is_picture(run.student->tensors[run.student->inputs[0]].shape);
  split();
  pair_outputs();
  pair_features();
}

std::vector<std::size_t> held_out_samples(std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> out;
  const std::size_t held = std::min(std::clamp(count / kHeldOutPart, kLeastHeldOut, kMostHeldOut), count / 2);
  std::mt19937_64 random(seed * kApart - 1);
  for (std::size_t part = 0; part < held; ++part) {
    const std::size_t first = part * count / held, last = (part + 1) * count / held - 1;
    out.push_back(std::uniform_int_distribution<std::size_t>(first, last)(random));
  }
  return out;
}

void Lesson::split() {
  held_out_ = held_out_samples(run_.samples.count, options_.seed);
  for (std::size_t i = 0; i < run_.samples.count; ++i) {
    if (!std::ranges::binary_search(held_out_, i)) taught_.push_back(i);
  }
}

void Lesson::pair_outputs() {
  const auto& teacher = run_.teacher->outputs;
  const auto& student = run_.student->outputs;
  for (std::size_t i = 0; i < teacher.size(); ++i) {
    Pair pair{.teacher = compared(*run_.teacher, teacher[i]), .student = compared(*run_.student, student[i])};
    if (run_.teacher->tensors[pair.teacher].shape != run_.student->tensors[pair.student].shape)
      pair = {.teacher = teacher[i], .student = student[i]};
    pair.weight = 1 / static_cast<double>(teacher.size());
    outputs_.push_back(pair);
  }
}

void Lesson::pair_features() {
  if (options_.feature_weight <= 0) return;
  const ir::Graph &teacher = *run_.teacher, &student = *run_.student;
  std::map<std::string, ir::TensorId> names;
  for (const auto& op : teacher.ops) names.emplace(teacher.tensors[op.output].name, op.output);
  for (const auto id : telling(student)) {
    const auto& tensor = student.tensors[id];
    const auto found = names.find(tensor.name);
    const bool is_compared =
        std::ranges::contains(student.outputs, id) || std::ranges::contains(outputs_, id, &Pair::student);
    if (found == names.end() || is_compared) continue;
    Pair pair{.teacher = found->second, .student = id};
    auto shape = teacher.tensors[found->second].shape;
    if (const auto kept = run_.kept.find(tensor.name); kept != run_.kept.end()) {
      shape.back() = static_cast<int>(kept->second.size());
      pair.channels = torch::tensor(std::vector<std::int64_t>(kept->second.begin(), kept->second.end()));
    }
    if (shape == tensor.shape) features_.push_back(std::move(pair));
  }
  for (Pair& pair : features_) pair.weight = options_.feature_weight / static_cast<double>(features_.size());
}

torch::Tensor Lesson::wanted(const Pair& pair) const {
  const auto& whole = teacher_values_[pair.teacher];
  if (!pair.channels.defined()) return whole;
  return whole.index_select(whole.dim() == 4 ? 1 : whole.dim() - 1, pair.channels);
}

Result<void> Lesson::prepare() {
  const torch::NoGradGuard no_grad;
  const std::size_t count = std::min(kLooks, run_.samples.count);
  range_ = {std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()};
  for (std::size_t i = 0; i < count; ++i) {
    WAYSIDE_TRY(const auto x, load_sample(*run_.student, run_.samples, i * run_.samples.count / count));
    range_ = {std::min(range_.low, x.min().item<float>()), std::max(range_.high, x.max().item<float>())};
    teacher_.forward(x);
    for (auto* pairs : {&outputs_, &features_}) {
      for (Pair& pair : *pairs) {
        const auto square = wanted(pair).square().mean() / static_cast<double>(count);
        pair.size = pair.size.defined() ? pair.size + square : square;
      }
    }
  }
  for (const std::size_t sample : held_out_) {
    WAYSIDE_TRY(auto x, load_sample(*run_.student, run_.samples, sample));
    teacher_.forward(x);
    Exercise exercise{.x = std::move(x), .wanted = {}};
    for (const Pair& pair : outputs_) exercise.wanted.push_back(wanted(pair));
    exercises_.push_back(std::move(exercise));
  }
  return {};
}

/// Every one that teaches once in each round, in an order of its own.
std::size_t Lesson::sample_at(std::uint64_t position) {
  const std::uint64_t round = position / taught_.size();
  if (round != round_) {
    order_ = taught_;
    std::mt19937_64 random(options_.seed * kApart + round);
    std::ranges::shuffle(order_, random);
    round_ = round;
  }
  return order_[position % order_.size()];
}

torch::Tensor Lesson::difference(const Pair& pair, const torch::Tensor& wanted, const torch::Tensor& got) const {
  constexpr double kLeast = 1e-12;  // of an output that is always zero
  return (got - wanted).square().mean() / pair.size.clamp_min(kLeast) * pair.weight;
}

torch::Tensor Lesson::of_output(const Pair& pair, const torch::Tensor& wanted, const torch::Tensor& got) const {
  if (options_.loss == DistillLoss::mean_square) return difference(pair, wanted, got);
  const std::int64_t axis = wanted.dim() == 4 ? 1 : wanted.dim() - 1;
  const auto p = torch::log_softmax(wanted / options_.temperature, axis);
  const auto q = torch::log_softmax(got / options_.temperature, axis);
  return (p.exp() * (p - q)).sum(axis).mean() * (options_.temperature * options_.temperature * pair.weight);
}

Result<torch::Tensor> Lesson::loss(Student& student, std::uint64_t position) {
  WAYSIDE_TRY(auto x, load_sample(*run_.student, run_.samples, sample_at(position)));
  if (vary_) x = varied(x, range_, options_.seed * kApart + position);
  {
    const torch::NoGradGuard no_grad;
    teacher_.forward(x);
  }
  student.forward(x);
  auto loss = torch::zeros({});
  for (const Pair& pair : outputs_) loss = loss + of_output(pair, wanted(pair), student.as_read(pair.student));
  for (const Pair& pair : features_) loss = loss + difference(pair, wanted(pair), student.as_read(pair.student));
  return loss;
}

double Lesson::held_out_loss(Student& student) const {
  const torch::NoGradGuard no_grad;
  double sum = 0;
  for (const auto& exercise : exercises_) {
    student.forward(exercise.x);
    for (std::size_t i = 0; i < outputs_.size(); ++i)
      sum += of_output(outputs_[i], exercise.wanted[i], student.as_read(outputs_[i].student)).item<double>();
  }
  return sum / static_cast<double>(exercises_.size());
}

}  // namespace wayside::optimizer
