// SPDX-License-Identifier: Apache-2.0
// The loop: one sample after the other, the mean gradient of a batch, Adam; checkpoints.
#include "optimizer/tune/finetune.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <format>
#include <fstream>
#include <iterator>
#include <map>
#include <numbers>
#include <numeric>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "optimizer/tflite/writer.h"
#include "optimizer/tune/student.h"
#include "optimizer/tune/torch_samples.h"
#include "ota/store/digest.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using SteadyClock = std::chrono::steady_clock;

/// Samples that tell the size of the teacher's tensors.
constexpr std::size_t kLooks = 64;

/// Which sample comes when: every one once in each round, in an order of its own.
class Order {
 public:
  Order(std::size_t count, std::uint64_t seed) : order_(count), seed_(seed) {}
  std::size_t at(std::uint64_t position) {
    const std::uint64_t round = position / order_.size();
    if (round != round_) {
      constexpr std::uint64_t kApart = 1'000'003;  // a prime: seeds that follow each other share no rounds
      std::iota(order_.begin(), order_.end(), std::size_t{0});
      std::mt19937_64 random(seed_ * kApart + round);
      std::ranges::shuffle(order_, random);
      round_ = round;
    }
    return order_[position % order_.size()];
  }

 private:
  std::vector<std::size_t> order_;
  std::uint64_t seed_, round_ = static_cast<std::uint64_t>(-1);
};

/// Tensors to compare.
struct Pair {
  ir::TensorId teacher = 0, student = 0;
  double weight = 1;
  torch::Tensor size{};  ///< the teacher's mean square
};

std::vector<Pair> output_pairs(const Finetune& run) {
  std::vector<Pair> pairs;
  const std::size_t count = run.teacher->outputs.size();
  for (std::size_t i = 0; i < count; ++i)
    pairs.push_back({.teacher = run.teacher->outputs[i],
                     .student = run.student->outputs[i],
                     .weight = 1 / static_cast<double>(count)});
  return pairs;
}

std::vector<Pair> feature_pairs(const ir::Graph& teacher, const ir::Graph& student, double weight) {
  std::vector<Pair> pairs;
  if (weight <= 0) return pairs;
  std::map<std::string, ir::TensorId> names;
  for (const auto& op : teacher.ops) names.emplace(teacher.tensors[op.output].name, op.output);
  for (const auto& op : student.ops) {
    const auto& tensor = student.tensors[op.output];
    const auto found = names.find(tensor.name);
    const bool same = found != names.end() && teacher.tensors[found->second].shape == tensor.shape;
    if (same && !std::ranges::contains(student.outputs, op.output))
      pairs.push_back({.teacher = found->second, .student = op.output});
  }
  for (Pair& pair : pairs) pair.weight = weight / static_cast<double>(pairs.size());
  return pairs;
}

Result<void> check(const Finetune& run, const FinetuneOptions& options) {
  const ir::Graph &teacher = *run.teacher, &student = *run.student;
  const auto refuse = [](std::string what) { return fail(Code::invalid_argument, "fine-tuning: " + std::move(what)); };
  if (run.samples.count == 0) return refuse("no samples; give frames of the kind that the device will see");
  if (options.steps < 1 || options.batch_size < 1 || options.checkpoint_every < 1)
    return refuse("steps, batch size and steps between checkpoints start at 1");
  if (teacher.outputs.size() != student.outputs.size()) return refuse("teacher and student differ in outputs");
  for (std::size_t i = 0; i < teacher.outputs.size(); ++i) {
    const auto& wanted = teacher.tensors[teacher.outputs[i]];
    const auto& shape = student.tensors[student.outputs[i]].shape;
    if (wanted.shape != shape)
      return refuse(std::format("output \"{}\" is {} in the teacher, {} in the student", wanted.name,
                                ir::to_string(wanted.shape), ir::to_string(shape)));
  }
  if (!options.scheme.empty() && options.scheme.activations.size() != student.tensors.size())
    return refuse(std::format("a scheme for {} tensors, the student has {}", options.scheme.activations.size(),
                              student.tensors.size()));
  for (const auto* graph : {&teacher, &student}) {
    if (std::ranges::any_of(graph->ops, [](const ir::Op& op) { return !op.norm.empty(); }))
      return refuse("batch norm in the network; call fold_batch_norm first");
  }
  return {};
}

