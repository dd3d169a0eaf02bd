// SPDX-License-Identifier: Apache-2.0
// The accuracy-aware loop.
#include "optimizer/report/optimize.h"

#include <algorithm>
#include <format>
#include <system_error>
#include <utility>

#include "optimizer/import/import_model.h"
#include "optimizer/passes/passes.h"
#include "optimizer/report/card.h"
#include "optimizer/report/profile.h"
#include "optimizer/tflite/writer.h"
#include "ota/store/digest.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;

Result<void> write_text(const std::filesystem::path& path, const std::string& text) {
  return save_file(path, {text.begin(), text.end()});
}

Result<std::string> hash_of(const std::vector<TaskSample>& samples) {
  ota::Sha256 hash;
  for (const auto& sample : samples) hash.update(std::as_bytes(std::span(sample.input)));
  WAYSIDE_TRY(const auto digest, hash.finish());
  return digest.hex();
}

Result<void> check_domain(const OptimizeOptions& options, double distance) {
  if (distance <= kMostDistance || options.any_domain) return {};
  return fail(Code::invalid_argument,
              std::format("{} is not of the kind of {}: they lie {:.1f} standard deviations apart (at most {:.0f}); "
                          "calibrate with what the device will see, or pass --any-domain",
                          options.calibration.string(), options.evaluation.string(), distance, kMostDistance));
}

Figures figures_of(const Variant& variant) {
  return {.latency_ms = variant.p50_ms,
          .size_bytes = static_cast<double>(variant.bytes),
          .drop_points = 100 * (variant.float_score - variant.engine_score)};
}

bool better(const Variant& a, const Variant& b, bool smallest = false) {
  if (smallest && a.bytes != b.bytes) return a.bytes < b.bytes;
  return a.engine_score != b.engine_score ? a.engine_score > b.engine_score : a.bytes < b.bytes;
}

/// What all chains share.
struct Work {
  const OptimizeOptions& options;
  const Task& task;
  const Prepared& prepared;
  ir::Graph network;  ///< the body, or the smaller network that takes its place
  std::vector<ir::Values> calibration;
  std::vector<TaskSample> evaluation;
  const OptimizeProgress& progress;
};

class FloatRun {
 public:
  FloatRun(const ir::Graph& body, const ir::Graph& tail) : network_(body), tail_(tail) {}
  Result<std::vector<ir::Values>> operator()(const ir::Values& x) { return tail_.run(network_.run({x})); }

 private:
  ir::Interpreter network_, tail_;
};

PtqOptions with_adaround(double int4_share) {
  constexpr std::int64_t kSteps = 1000;
  return {.method = RangeMethod::mse,
          .equalize = true,
          .correct_bias = true,
          .int4_share = int4_share,
          .adaround_steps = kSteps};
}

/// The same chain with nearest rounding misses a limit that rounding does not change.
bool is_hopeless(const PtqOptions& chain, const Report& report) {
  if (chain.adaround_steps == 0) return false;
  PtqOptions nearest = chain;
  nearest.adaround_steps = 0;
  const auto found = std::ranges::find(report.variants, name_of(nearest), &Variant::name);
  return found != report.variants.end() &&
         std::ranges::any_of(found->misses, [](const std::string& miss) { return !miss.starts_with("drop"); });
}

/// Appends a row to the report, and chooses it where it is the best within the budget.
Result<void> measure(const Work& work, const Quantized& quantized, const std::string& name, double float_score,
                     Report& report) {
  const auto file = work.options.out / std::format("{}.{}.tflite", report.model, name);
  WAYSIDE_TRY(auto variant, measure_variant(work.prepared, quantized, work.task, work.evaluation, file));
  variant.name = name;
  variant.file = file.filename().string();
  variant.float_score = float_score;
  variant.misses = misses(work.options.budget, figures_of(variant));
  report.variants.push_back(std::move(variant));
  const auto& added = report.variants.back();
  if (added.misses.empty() &&
      (report.chosen < 0 ||
       better(added, report.variants[static_cast<std::size_t>(report.chosen)], work.options.mixed)))
    report.chosen = static_cast<int>(report.variants.size()) - 1;
  return {};
}

