// SPDX-License-Identifier: Apache-2.0
// wayside-optimize: a float or quantised model (ONNX, TFLite) in, measured INT8 variants and a report out.
#include <CLI/CLI.hpp>

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <print>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "optimizer/report/optimize.h"

namespace {

using namespace wayside::optimizer;
using wayside::base::Code;
using wayside::base::fail;
using wayside::base::Result;

std::atomic<bool> stop_requested{false};

struct Arguments {
  OptimizeOptions options{.out = "build/optimize"};
  FinetuneOptions qat{.steps = 0, .scheme = {}};
  double int4_share = 0;
  std::int64_t adaround_steps = 0;
  double kept = 0, energy = 0, latency_ms = 0;
  std::int64_t distillation = 0;
  std::size_t rounds = 1;
  std::string importance = "reconstruction", sparse;
  std::string task = "classify", order = "bgr", method = "auto", target = "cpu-int8", budget = "drop<1%";
  std::vector<std::string> classes;
  bool plain = false, json = false;
};

void describe(CLI::App& app, Arguments& arguments) {
  auto& options = arguments.options;
  app.add_option("model", options.model, "float or quantised .onnx or .tflite file")->required();
  app.add_option("--calib", options.calibration,
                 "calibration: .csv, .mjpeg or a folder of pictures; 100 samples or more")
      ->required();
  app.add_option("--eval", options.evaluation, "labelled samples: .csv, or a folder of pictures with YOLO labels")
      ->required();
  app.add_option("--out", options.out, "folder for the .tflite files and the report (build/optimize)");
  app.add_option("--budget", arguments.budget, "limits, as in latency<20ms,size<2MB,drop<1% (drop<1%)");
  app.add_option("--target", arguments.target,
                 "folders for these targets, with what the vendor's tools need: all, or some of "
                 "cpu-int8,tensorrt,hailo8,rk3588 (cpu-int8)");
  app.add_flag(
      "--weight-only", options.weight_only,
      "also .tflite files with float16 weights, and with int8 weights and float activations; their accuracy is "
      "simulated: the CPU engine refuses float layers");
  app.add_flag("--profile", options.profile,
               "layer by layer: time on the engine, work, bytes, noise; as a table and a page beside the report");
  app.add_option("--task", arguments.task,
                 "classify, text, embedding, or a detector's head: ssd, yolox, yolov8, yunet, fastestdet")
      ->check(CLI::IsMember({"classify", "text", "embedding", "ssd", "yolox", "yolov8", "yunet", "fastestdet"}));
  app.add_option("--classes", arguments.classes,
                 "detectors: classes that are judged, as 0=0,2=1,7=1: the network's and the labels' number, the "
                 "number that it counts as (all, each as itself)")
      ->delimiter(',');
  app.add_option("--threshold", options.task.threshold, "embedding: the least cosine of two that show the same (0.5)");
  app.add_option("--charset", options.task.charset, "text: the symbols, one a line, the blank last");
  app.add_option("--mean", options.mean, "of the input's channels: the written model takes 0..255 and subtracts it")
      ->delimiter(',');
  app.add_option("--deviation", options.deviation, "the same, what it divides by then")->delimiter(',');
  app.add_option("--priors", options.task.head.priors, "ssd: .npy with the prior boxes");
  app.add_option("--order", arguments.order, "channels of pictures: bgr or rgb")->check(CLI::IsMember({"bgr", "rgb"}));
  app.add_option("--method", arguments.method,
                 "auto: cheap chains first, until one is within the budget; all: every chain, to compare them; or the "
                 "ranges of one chain: min-max, average, percentile, kl, mse, file (what a quantised model states)");
  app.add_option("--qat", arguments.qat.steps,
                 "quantisation-aware training of the most accurate chain, so many steps (0); with --method auto only "
                 "when none is within the budget; the float model teaches on the calibration samples; --calib-limit "
                 "counts")
      ->check(CLI::Range(0, 10'000'000));
  app.add_option("--int4", arguments.int4_share,
                 "with the ranges of one chain: at most this share of the weights gets four bits, as 0.5")
      ->check(CLI::Range(0.0, 1.0));
  app.add_flag(
         "--mixed", options.mixed,
         "instead of --method: four-bit weights for as many layers as the budget bears, the least sensitive first")
      ->excludes("--int4")
      ->excludes("--qat");
  app.add_option("--adaround", arguments.adaround_steps,
                 "with the ranges of one chain: learns the rounding of each layer, so many steps (0; 1000 do)")
      ->check(CLI::Range(0, 1'000'000));
  app.add_option("--prune", arguments.kept, "first remove channels until this share of the work is left, as 0.5")
      ->check(CLI::Range(0.01, 1.0));
  app.add_option(
         "--importance", arguments.importance,
         "with --prune: which channels matter: l1, l2, fpgm, taylor (what the outputs would change) or reconstruction "
         "(what the layers that read them cannot make up for) (reconstruction)")
      ->check(CLI::IsMember({"l1", "l2", "fpgm", "taylor", "reconstruction"}))
      ->needs("--prune");
  app.add_option("--rounds", arguments.rounds,
                 "with --prune: a part at a time, with a share of --distil after each (1)")
      ->check(CLI::Range(1, 100))
      ->needs("--prune");
  app.add_option("--sparse", arguments.sparse,
                 "first set weights to zero: 2:4, or this share of the smallest, as 0.5; for runtimes with sparse "
                 "kernels (TensorRT): the CPU engine gets no faster")
      ->excludes("--prune");
  app.add_option("--low-rank", arguments.energy, "first factorise layers, keeping this share of their energy, as 0.9")
      ->check(CLI::Range(0.01, 1.0))
      ->excludes("--prune")
      ->excludes("--sparse");
  app.add_option("--search", arguments.latency_ms,
                 "first search a smaller network that takes less than so many ms here")
      ->check(CLI::PositiveNumber)
      ->excludes("--prune")
      ->excludes("--sparse")
      ->excludes("--low-rank");
  app.add_option("--distil", arguments.distillation,
                 "with these four: the original teaches the smaller network, so many steps (0)")
      ->check(CLI::Range(0, 10'000'000));
  app.add_option("--hints", arguments.qat.feature_weight,
                 "with --qat and --distil: weight of the hidden tensors, all together, against 1 of the outputs (30)")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--learning-rate", arguments.qat.learning_rate,
                 "with --qat and --distil: of Adam (default: of three, the one whose short run ends best on held-out "
                 "samples)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", arguments.qat.seed,
                 "with --qat and --distil: of the samples' order, variation and choice (1)");
  app.add_option("--calib-limit", options.calibration_limit, "at most so many calibration samples (256)");
  app.add_flag("--plain", arguments.plain, "with --method min-max..mse: no equalisation and no bias correction");
  app.add_flag("--agreement", options.agreement,
               "--eval needs no labels: scores tell how often the variants answer as the float network does, not how "
               "often that is right");
  app.add_flag("--any-domain", options.any_domain, "do not compare calibration and evaluation samples");
  auto& package = options.package;
  app.add_option("--package", package.out, "also pack the chosen variant into this file (docs/formats/package.md)");
  app.add_option("--key", package.key, "private key (PEM) that signs the package");
  app.add_option("--name", package.name, "name of the model in the package (default: the file's)");
  app.add_option("--role", package.role, "its role: classifier, detector, ... (by task)");
  app.add_option("--model-version", package.version, "its version (1.0.0)");
  app.add_option("--security-counter", package.security_counter, "devices refuse less than they had (1)");
  app.add_option("--labels", package.labels, "names of the classes, in order")->delimiter(',');
  app.add_option("--card", package.card, "model card for the agent (classify, yolox: one is written)");
  app.add_option("--valid-days", package.valid_days, "days until the package expires (180)")
      ->check(CLI::Range(1, 36'500));
  app.add_flag("--json", arguments.json, "print the report as JSON, not as a table");
}

/// Empty where the network stays as large as it is.
Result<std::optional<ShrinkOptions>> shrink_of(const Arguments& arguments) {
  if (arguments.kept <= 0 && arguments.energy <= 0 && arguments.latency_ms <= 0 && arguments.sparse.empty())
    return std::nullopt;
  ShrinkOptions shrink{.kept_mac_share = {},
                       .importance = importance_of(arguments.importance).value_or(Importance::reconstruction),
                       .rounds = arguments.rounds,
                       .sparsity = {},
                       .energy = {},
                       .latency = {},
                       .training = arguments.qat};
  shrink.training.steps = arguments.distillation;
  if (!arguments.sparse.empty()) {
    WAYSIDE_TRY(shrink.sparsity, parse_sparsity(arguments.sparse));
  }
  if (arguments.kept > 0) shrink.kept_mac_share = arguments.kept;
  if (arguments.energy > 0) shrink.energy = arguments.energy;
  if (arguments.latency_ms > 0)
    shrink.latency = std::chrono::nanoseconds(static_cast<std::int64_t>(arguments.latency_ms * 1e6));
  return shrink;
}

/// "2=1": FROM=TO.
Result<ClassMap> parse_classes(const std::vector<std::string>& pairs) {
  ClassMap classes;
  for (const auto& pair : pairs) {
    int from = -1, to = -1;
    const char* end = pair.data() + pair.size();
    const auto first = std::from_chars(pair.data(), end, from);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != '=')
      return fail(Code::invalid_argument, std::format("--classes {}: expected FROM=TO, as 2=1", pair));
    const auto second = std::from_chars(first.ptr + 1, end, to);
    if (second.ec != std::errc() || second.ptr != end || from < 0 || to < 0)
      return fail(Code::invalid_argument, std::format("--classes {}: expected FROM=TO, as 2=1", pair));
    classes[from] = to;
  }
  return classes;
}

Result<void> complete(Arguments& arguments) {
  auto& options = arguments.options;
  constexpr std::pair<std::string_view, TaskKind> kTasks[] = {
      {"classify", TaskKind::classify}, {"text", TaskKind::text}, {"embedding", TaskKind::embedding}};
  const auto task = std::ranges::find(kTasks, arguments.task, &std::pair<std::string_view, TaskKind>::first);
  options.task.kind = task == std::end(kTasks) ? TaskKind::detect : task->second;
  options.task.head.kind = head_kind(arguments.task).value_or(HeadKind::ssd);
  WAYSIDE_TRY(options.task.classes, parse_classes(arguments.classes));
  options.task.bgr = arguments.order == "bgr";
  WAYSIDE_TRY(options.budget, parse_budget(arguments.budget));
  WAYSIDE_TRY(options.targets, emit::parse_targets(arguments.target));
  if (arguments.qat.steps > 0) options.training = arguments.qat;
  WAYSIDE_TRY(options.shrink, shrink_of(arguments));
  auto& package = options.package;
  if (package.name.empty()) package.name = options.model.stem().string();
  if (package.role.empty()) package.role = options.task.kind == TaskKind::detect ? "detector" : "classifier";
  package.dataset = options.evaluation.filename().string();
  package.issued_unix_s = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  options.first_that_fits = arguments.method == "auto";
  if (arguments.method == "auto") {
    options.chains = ladder();
  } else if (arguments.method == "all") {
    options.chains = all_chains();
  } else {
    const auto method = range_method(arguments.method);
    if (!method)
      return fail(
          Code::invalid_argument,
          std::format("--method {}: not auto, all, min-max, average, percentile, kl, mse or file", arguments.method));
    options.chains = {{.method = *method,
                       .equalize = !arguments.plain && *method != RangeMethod::file,  // its ranges would not fit
                       .correct_bias = !arguments.plain,
                       .int4_share = arguments.int4_share,
                       .adaround_steps = arguments.adaround_steps}};
  }
  return {};
}

/// One line that is overwritten on a terminal, else one line for each tenth.
class ProgressLine {
 public:
  bool operator()(const std::string& what, double done) {
    const std::string name = what.substr(0, what.find(": "));
    if (name != name_) {
      name_ = name;
      shown_ = -1;
      started_ = Clock::now();
    }
    const int percent = static_cast<int>(100 * done), step = terminal_ ? 1 : 10;
    if (percent / step == shown_) return !stop_requested;
    shown_ = percent / step;
    const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    const auto left = done > 0 ? std::format(", {:.0f} s left", seconds * (1 - done) / done) : std::string();
    std::print(stderr, "{}{}: {} %{}{}", terminal_ ? "\r\033[K" : "", what, percent, left, terminal_ ? "" : "\n");
    if (terminal_ && percent == 100) std::print(stderr, "\n");
    return !stop_requested;
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::string name_;
  int shown_ = -1;
  Clock::time_point started_;
};

/// Prints; whether a variant is within the budget.
Result<void> show(const Arguments& arguments, const Report& report) {
  std::print("{}", arguments.json ? to_json(report) : to_markdown(report));
  if (report.chosen >= 0) return {};
  std::string nearest;
  for (const auto& variant : report.variants)
    nearest += std::format("{}{}: {}", nearest.empty() ? "" : "; ", variant.name, variant.misses.front());
  return fail(Code::exhausted, std::format("no variant is within the budget {} ({})", arguments.budget, nearest));
}

Result<void> run(Arguments& arguments) {
  WAYSIDE_CHECK(complete(arguments));
  ProgressLine progress;
  WAYSIDE_TRY(const auto report, optimize(arguments.options, std::ref(progress)));
  return show(arguments, report);
}

/// Tensors of some MB come and go with every layer: given back to the kernel each time, their pages took a fifth of the
/// time of calibrating a detector.
void keep_freed_memory() {
  constexpr int kMostMapped = 32 << 20, kMostKept = 1 << 30;  // bytes; the former is as far as glibc lets it go
  mallopt(M_MMAP_THRESHOLD, kMostMapped);
  mallopt(M_TRIM_THRESHOLD, kMostKept);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"INT8 variants of a float ONNX model, measured in float, simulated, and on the CPU engine",
               "wayside optimize"};
  Arguments arguments;
  describe(app, arguments);
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGINT, [](int) { stop_requested = true; });
  keep_freed_memory();
  ir::set_interpreter_threads(1);  // sums in one order: the same figures everywhere
  if (const auto done = run(arguments); !done) {
    std::println(stderr, "wayside-optimize: {}", done.error().message);
    return 1;
  }
  return 0;
}
