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
#include <limits>
#include <numbers>
#include <span>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "optimizer/tflite/writer.h"
#include "optimizer/tune/lesson.h"
#include "optimizer/tune/student.h"
#include "ota/store/digest.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using SteadyClock = std::chrono::steady_clock;

/// Tried where no rate is given. Folded networks in training with rounding want low ones; where four bits settle, what
/// is left has to make up for much.
constexpr double kRoundedRates[] = {1e-5, 1e-4, 1e-3}, kSettlingRates[] = {1e-3, 3e-3, 1e-2},
                 kFloatRates[] = {1e-4, 5e-4, 2.5e-3};
/// Each with this part of the steps.
constexpr std::int64_t kTrialPart = 8;
/// The rate rises over this part of the steps: Adam knows the gradients' sizes by then.
constexpr std::int64_t kWarmupPart = 20;
/// Of the gradient of a loss whose size is 1 for a student that answers nothing: far steps come from single samples.
constexpr double kMostNorm = 1;
/// Levels that a weight of four bits could pass at the full rate in a whole training, however long: Adam's steps are
/// about as long as the rate. Farther than to a neighbouring level it hardly needs to go, and few samples would lead it
/// astray.
constexpr double kTravel = 2.5;
/// At most so often in a run.
constexpr std::int64_t kMeasurements = 20;

Result<void> check(const Finetune& run, const FinetuneOptions& options) {
  const ir::Graph &teacher = *run.teacher, &student = *run.student;
  const auto refuse = [](std::string what) { return fail(Code::invalid_argument, "fine-tuning: " + std::move(what)); };
  if (run.samples.count < 2)  // one of them is held out
    return refuse(std::format("{} samples; give frames of the kind that the device will see", run.samples.count));
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
  const auto text = std::format("{} {} {} {} {} {} {} {} {} {} {} {}", options.steps, options.batch_size,
                                options.learning_rate.value_or(-1), options.seed, options.vary,
                                static_cast<int>(options.loss), options.temperature, options.feature_weight,
                                options.keep_zeros, options.learn_scales, run.samples.count, torch::get_num_threads());
  add(text);
  for (const auto* graph : {run.teacher, static_cast<const ir::Graph*>(run.student)}) {
    for (const auto& op : graph->ops) {
      add(op.weight);
      add(op.bias);
    }
  }
  for (const auto& [name, kept] : run.kept) {
    add(name);
    add(kept);
  }
  for (const auto& q : options.scheme.activations) add(std::format("{} {} ", q.scale, q.zero_point));
  add(options.scheme.weights);
  for (const std::size_t sample : {std::size_t{0}, run.samples.count - 1}) add(run.samples.load(sample));
  WAYSIDE_TRY(const auto digest, hash.finish());
  return digest.hex();
}

class Trainer {
 public:
  Trainer(const Finetune& run, const FinetuneOptions& options, Lesson& lesson)
      : run_(run),
        options_(options),
        lesson_(lesson),
        student_(*run.student, options),
        adam_(groups(student_), torch::optim::AdamOptions(options.learning_rate.value_or(0))),
        level_sizes_(student_.level_sizes()),
        rate_(options.learning_rate.value_or(0)) {
    held_out_.samples = lesson_.held_out_count();
  }

  Result<Finetuned> train() {
    WAYSIDE_TRY(identity_, identity(run_, options_));
    std::int64_t first = 0;
    if (!run_.checkpoint.empty() && std::filesystem::exists(run_.checkpoint)) {
      WAYSIDE_TRY(first, load());
    } else {
      measure(0);
      WAYSIDE_CHECK(choose_rate());
      if (!options_.learning_rate && !run_.checkpoint.empty()) WAYSIDE_CHECK(save(0));
    }
    WAYSIDE_CHECK(teach(first, (options_.steps + kMeasurements - 1) / kMeasurements));
    std::error_code none;
    if (!run_.checkpoint.empty()) std::filesystem::remove(run_.checkpoint, none);
    Finetuned done{.first_loss = losses_[0].item<double>(),
                   .last_loss = losses_[1].item<double>(),
                   .learning_rate = rate_,
                   .held_out = held_out_,
                   .scheme = options_.scheme};
    if (held_out_.best_step == 0) return done;
    student_.restore(best_);
    student_.write_weights(*run_.student);
    done.scheme = student_.scheme();
    return done;
  }