/// The float network of a chain teaches its rounded form: scaled like it, so that hidden tensors can be compared.
Result<Quantized> train(const Work& work, const PtqOptions& chain, Quantized quantized, const std::string& name,
                        Report& report) {
  ir::Graph teacher = work.network;
  if (chain.equalize) equalize(teacher, work.calibration);
  FinetuneOptions options = *work.options.training;
  options.keep_zeros = work.options.shrink && work.options.shrink->sparsity;
  options.scheme = quantized.scheme;
  const Finetune run{.teacher = &teacher,
                     .student = &quantized.graph,
                     .samples = samples_of(work.calibration),
                     .checkpoint = work.options.out / std::format("{}.{}.checkpoint", report.model, name),
                     .progress = [&](const FinetuneProgress& now) {
                       return work.progress(name + ": " + to_string(now),
                                            static_cast<double>(now.step) / static_cast<double>(now.steps));
                     }};
  WAYSIDE_TRY(auto trained, finetune(run, options));
  report.trainings.push_back({name, trained.learning_rate, trained.held_out});
  quantized.scheme = std::move(trained.scheme);
  WAYSIDE_TRY(quantized.integer, quantize(quantized.graph, quantized.scheme.activations, quantized.scheme.weights));
  return quantized;
}

/// The variants' networks, as far as targets may be made of them: the chosen one's, and the best one's until one is.
struct Kept {
  std::size_t variant = 0;
  Quantized quantized;
};

/// In float, with the tail.
Result<double> score_of(const Work& work, const ir::Graph& body) {
  FloatRun run(body, work.prepared.tail);
  return work.task.score(std::ref(run), work.evaluation);
}

Result<void> make_smaller(Work& work, Report& report) {
  ShrinkOptions how = *work.options.shrink;
  report.shrunk = name_of(how);
  how.checkpoint = work.options.out / std::format("{}.{}.checkpoint", report.model, report.shrunk);
  WAYSIDE_TRY(auto shrunk,
              shrink(work.prepared.body, samples_of(work.calibration), how, [&](const std::string& note, double done) {
                return work.progress(report.shrunk + (note.empty() ? "" : ": ") + note, done);
              }));
  if (shrunk.training)
    report.trainings.push_back({report.shrunk, shrunk.training->learning_rate, shrunk.training->held_out});
  WAYSIDE_TRY(report.untrained_score, score_of(work, shrunk.untrained));
  WAYSIDE_TRY(report.trained_score, score_of(work, shrunk.trained));
  report.shrunk_mac_count = ir::cost(shrunk.trained).mac_count;
  work.network = std::move(shrunk.trained);
  return {};
}

/// Keeps what targets and profile may be made of.
void keep(const Report& report, Quantized quantized, Kept& kept) {
  const std::size_t last = report.variants.size() - 1;
  const bool chosen = report.chosen == static_cast<int>(last);
  if (last == 0 || chosen || (report.chosen < 0 && better(report.variants[last], report.variants[kept.variant])))
    kept = {last, std::move(quantized)};
}

/// As many layers with four bits as the budget bears, with the ranges of the first chain that bears none at all.
class MixedSearch {
 public:
  MixedSearch(const Work& work, double float_score, Report& report, Kept& kept)
      : work_(work), float_score_(float_score), report_(report), kept_(kept) {}

  Result<void> run() {
    report_.layers = layers_by_sensitivity(work_.network, work_.calibration);
    decibels_.resize(work_.network.ops.size());
    for (const auto& layer : report_.layers) decibels_[layer.op] = layer.four_bit_db;
    WAYSIDE_TRY(const auto count, largest_that_fits(report_.layers.size(), [&](std::size_t c) { return fits(c); }));
    for (std::size_t i = 0; i < count.value_or(0); ++i) report_.layers[i].bits = 4;
    return {};
  }

 private:
  Result<bool> fits(std::size_t count) {
    if (count > 0) return measured(count);
    for (const auto& chain : ladder()) {
      if (chain.int4_share > 0 || chain.adaround_steps > 0) continue;
      chain_ = chain;
      WAYSIDE_TRY(const bool fit, measured(0));
      if (fit) return true;
    }
    return false;
  }

  Result<bool> measured(std::size_t count) {
    const auto name = std::format("{}+int4-{}-of-{}-layers", name_of(chain_), count, report_.layers.size());
    PtqOptions chain = chain_;
    chain.int4_decibels = decibels_;
    chain.int4_share = share_of(report_.layers, count);
    WAYSIDE_TRY(auto quantized,
                quantize_after_training(work_.network, work_.calibration, work_.task.input_quantization(), chain,
                                        [&](double done) { return work_.progress(name, done); }));
    WAYSIDE_CHECK(measure(work_, quantized, name, float_score_, report_));
    keep(report_, std::move(quantized), kept_);
    return report_.variants.back().misses.empty();
  }

  const Work& work_;
  double float_score_;
  Report& report_;
  Kept& kept_;
  PtqOptions chain_;
  std::vector<double> decibels_;
};

