// SPDX-License-Identifier: Apache-2.0
// One step of tune/, then distillation without labels.
#include "optimizer/report/shrink.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <format>
#include <utility>

#include "optimizer/ir/interpreter.h"
#include "optimizer/tune/latency.h"
#include "optimizer/tune/low_rank.h"
#include "optimizer/tune/reconstruction.h"
#include "optimizer/tune/refit.h"
#include "optimizer/tune/search.h"
#include "optimizer/tune/taylor.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Progress = ShrinkProgress;

/// Finalists of a search are taught for this share of the steps in each round.
constexpr std::int64_t kSearchShare = 4;

/// A smaller network before it is taught.
struct Smaller {
  ir::Graph graph;
  KeptChannels kept;  ///< of the teacher's tensors
};

struct Taught {
  ir::Graph graph;
  std::optional<Finetuned> training;
};

Result<Taught> taught(const ir::Graph& teacher, Smaller student, const Samples& samples, FinetuneOptions options,
                      const Progress& progress, const std::filesystem::path& checkpoint = {}) {
  if (options.steps == 0) return Taught{.graph = std::move(student.graph), .training = {}};
  options.scheme = {};
  const Finetune run{.teacher = &teacher,
                     .student = &student.graph,
                     .samples = samples,
                     .kept = std::move(student.kept),
                     .checkpoint = checkpoint,
                     .progress = [&](const FinetuneProgress& now) {
                       return !progress ||
                              progress(to_string(now), static_cast<double>(now.step) / static_cast<double>(now.steps));
                     }};
  WAYSIDE_TRY(auto training, finetune(run, options));
  return Taught{.graph = std::move(student.graph), .training = std::move(training)};
}

/// How far networks are from the teacher on some samples.
class Distance {
 public:
  Distance(const ir::Graph& teacher, const Samples& samples) {
    constexpr std::size_t kSamples = 16;
    ir::Interpreter exact(teacher);
    const std::size_t count = std::min(kSamples, samples.count);
    for (std::size_t i = 0; i < count; ++i) {
      inputs_.push_back(samples.load(i * samples.count / count));
      wanted_.push_back(exact.run({inputs_.back()}));
    }
  }
  /// Mean square difference of the outputs, in parts of the teacher's mean square.
  [[nodiscard]] Result<double> of(const ir::Graph& student) const {
    ir::Interpreter other(student);
    double error = 0, size = 0;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const auto got = other.run({inputs_[i]});
      for (std::size_t o = 0; o < got.size(); ++o) {
        if (wanted_[i][o].size() != got[o].size()) return fail(Code::invalid_argument, "the student has other outputs");
        for (std::size_t k = 0; k < got[o].size(); ++k) {
          const auto wanted = static_cast<double>(wanted_[i][o][k]);
          const double difference = static_cast<double>(got[o][k]) - wanted;
          error += difference * difference;
          size += wanted * wanted;
        }
      }
    }
    constexpr double kLeast = 1e-12;
    return error / std::max(size, kLeast);
  }

 private:
  std::vector<ir::Values> inputs_;
  std::vector<std::vector<ir::Values>> wanted_;
};

/// Those that may be learned from before a training.
Samples teaching(const Samples& samples, const FinetuneOptions& training) {
  if (training.steps == 0) return samples;
  const auto held_out = held_out_samples(samples.count, training.seed);
  std::vector<std::size_t> taught;
  for (std::size_t i = 0; i < samples.count; ++i) {
    if (!std::ranges::binary_search(held_out, i)) taught.push_back(i);
  }
  const std::size_t count = taught.size();
  return {.count = count,
          .load = [&samples, taught = std::move(taught)](std::size_t i) { return samples.load(taught[i]); }};
}

Result<Pruned> without_channels(const ir::Graph& graph, const Samples& samples, const ShrinkOptions& options,
                                const PruneOptions& limits) {
  const auto seed = options.training.seed;
  if (options.importance == Importance::reconstruction) {
    WAYSIDE_TRY(auto order, removal_order(graph, teaching(samples, options.training), limits, seed));
    return prune_in_order(graph, std::move(order), limits);
  }
  if (options.importance != Importance::taylor)
    return prune_channels(graph, weight_scores(graph, options.importance), limits);
  WAYSIDE_TRY(const auto scores, taylor_scores(graph, teaching(samples, options.training), seed));
  return prune_channels(graph, scores, limits);
}

/// The steps of the training are shared between the rounds; the last round's are left to the caller.
Result<Smaller> pruned(const ir::Graph& teacher, const Samples& samples, const ShrinkOptions& options,
                       const Progress& progress) {
  FinetuneOptions brief = options.training;
  brief.steps /= static_cast<std::int64_t>(options.rounds);
  KeptChannels kept;
  const auto prune = [&](const ir::Graph& graph, const PruneOptions& limits) {
    return without_channels(graph, samples, options, limits);
  };
  const auto recover = [&](ir::Graph& graph, std::size_t round) -> Result<void> {
    if (round + 1 == options.rounds) return {};
    const auto count = static_cast<double>(options.rounds);
    WAYSIDE_TRY(auto done,
                taught(teacher, {std::move(graph), kept}, samples, brief, [&](const std::string& note, double share) {
                  return !progress || progress(note, (static_cast<double>(round) + share) / count);
                }));
    graph = std::move(done.graph);
    return {};
  };
  const auto repair = [&](const ir::Graph& /*before*/, Pruned& done) -> Result<void> {
    kept = joined(std::move(kept), done.kept);
    WAYSIDE_CHECK(refit_layers(teacher, kept, done.graph, teaching(samples, options.training), {}));
    return {};
  };
  WAYSIDE_TRY(auto graph,
              prune_in_rounds(teacher, {.rounds = options.rounds, .prune = prune, .repair = repair, .recover = recover},
                              {.kept_mac_share = *options.kept_mac_share}));
  return Smaller{.graph = std::move(graph), .kept = std::move(kept)};
}