 private:
  /// One for each parameter.
  static std::vector<torch::optim::OptimizerParamGroup> groups(const Student& student) {
    std::vector<torch::optim::OptimizerParamGroup> out;
    for (const auto& parameter : student.parameters()) out.emplace_back(std::vector{parameter});
    return out;
  }
  [[nodiscard]] std::int64_t tenth() const { return std::max<std::int64_t>(1, options_.steps / 10); }

  [[nodiscard]] std::span<const double> rates() const {
    if (options_.learning_rate) return {};
    if (options_.scheme.empty()) return kFloatRates;
    const bool settles = std::ranges::contains(options_.scheme.weights, WeightFormat::int4);
    return settles ? std::span(kSettlingRates) : std::span(kRoundedRates);
  }
  [[nodiscard]] std::int64_t trial_steps() const { return std::max<std::int64_t>(1, options_.steps / kTrialPart); }
  [[nodiscard]] std::int64_t all_trial_steps() const {
    return trial_steps() * static_cast<std::int64_t>(rates().size());
  }

  /// Short runs from the same start.
  Result<void> choose_rate() {
    double least = std::numeric_limits<double>::infinity();
    std::int64_t before = 0;
    for (const double rate : rates()) {
      FinetuneOptions brief = options_;
      brief.steps = trial_steps();
      brief.learning_rate = rate;
      Finetune trial = run_;
      trial.checkpoint.clear();
      trial.progress = [&](const FinetuneProgress& now) {
        const std::int64_t done = before + now.step, all = options_.steps + all_trial_steps();
        const double left_s = now.spent_s * static_cast<double>(all - done) / static_cast<double>(now.step);
        return !run_.progress || run_.progress({done, all, now.loss, now.held_out, now.spent_s, left_s});
      };
      Trainer trainer(trial, brief, lesson_);
      trainer.held_out_.best = held_out_.first;
      WAYSIDE_CHECK(trainer.teach(0, brief.steps));
      before += brief.steps;
      if (rate_ != 0 && !(trainer.held_out_.last < least)) continue;
      least = trainer.held_out_.last;
      rate_ = rate;
    }
    return {};
  }

  /// Measures each time after `every` steps.
  Result<void> teach(std::int64_t first, std::int64_t every) {
    const auto started = SteadyClock::now();
    const std::int64_t tried = all_trial_steps(), all = options_.steps + tried;
    for (std::int64_t step = first; step < options_.steps; ++step) {
      WAYSIDE_TRY(const double loss, one_step(step));
      const std::int64_t done = step + 1, left = options_.steps - done;
      if (done % every == 0 || left == 0) measure(done);
      const double seconds = std::chrono::duration<double>(SteadyClock::now() - started).count();
      const double left_s = seconds / static_cast<double>(done - first) * static_cast<double>(left);
      const bool stopped =
          run_.progress && !run_.progress({tried + done, all, loss, held_out_.best, seconds, left_s}) && left > 0;
      const bool keep = !run_.checkpoint.empty() && left > 0 && (stopped || done % options_.checkpoint_every == 0);
      if (keep) WAYSIDE_CHECK(save(done));
      if (stopped)
        return fail(Code::bad_state, std::format("fine-tuning: stopped at step {} of {}", done, options_.steps));
    }
    return {};
  }

  void measure(std::int64_t step) {
    const auto state = student_.state();
    student_.round_weights();
    held_out_.last = lesson_.held_out_loss(student_);
    if (step == 0) held_out_.first = held_out_.best = held_out_.last;
    if (held_out_.last < held_out_.best) {
      held_out_.best = held_out_.last;
      held_out_.best_step = step;
      best_ = student_.state();
    }
    student_.restore(state);
  }

