// SPDX-License-Identifier: Apache-2.0
// The training loop.
#include "optimizer/detector/trainer.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <format>
#include <memory>
#include <numbers>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using SteadyClock = std::chrono::steady_clock;

struct PictureSize {
  int width_px = 0, height_px = 0;
};

double rate_at(std::int64_t step, const TrainOptions& options) {
  if (step < options.warmup_steps)
    return options.learning_rate * static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  const double done = static_cast<double>(step - options.warmup_steps) /
                      static_cast<double>(std::max<std::int64_t>(1, options.steps - options.warmup_steps));
  constexpr double kLeastShare = 0.02;
  return options.learning_rate *
         (kLeastShare + (1 - kLeastShare) * 0.5 * (1 + std::cos(std::numbers::pi * std::min(done, 1.0))));
}

/// Weight decay is for kernels only; scales, shifts and biases go without.
torch::optim::AdamW make_optimizer(ir::TorchModel& model, const TrainOptions& options) {
  std::vector<torch::Tensor> kernels, others;
  for (const auto& parameter : model.parameters()) {
    if (parameter.requires_grad()) (parameter.dim() == 4 ? kernels : others).push_back(parameter);
  }
  std::vector<torch::optim::OptimizerParamGroup> groups;
  const auto with_decay = [&](double decay) {
    return std::make_unique<torch::optim::AdamWOptions>(
        torch::optim::AdamWOptions(options.learning_rate).weight_decay(decay));
  };
  groups.emplace_back(kernels, with_decay(options.weight_decay));
  groups.emplace_back(others, with_decay(0));
  return torch::optim::AdamW(groups, torch::optim::AdamWOptions(options.learning_rate));
}

/// average += (model - average) * share, parameters and running statistics alike. Early on the past counts less.
void update_average(ir::TorchModel& average, const ir::TorchModel& model, double decay, std::int64_t step) {
  const torch::NoGradGuard no_grad;
  const double share = 1 - decay * (1 - std::exp(-static_cast<double>(step + 1) / 200.0));
  const auto blend = [&](std::vector<torch::Tensor> to, const std::vector<torch::Tensor>& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i].lerp_(from[i], share);
  };
  blend(average.parameters(), model.parameters());
  blend(average.buffers(), model.buffers());
}

torch::Tensor to_input(const Batch& batch, const PictureSize& size) {
  const auto count = static_cast<std::int64_t>(batch.boxes.size());
  auto bytes = torch::from_blob(const_cast<std::uint8_t*>(batch.pixels.data()),
                                {count, size.height_px, size.width_px, 3}, torch::kByte);
  return bytes.to(torch::kFloat).mul_(1.0 / 255.0).permute({0, 3, 1, 2});
}

Result<void> save(const TrainRun& run, torch::optim::AdamW& optimizer, std::int64_t step) {
  torch::serialize::OutputArchive archive, model, average, state;
  run.model->save(model);
  run.average->save(average);
  optimizer.save(state);
  archive.write("model", model);
  archive.write("average", average);
  archive.write("optimizer", state);
  archive.write("step", torch::tensor(step));
  std::filesystem::path temporary = run.checkpoint;
  temporary += ".part";
  archive.save_to(temporary.string());
  std::error_code error;
  std::filesystem::rename(temporary, run.checkpoint, error);
  if (error) return fail(Code::io, std::format("checkpoint {}: {}", run.checkpoint.string(), error.message()));
  return {};
}

Result<std::int64_t> load(const TrainRun& run, torch::optim::AdamW& optimizer) {
  try {
    torch::serialize::InputArchive archive, model, average, state;
    archive.load_from(run.checkpoint.string());
    archive.read("model", model);
    archive.read("average", average);
    archive.read("optimizer", state);
    torch::Tensor step;
    archive.read("step", step);
    run.model->load(model);
    run.average->load(average);
    optimizer.load(state);
    return step.item<std::int64_t>();
  } catch (const std::exception&) {
    return fail(Code::corrupt, std::format("checkpoint {}: does not fit this network; remove it to start afresh",
                                           run.checkpoint.string()));
  }
}

/// Forward under bfloat16 autocast when asked.
std::vector<torch::Tensor> forward(ir::TorchModel& model, const torch::Tensor& x, bool bf16) {
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_cache_enabled(false);  // the cache is shared by all threads
  at::autocast::set_autocast_enabled(at::kCPU, bf16);
  auto outputs = model.forward(x);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  return outputs;
}

/// Loss and gradients of one batch, its shares computed side by side; one thread per share and none within.
class Workers {
 public:
  Workers(const TrainRun& run, const TrainOptions& options) : run_(run), options_(options) {
    torch::set_num_threads(1);
    for (std::size_t i = 1; i < options.workers; ++i) twins_.push_back(run.model->twin());
  }