/// Of all that decides the result: two runs with the same identity may go on from each other's checkpoints.
Result<std::string> identity(const Finetune& run, const FinetuneOptions& options) {
  ota::Sha256 hash;
  const auto add = [&hash](const auto& values) { hash.update(std::as_bytes(std::span(values))); };
  const auto text =
      std::format("{} {} {} {} {} {} {} {} {} {} {}", options.steps, options.batch_size, options.learning_rate,
                  options.seed, static_cast<int>(options.loss), options.temperature, options.feature_weight,
                  options.keep_zeros, options.learn_scales, run.samples.count, torch::get_num_threads());
  add(text);
  for (const auto* graph : {run.teacher, static_cast<const ir::Graph*>(run.student)}) {
    for (const auto& op : graph->ops) {
      add(op.weight);
      add(op.bias);
    }
  }
  for (const auto& q : options.scheme.activations) add(std::format("{} {} ", q.scale, q.zero_point));
  add(options.scheme.weights);
  for (const std::size_t sample : {std::size_t{0}, run.samples.count - 1}) add(run.samples.load(sample));
  WAYSIDE_TRY(const auto digest, hash.finish());
  return digest.hex();
}

class Trainer {
 public:
  Trainer(const Finetune& run, const FinetuneOptions& options)
      : run_(run),
        options_(options),
        teacher_(*run.teacher),
        student_(*run.student, options),
        adam_(student_.parameters(), torch::optim::AdamOptions(options.learning_rate)),
        order_(run.samples.count, options.seed),
        teacher_values_(run.teacher->tensors.size()),
        outputs_(output_pairs(run)),
        features_(feature_pairs(*run.teacher, *run.student, options.feature_weight)) {
    teacher_.read_weights(*run.teacher);
    teacher_.eval();
    teacher_.observe([this](ir::TensorId id, const torch::Tensor& x) { teacher_values_[id] = x; });
  }

  Result<Finetuned> train() {
    WAYSIDE_TRY(identity_, identity(run_, options_));
    WAYSIDE_CHECK(look());
    std::int64_t first = 0;
    if (!run_.checkpoint.empty() && std::filesystem::exists(run_.checkpoint)) {
      WAYSIDE_TRY(first, load());
    }
    const auto started = SteadyClock::now();
    for (std::int64_t step = first; step < options_.steps; ++step) {
      WAYSIDE_TRY(const double loss, one_step(step));
      const double seconds = std::chrono::duration<double>(SteadyClock::now() - started).count();
      const std::int64_t done = step + 1, left = options_.steps - done;
      const double left_s = seconds / static_cast<double>(done - first) * static_cast<double>(left);
      const bool stopped = run_.progress && !run_.progress({done, options_.steps, loss, left_s}) && left > 0;
      const bool keep = !run_.checkpoint.empty() && left > 0 && (stopped || done % options_.checkpoint_every == 0);
      if (keep) WAYSIDE_CHECK(save(done));
      if (stopped)
        return fail(Code::bad_state, std::format("fine-tuning: stopped at step {} of {}", done, options_.steps));
    }
    std::error_code none;
    if (!run_.checkpoint.empty()) std::filesystem::remove(run_.checkpoint, none);
    student_.write_weights(*run_.student);
    return Finetuned{
        .first_loss = losses_[0].item<double>(), .last_loss = losses_[1].item<double>(), .scheme = student_.scheme()};
  }

 private:
  [[nodiscard]] std::int64_t tenth() const { return std::max<std::int64_t>(1, options_.steps / 10); }

  Result<void> look() {
    const torch::NoGradGuard no_grad;
    const std::size_t count = std::min(kLooks, run_.samples.count);
    for (std::size_t i = 0; i < count; ++i) {
      // Spread over the whole set: neighbours are often frames of one scene.
      WAYSIDE_TRY(const auto x, load_sample(*run_.student, run_.samples, i * run_.samples.count / count));
      teacher_.forward(x);
      for (auto* pairs : {&outputs_, &features_}) {
        for (Pair& pair : *pairs) {
          const auto square = teacher_values_[pair.teacher].square().mean() / static_cast<double>(count);
          pair.size = pair.size.defined() ? pair.size + square : square;
        }
      }
    }
    return {};
  }

  [[nodiscard]] torch::Tensor difference(const Pair& pair, const torch::Tensor& got) const {
    constexpr double kLeast = 1e-12;  // of an output that is always zero
    return (got - teacher_values_[pair.teacher]).square().mean() / pair.size.clamp_min(kLeast) * pair.weight;
  }

  [[nodiscard]] torch::Tensor divergence(const Pair& pair, const torch::Tensor& got) const {
    const auto& wanted = teacher_values_[pair.teacher];
    const std::int64_t axis = wanted.dim() == 4 ? 1 : wanted.dim() - 1;
    const auto p = torch::log_softmax(wanted / options_.temperature, axis);
    const auto q = torch::log_softmax(got / options_.temperature, axis);
    return (p.exp() * (p - q)).sum(axis).mean() * (options_.temperature * options_.temperature * pair.weight);
  }