  /// Part of the rate at this step.
  [[nodiscard]] double part_at(std::int64_t step) const {
    const double all = static_cast<double>(options_.steps), warmup = std::ceil(all / kWarmupPart);
    const double done = static_cast<double>(step);
    return std::min(1.0, (done + 1) / warmup) * 0.5 * (1 + std::cos(std::numbers::pi * done / all));
  }

  void set_rates(std::int64_t step) {
    const double part = part_at(step);
    for (std::size_t i = 0; i < level_sizes_.size(); ++i) {
      const double rate = level_sizes_[i] ? kTravel * *level_sizes_[i] / static_cast<double>(options_.steps) : rate_;
      adam_.param_groups()[i].options().set_lr(rate * part);
    }
  }

  Result<double> one_step(std::int64_t step) {
    student_.settle(static_cast<double>(step) / static_cast<double>(options_.steps));
    set_rates(step);
    adam_.zero_grad();
    double sum = 0;
    for (std::size_t i = 0; i < options_.batch_size; ++i) {
      const std::uint64_t position = static_cast<std::uint64_t>(step) * options_.batch_size + i;
      WAYSIDE_TRY(const auto loss, lesson_.loss(student_, position));
      (loss / static_cast<double>(options_.batch_size)).backward();
      sum += loss.item<double>() / static_cast<double>(options_.batch_size);
    }
    torch::nn::utils::clip_grad_norm_(student_.parameters(), kMostNorm);
    adam_.step();
    student_.hold();
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
      archive.write("rate", torch::tensor(rate_, torch::kDouble));
      archive.write("held_out", torch::tensor({held_out_.first, held_out_.best, held_out_.last}, torch::kDouble));
      archive.write("best_step", torch::tensor(held_out_.best_step));
      for (std::size_t i = 0; i < best_.size(); ++i) archive.write(std::format("best_{}", i), best_[i]);
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
      torch::Tensor step, rate, held_out, best_step;
      archive.read("student", student);
      archive.read("adam", adam);
      archive.read("step", step);
      archive.read("losses", losses_);
      archive.read("rate", rate);
      archive.read("held_out", held_out);
      archive.read("best_step", best_step);
      student_.load(student);
      adam_.load(adam);
      rate_ = rate.item<double>();
      held_out_.first = held_out[0].item<double>();
      held_out_.best = held_out[1].item<double>();
      held_out_.last = held_out[2].item<double>();
      held_out_.best_step = best_step.item<std::int64_t>();
      best_.resize(held_out_.best_step > 0 ? student_.parameters().size() : 0);
      for (std::size_t i = 0; i < best_.size(); ++i) archive.read(std::format("best_{}", i), best_[i]);
      return step.item<std::int64_t>();
    } catch (const std::exception&) {
      return refuse("written by another version");
    }
  }

  const Finetune& run_;
  const FinetuneOptions& options_;
  Lesson& lesson_;
  std::string identity_;
  Student student_;
  torch::optim::Adam adam_;
  std::vector<std::optional<double>> level_sizes_;  ///< for each of adam_'s groups
  double rate_;
  HeldOut held_out_;
  std::vector<torch::Tensor> best_;  ///< Student::state() of held_out_.best_step
  torch::Tensor losses_ = torch::zeros({2}, torch::kDouble);
};

}  // namespace

std::string to_string(const FinetuneProgress& progress) {
  return std::format("held out {:.3g} at best", progress.held_out);
}

Result<Finetuned> finetune(const Finetune& run, const FinetuneOptions& options) {
  WAYSIDE_CHECK(check(run, options));
  Lesson lesson(run, options);
  WAYSIDE_CHECK(lesson.prepare());
  return Trainer(run, options, lesson).train();
}

}  // namespace wayside::optimizer