  /// Leaves the mean gradient in the model's parameters and returns the mean loss. Throws what libtorch throws.
  Loss step(const Batch& batch, const torch::Tensor& x) {
    const std::size_t share = batch.boxes.size() / options_.workers;
    std::vector<Loss> losses(options_.workers);
    std::vector<std::exception_ptr> errors(options_.workers);
    const auto work = [&](std::size_t i) {
      try {
        auto& model = i == 0 ? *run_.model : *twins_[i - 1];
        model.zero_grad();
        const auto part = x.narrow(0, static_cast<std::int64_t>(i * share), static_cast<std::int64_t>(share));
        losses[i] = detector_loss(*run_.network, forward(model, part, options_.bf16),
                                  std::span(batch.boxes).subspan(i * share, share), options_.loss);
        (losses[i].total / static_cast<double>(options_.workers)).backward();
      } catch (...) {
        errors[i] = std::current_exception();
      }
    };
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 1; i < options_.workers; ++i) threads.emplace_back(work, i);
      work(0);
    }
    for (const auto& error : errors) {
      if (error) std::rethrow_exception(error);
    }
    return gather(losses);
  }

 private:
  Loss gather(const std::vector<Loss>& losses) {
    Loss sum;
    for (const auto& loss : losses) {
      sum.score += loss.score / static_cast<double>(losses.size());
      sum.box += loss.box / static_cast<double>(losses.size());
    }
    const auto ours = run_.model->parameters();
    for (const auto& twin : twins_) {
      const auto theirs = twin->parameters();
      for (std::size_t p = 0; p < ours.size(); ++p) {
        if (theirs[p].grad().defined()) ours[p].mutable_grad().add_(theirs[p].grad());
      }
    }
    return sum;
  }

  const TrainRun& run_;
  const TrainOptions& options_;
  std::vector<std::shared_ptr<ir::TorchModel>> twins_;
};

}  // namespace

Result<void> train(const TrainRun& run, const TrainOptions& options) {
  auto optimizer = make_optimizer(*run.model, options);
  std::int64_t step = 0;
  if (std::filesystem::exists(run.checkpoint)) {
    WAYSIDE_TRY(step, load(run, optimizer));
  }
  const auto& input = run.network->graph.tensors[run.network->graph.inputs[0]].shape;
  const PictureSize size{.width_px = input[2], .height_px = input[1]};
  BatchLoader loader(run.folders, {.width_px = size.width_px,
                                   .height_px = size.height_px,
                                   .batch_size = options.batch_size,
                                   .seed = options.seed,
                                   .first_step = step,
                                   .plain_from_step = static_cast<std::int64_t>(static_cast<double>(options.steps) *
                                                                                (1 - options.plain_fraction)),
                                   .augment = options.augment});
  run.model->train();
  run.average->eval();
  Workers workers(run, options);
  Progress progress{.steps = options.steps};
  auto reported = SteadyClock::now();
  std::int64_t since = 0;
  for (; step < options.steps; ++step) {
    const Batch batch = loader.next();
    for (auto& group : optimizer.param_groups()) group.options().set_lr(rate_at(step, options));
    const Loss loss = workers.step(batch, to_input(batch, size));
    torch::nn::utils::clip_grad_norm_(run.model->parameters(), options.gradient_limit);
    optimizer.step();
    update_average(*run.average, *run.model, options.ema_decay, step);
    progress.score_loss += loss.score;
    progress.box_loss += loss.box;
    ++since;
    const bool stopped = run.stop != nullptr && run.stop->load();
    const bool last = step + 1 == options.steps;
    if ((step + 1) % options.report_every == 0 || last || stopped) {
      const double seconds = std::chrono::duration<double>(SteadyClock::now() - reported).count();
      progress.step = step + 1;
      progress.score_loss /= static_cast<double>(since);
      progress.box_loss /= static_cast<double>(since);
      progress.pictures_per_s = static_cast<double>(since) * static_cast<double>(options.batch_size) / seconds;
      progress.left_s = seconds / static_cast<double>(since) * static_cast<double>(options.steps - step - 1);
      if (run.report) run.report(progress);
      progress = {.steps = options.steps};
      since = 0;
      reported = SteadyClock::now();
    }
    if ((step + 1) % options.checkpoint_every == 0 || last || stopped) WAYSIDE_CHECK(save(run, optimizer, step + 1));
    if (stopped && !last)
      return fail(Code::bad_state, std::format("stopped at step {}; run the same command to go on", step + 1));
  }
  return {};
}

}  // namespace wayside::optimizer