Result<void> measure_chains(const Work& work, Report& report, Kept& kept) {
  if (!work.progress("float", 0)) return fail(Code::bad_state, "stopped");
  WAYSIDE_TRY(const double float_score, score_of(work, work.prepared.body));
  if (work.options.mixed) return MixedSearch(work, float_score, report, kept).run();
  std::size_t best = 0;
  PtqOptions best_chain;
  Quantized best_quantized;
  for (const auto& chain : work.options.chains) {
    if (work.options.first_that_fits && is_hopeless(chain, report)) continue;
    const std::string name = (report.shrunk.empty() ? "" : report.shrunk + "+") + name_of(chain);
    const auto progress = [&](double done) { return work.progress(name, done); };
    WAYSIDE_TRY(auto quantized, quantize_after_training(work.network, work.calibration, work.task.input_quantization(),
                                                        chain, progress));
    WAYSIDE_CHECK(measure(work, quantized, name, float_score, report));
    const std::size_t last = report.variants.size() - 1;
    if (work.options.training && (last == 0 || better(report.variants[last], report.variants[best]))) {
      best = last;
      best_chain = chain;
      best_quantized = quantized;
    }
    keep(report, std::move(quantized), kept);
    if (work.options.first_that_fits && report.chosen >= 0) return {};
  }
  if (!work.options.training || report.variants.empty()) return {};
  const auto name = std::format("{}+qat-{}", report.variants[best].name, work.options.training->steps);
  WAYSIDE_TRY(auto trained, train(work, best_chain, std::move(best_quantized), name, report));
  WAYSIDE_CHECK(measure(work, trained, name, float_score, report));
  keep(report, std::move(trained), kept);
  return {};
}

Result<void> emit_targets(const Work& work, const Kept& kept, Report& report) {
  const emit::TargetWork target{.model = report.model,
                                .tflite = work.options.out / report.variants[kept.variant].file,
                                .quantized = &kept.quantized,
                                .calibration = &work.calibration,
                                .folder = work.options.out / (report.model + ".targets")};
  for (const auto one : work.options.targets) {
    WAYSIDE_TRY(auto status, emit::emit_target(one, target));
    report.targets.push_back(std::move(status));
  }
  return {};
}

Result<void> measure_weight_only_forms(const Work& work, Report& report) {
  for (const auto format : {WeightFormat::float16, WeightFormat::int8}) {
    const std::string name = format == WeightFormat::float16 ? "float16-weights" : "int8-weights";
    if (!work.progress(name, 0)) return fail(Code::bad_state, "stopped");
    const auto file = work.options.out / std::format("{}.{}.tflite", report.model, name);
    WAYSIDE_TRY(auto variant, measure_weight_only(work.prepared, format, work.task, work.evaluation, file));
    variant.name = name;
    variant.float_score = report.variants[0].float_score;
    report.variants.push_back(std::move(variant));
  }
  return {};
}

Result<void> write_profile(const Work& work, const Kept& kept, Report& report) {
  constexpr std::size_t kSamples = 8;
  std::vector<ir::Values> samples;
  for (std::size_t i = 0; i < std::min(kSamples, work.evaluation.size()); ++i)
    samples.push_back(work.evaluation[i].input);
  const Variant& variant = report.variants[kept.variant];
  const auto name = std::format("{}.{}", report.model, variant.name);
  WAYSIDE_TRY(const auto measured, profile(name, work.options.out / variant.file, kept.quantized, samples));
  WAYSIDE_CHECK(write_text(work.options.out / (name + ".profile.txt"), to_text(measured)));
  WAYSIDE_CHECK(write_text(work.options.out / (name + ".profile.html"), to_html(measured)));
  report.bottlenecks = bottlenecks(measured);
  return {};
}

}  // namespace

std::string name_of(const PtqOptions& chain) {
  return std::string(to_string(chain.method)) + (chain.equalize ? "+equalised" : "") +
         (chain.correct_bias ? "+bias" : "") +
         (chain.int4_share > 0 ? std::format("+int4-{:.0f}", 100 * chain.int4_share) : "") +
         (chain.adaround_steps > 0 ? "+adaround" : "");
}

std::vector<PtqOptions> ladder() {
  return {{.method = RangeMethod::average, .equalize = true, .correct_bias = true},
          {.method = RangeMethod::mse, .equalize = true, .correct_bias = true},
          {.method = RangeMethod::percentile, .equalize = true, .correct_bias = true},
          {.method = RangeMethod::kl, .equalize = true, .correct_bias = true},
          {.method = RangeMethod::mse, .equalize = true, .correct_bias = true, .int4_share = 0.5},
          {.method = RangeMethod::mse, .equalize = true, .correct_bias = true, .int4_share = 0.75},
          {.method = RangeMethod::mse, .equalize = true, .correct_bias = true, .int4_share = 1},
          with_adaround(0),
          with_adaround(0.5),
          with_adaround(0.75),
          with_adaround(1)};
}