  Result<torch::Tensor> loss_of(std::size_t sample) {
    WAYSIDE_TRY(const auto x, load_sample(*run_.student, run_.samples, sample));
    {
      const torch::NoGradGuard no_grad;
      teacher_.forward(x);
    }
    const auto got = student_.forward(x);
    auto loss = torch::zeros({});
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const bool square = options_.loss == DistillLoss::mean_square;
      loss = loss + (square ? difference(outputs_[i], got[i]) : divergence(outputs_[i], got[i]));
    }
    for (const Pair& pair : features_) loss = loss + difference(pair, student_.values()[pair.student]);
    return loss;
  }

  Result<double> one_step(std::int64_t step) {
    const double done = static_cast<double>(step) / static_cast<double>(options_.steps);
    for (auto& group : adam_.param_groups())
      group.options().set_lr(options_.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * done)));
    adam_.zero_grad();
    double sum = 0;
    for (std::size_t i = 0; i < options_.batch_size; ++i) {
      const std::uint64_t position = static_cast<std::uint64_t>(step) * options_.batch_size + i;
      WAYSIDE_TRY(const auto loss, loss_of(order_.at(position)));
      (loss / static_cast<double>(options_.batch_size)).backward();
      sum += loss.item<double>() / static_cast<double>(options_.batch_size);
    }
    adam_.step();
    student_.restore_zeros();
    if (step < tenth()) losses_[0] += sum / static_cast<double>(tenth());
    if (step >= options_.steps - tenth()) losses_[1] += sum / static_cast<double>(tenth());
    return sum;
  }

  /// "<identity> <SHA-256 of the archive>\n", then libtorch's archive.
  Result<void> save(std::int64_t step) {
    std::ostringstream bytes;
    try {
      torch::serialize::OutputArchive archive, student, adam;
      student_.save(student);
      adam_.save(adam);
      archive.write("student", student);
      archive.write("adam", adam);
      archive.write("step", torch::tensor(step));
      archive.write("losses", losses_);
      archive.save_to(bytes);
    } catch (const std::exception&) {
      return fail(Code::io, std::format("checkpoint {}: not enough memory to write it", run_.checkpoint.string()));
    }
    const std::string archive = std::move(bytes).str();
    WAYSIDE_TRY(const auto digest, ota::sha256_of(std::as_bytes(std::span(archive))));
    const std::string whole = std::format("{} {}\n{}", identity_, digest.hex(), archive);
    return save_file(run_.checkpoint, {whole.begin(), whole.end()});
  }

  Result<std::int64_t> load() {
    const auto refuse = [this](std::string_view what) {
      return fail(Code::corrupt,
                  std::format("checkpoint {}: {}; remove it to start afresh", run_.checkpoint.string(), what));
    };
    std::ifstream file(run_.checkpoint, std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(file), {}};
    const std::size_t line = identity_.size() * 2 + 2;
    if (!file || whole.size() < line || whole[line - 1] != '\n') return refuse("damaged");
    const std::string archive_bytes = whole.substr(line);
    WAYSIDE_TRY(const auto digest, ota::sha256_of(std::as_bytes(std::span(archive_bytes))));
    if (whole.substr(identity_.size() + 1, identity_.size()) != digest.hex()) return refuse("damaged");
    if (!whole.starts_with(identity_)) return refuse("of another run (other networks, samples or options)");
    try {
      std::istringstream bytes(archive_bytes);
      torch::serialize::InputArchive archive, student, adam;
      archive.load_from(bytes);
      torch::Tensor step;
      archive.read("student", student);
      archive.read("adam", adam);
      archive.read("step", step);
      archive.read("losses", losses_);
      student_.load(student);
      adam_.load(adam);
      return step.item<std::int64_t>();
    } catch (const std::exception&) {
      return refuse("written by another version");
    }
  }

  const Finetune& run_;
  const FinetuneOptions& options_;
  std::string identity_;
  ir::TorchModel teacher_;
  Student student_;
  torch::optim::Adam adam_;
  Order order_;
  std::vector<torch::Tensor> teacher_values_;
  std::vector<Pair> outputs_, features_;
  torch::Tensor losses_ = torch::zeros({2}, torch::kDouble);
};

}  // namespace

Result<Finetuned> finetune(const Finetune& run, const FinetuneOptions& options) {
  WAYSIDE_CHECK(check(run, options));
  return Trainer(run, options).train();
}

}  // namespace wayside::optimizer