Result<Smaller> thinned(const ir::Graph& teacher, const Samples& samples, const ShrinkOptions& options) {
  ir::Graph graph = teacher;
  if (options.sparsity->two_of_four) {
    sparsify_2_4(graph);
  } else {
    sparsify(graph, options.sparsity->zero_share);
  }
  WAYSIDE_CHECK(refit_layers(teacher, {}, graph, teaching(samples, options.training), {.keep_zeros = true}));
  return Smaller{.graph = std::move(graph), .kept = {}};
}

Result<Smaller> searched(const ir::Graph& teacher, const Samples& samples, const ShrinkOptions& options,
                         const Progress& progress) {
  constexpr std::size_t kFinalists = 4;
  FinetuneOptions brief = options.training;
  if (brief.steps > 0) brief.steps = std::max<std::int64_t>(1, brief.steps / kSearchShare);
  const auto known = teaching(samples, options.training);
  const Distance distance(teacher, samples);
  const Search search{
      .limit = *options.latency,
      .prune = {},
      .finalists = kFinalists,
      .measure = [](const ir::Graph& graph) -> Result<std::chrono::nanoseconds> {
        WAYSIDE_TRY(const auto latency, measure_on_cpu(graph, {}));
        return latency.median;
      },
      .order = [&](const ir::Graph& graph) { return removal_order(graph, known, {}, options.training.seed); },
      .score = [&](Candidate& one, std::size_t round) -> Result<double> {
        if (round == 0) WAYSIDE_CHECK(refit_layers(teacher, one.kept, one.graph, known, {}));
        WAYSIDE_TRY(auto done, taught(teacher, {std::move(one.graph), one.kept}, samples, brief,
                                      [&](const std::string& note, double) { return !progress || progress(note, 0); }));
        one.graph = std::move(done.graph);
        WAYSIDE_TRY(const double error, distance.of(one.graph));
        return -error;
      },
      .damage = [&](const ir::Graph& graph) { return distance.of(graph); }};
  WAYSIDE_TRY(auto candidates, search_architecture(teacher, {}, search));
  return Smaller{.graph = std::move(candidates.front().graph), .kept = std::move(candidates.front().kept)};
}

Result<Smaller> smaller(const ir::Graph& teacher, const Samples& samples, const ShrinkOptions& options,
                        const Progress& progress) {
  if (options.kept_mac_share) return pruned(teacher, samples, options, progress);
  if (options.sparsity) return thinned(teacher, samples, options);
  if (options.latency) return searched(teacher, samples, options, progress);
  WAYSIDE_TRY(auto done, factorise(teacher, {.energy = options.energy.value_or(1), .rank_share = {}}));
  WAYSIDE_CHECK(refit_layers(teacher, {}, done.graph, teaching(samples, options.training), {}));
  return Smaller{.graph = std::move(done.graph), .kept = {}};
}

}  // namespace

std::string name_of(const ShrinkOptions& options) {
  const std::string training = options.training.steps > 0 ? std::format("+distilled-{}", options.training.steps) : "";
  if (options.kept_mac_share) {
    const auto how =
        options.importance == Importance::reconstruction ? "" : std::format("-{}", to_string(options.importance));
    const auto rounds = options.rounds == 1 ? "" : std::format("-in-{}", options.rounds);
    return std::format("pruned-{:.0f}{}{}", 100 * (1 - *options.kept_mac_share), how, rounds) + training;
  }
  if (options.sparsity) {
    if (options.sparsity->two_of_four) return "sparse-2-4" + training;
    return std::format("sparse-{:.0f}", 100 * options.sparsity->zero_share) + training;
  }
  if (options.latency) return std::format("searched-{}us", options.latency->count() / 1000) + training;
  return std::format("low-rank-{:.0f}", 100 * options.energy.value_or(1)) + training;
}

Result<Sparsity> parse_sparsity(const std::string& text) {
  if (text == "2:4") return Sparsity{.two_of_four = true};
  Sparsity out;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out.zero_share);
  if (error != std::errc{} || stop != end || !(out.zero_share > 0 && out.zero_share < 1))
    return fail(Code::invalid_argument, std::format("--sparse {}: not 2:4 or a share between 0 and 1, as 0.5", text));
  return out;
}

Result<Shrunk> shrink(const ir::Graph& teacher, const Samples& samples, const ShrinkOptions& options,
                      const Progress& progress) {
  WAYSIDE_TRY(auto student, smaller(teacher, samples, options, progress));
  const auto rounds = static_cast<std::int64_t>(options.rounds);
  FinetuneOptions training = options.training;
  training.steps -= training.steps / rounds * (rounds - 1);  // pruned() took those of the other rounds
  training.keep_zeros = options.sparsity.has_value();
  WAYSIDE_TRY(auto trained, taught(teacher, student, samples, training, progress,
                                   options.latency ? std::filesystem::path() : options.checkpoint));
  return Shrunk{.untrained = std::move(student.graph),
                .trained = std::move(trained.graph),
                .training = std::move(trained.training)};
}

}  // namespace wayside::optimizer