std::vector<PtqOptions> all_chains() {
  std::vector<PtqOptions> out;
  for (const auto method :
       {RangeMethod::min_max, RangeMethod::average, RangeMethod::percentile, RangeMethod::kl, RangeMethod::mse}) {
    out.push_back({.method = method, .equalize = true, .correct_bias = true});
  }
  for (const bool corrected : {false, true})
    out.push_back({.method = RangeMethod::mse, .equalize = false, .correct_bias = corrected});
  for (const double share : {0.5, 0.75, 1.0})
    out.push_back({.method = RangeMethod::mse, .equalize = true, .correct_bias = true, .int4_share = share});
  for (const double share : {0.0, 1.0}) out.push_back(with_adaround(share));
  return out;
}

Result<Report> optimize(const OptimizeOptions& options, const OptimizeProgress& progress) {
  WAYSIDE_TRY(auto graph, import_model(options.model));
  WAYSIDE_CHECK(passes::normalize_input(graph, options.mean, options.deviation));
  TaskSpec fewer = options.task;
  fewer.limit = options.calibration_limit;
  WAYSIDE_TRY(const auto task, Task::create(options.task, graph));
  WAYSIDE_TRY(const auto calibration_task, Task::create(fewer, graph));
  WAYSIDE_TRY(const auto card, model_card(options.task, graph, options.package));
  WAYSIDE_TRY(const auto prepared, prepare(std::move(graph)));
  WAYSIDE_TRY(auto calibration, calibration_task.load(options.calibration));
  WAYSIDE_TRY(auto evaluation, task.load(options.evaluation));
  if (options.agreement) {
    FloatRun run(prepared.body, prepared.tail);
    WAYSIDE_CHECK(task.label_by(std::ref(run), evaluation));
  }
  WAYSIDE_TRY(auto hash, hash_of(calibration));
  Report report{.model = options.model.stem().string(),
                .metric = task.metric() + (options.agreement ? " with float as the truth" : ""),
                .calibration_sha256 = std::move(hash),
                .mac_count = ir::cost(prepared.whole).mac_count,
                .calibration_samples = calibration.size(),
                .evaluation_samples = evaluation.size(),
                .imported_ops = prepared.imported_ops,
                .body_ops = prepared.body.ops.size(),
                .tail_ops = prepared.tail.ops.size(),
                .distance = domain_distance(calibration, evaluation, task.channels())};
  WAYSIDE_CHECK(check_domain(options, report.distance));
  if (options.training || options.shrink)
    report.training_seed = options.training ? options.training->seed : options.shrink->training.seed;
  std::vector<ir::Values> inputs;
  for (auto& sample : calibration) inputs.push_back(std::move(sample.input));
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) return fail(Code::io, std::format("{}: {}", options.out.string(), error.message()));
  Work work{options, task, prepared, prepared.body, std::move(inputs), std::move(evaluation), progress};
  if (options.shrink) WAYSIDE_CHECK(make_smaller(work, report));
  Kept kept;
  WAYSIDE_CHECK(measure_chains(work, report, kept));
  if (!report.variants.empty()) WAYSIDE_CHECK(emit_targets(work, kept, report));
  if (!report.variants.empty() && options.profile) WAYSIDE_CHECK(write_profile(work, kept, report));
  if (!report.variants.empty() && options.weight_only) WAYSIDE_CHECK(measure_weight_only_forms(work, report));
  WAYSIDE_CHECK(write_text(options.out / (report.model + ".md"), to_markdown(report)));
  WAYSIDE_CHECK(write_text(options.out / (report.model + ".json"), to_json(report)));
  WAYSIDE_CHECK(write_text(options.out / (report.model + ".svg"), to_svg(report)));
  if (report.chosen >= 0 && card) {
    const auto file = options.out / report.variants[static_cast<std::size_t>(report.chosen)].file;
    WAYSIDE_CHECK(write_text(std::filesystem::path(file).replace_extension(".yaml"), card->text));
  }
  if (report.chosen >= 0 && !options.package.out.empty())
    WAYSIDE_CHECK(
        write_package(options.package, report, options.budget, options.out, work.evaluation, card ? &*card : nullptr));
  return report;
}

}  // namespace wayside::optimizer
