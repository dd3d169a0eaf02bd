// SPDX-License-Identifier: Apache-2.0
// One step of tune/, then distillation without labels.
#include "optimizer/report/shrink.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <utility>

#include "optimizer/ir/interpreter.h"
#include "optimizer/tune/latency.h"
#include "optimizer/tune/low_rank.h"
#include "optimizer/tune/prune.h"
#include "optimizer/tune/search.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Progress = std::function<bool(double)>;

/// Finalists of a search are taught for this share of the steps in each round.
constexpr std::int64_t kSearchShare = 4;

Result<ir::Graph> taught(const ir::Graph& teacher, ir::Graph student, const Samples& samples, FinetuneOptions options,
                         const Progress& progress) {
  if (options.steps == 0) return student;
  options.scheme = {};
  const Finetune run{.teacher = &teacher,
                     .student = &student,
                     .samples = samples,
                     .checkpoint = {},
                     .progress = [&](const FinetuneProgress& now) {
                       return !progress || progress(static_cast<double>(now.step) / static_cast<double>(now.steps));
                     }};
  WAYSIDE_CHECK(finetune(run, options));
  return student;
}

/// Mean square difference of the outputs on some samples, in parts of the teacher's mean square.
Result<double> distance(const ir::Graph& teacher, const ir::Graph& student, const Samples& samples) {
  constexpr std::size_t kSamples = 32;
  ir::Interpreter exact(teacher), other(student);
  double error = 0, size = 0;
  const std::size_t count = std::min(kSamples, samples.count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto x = samples.load(i * samples.count / count);
    const auto a = exact.run({x}), b = other.run({x});
    for (std::size_t o = 0; o < a.size(); ++o) {
      if (a[o].size() != b[o].size()) return fail(Code::invalid_argument, "the student has other outputs");
      for (std::size_t k = 0; k < a[o].size(); ++k) {
        const auto wanted = static_cast<double>(a[o][k]), difference = static_cast<double>(b[o][k]) - wanted;
        error += difference * difference;
        size += wanted * wanted;
      }
    }
  }
  constexpr double kLeast = 1e-12;
  return error / std::max(size, kLeast);
}

Result<ir::Graph> pruned(const ir::Graph& teacher, double kept) {
  WAYSIDE_TRY(auto done, prune_channels(teacher, weight_scores(teacher, Importance::l2), {.kept_mac_share = kept}));
  return std::move(done.graph);
}

Result<ir::Graph> searched(const ir::Graph& teacher, const Samples& samples, const ShrinkOptions& options,
                           const Progress& progress) {
  FinetuneOptions brief = options.training;
  brief.steps = std::max<std::int64_t>(1, brief.steps / kSearchShare);
  const Search search{.limit = *options.latency,
                      .prune = {},
                      .measure = [](const ir::Graph& graph) -> Result<std::chrono::nanoseconds> {
                        WAYSIDE_TRY(const auto latency, measure_on_cpu(graph, {}));
                        return latency.median;
                      },
                      .score = [&](ir::Graph& graph, std::size_t) -> Result<double> {
                        WAYSIDE_TRY(graph, taught(teacher, std::move(graph), samples, brief,
                                                  [&](double) { return !progress || progress(0); }));
                        WAYSIDE_TRY(const double error, distance(teacher, graph, samples));
                        return -error;
                      },
                      .damage = [&](const ir::Graph& graph) { return distance(teacher, graph, samples); }};
  WAYSIDE_TRY(auto candidates, search_architecture(teacher, {}, search));
  return std::move(candidates.front().graph);
}

Result<ir::Graph> smaller(const ir::Graph& teacher, const Samples& samples, const ShrinkOptions& options,
                          const Progress& progress) {
  if (options.kept_mac_share) return pruned(teacher, *options.kept_mac_share);
  if (options.latency) return searched(teacher, samples, options, progress);
  WAYSIDE_TRY(auto done, factorise(teacher, {.energy = options.energy.value_or(1), .rank_share = {}}));
  return std::move(done.graph);
}

}  // namespace

std::string name_of(const ShrinkOptions& options) {
  const std::string training = options.training.steps > 0 ? std::format("+distilled-{}", options.training.steps) : "";
  if (options.kept_mac_share) return std::format("pruned-{:.0f}", 100 * (1 - *options.kept_mac_share)) + training;
  if (options.latency) return std::format("searched-{}us", options.latency->count() / 1000) + training;
  return std::format("low-rank-{:.0f}", 100 * options.energy.value_or(1)) + training;
}

Result<Shrunk> shrink(const ir::Graph& teacher, const Samples& samples, const ShrinkOptions& options,
                      const Progress& progress) {
  WAYSIDE_TRY(auto student, smaller(teacher, samples, options, progress));
  WAYSIDE_TRY(auto trained, taught(teacher, student, samples, options.training, progress));
  return Shrunk{.untrained = std::move(student), .trained = std::move(trained)};
}

}  // namespace wayside::optimizer
