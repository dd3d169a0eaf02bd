// SPDX-License-Identifier: Apache-2.0
// wayside-train: trains, measures and exports the detector that a recipe describes.
#include <CLI/CLI.hpp>

#include <torch/torch.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <memory>
#include <print>
#include <string>
#include <vector>

#include "optimizer/detector/deploy.h"
#include "optimizer/detector/predictor.h"
#include "optimizer/detector/trainer.h"
#include "optimizer/recipe.h"
#include "optimizer/tflite/writer.h"

namespace {

using namespace wayside::optimizer;
using wayside::base::Result;

std::atomic<bool> stop_requested{false};

struct Arguments {
  std::filesystem::path recipe, data = ".", work = "build/train", out;
  int thread_count = 0;
  bool skip_float = false;
};

Result<std::vector<Folder>> load_all(const std::vector<FolderSpec>& specs) {
  std::vector<Folder> folders;
  for (const auto& spec : specs) {
    WAYSIDE_TRY(auto folder, load_folder(spec));
    std::println("data   {:>6} pictures, weight {:.2f}: {}", folder.samples.size(), spec.weight, spec.folder.string());
    folders.push_back(std::move(folder));
  }
  return folders;
}

void report(const Progress& progress) {
  const auto left = static_cast<long>(progress.left_s);
  std::println("step {:>6}/{}  score {:.3f}  box {:.3f}  {:.0f} pictures/s  {}:{:02} left", progress.step,
               progress.steps, progress.score_loss, progress.box_loss, progress.pictures_per_s, left / 60, left % 60);
  std::fflush(stdout);
}

void print_accuracy(const std::string& what, const Recipe& recipe, const std::vector<ClassAccuracy>& classes) {
  std::print("{:<34} mAP50 {:.3f}", what, mean_average_precision(classes));
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i].object_count == 0) continue;
    std::print("  {} {:.3f} (n {}, P {:.2f}, R {:.2f})", recipe.labels[i], classes[i].average_precision,
               classes[i].object_count, classes[i].precision, classes[i].recall);
  }
  std::println();
  std::fflush(stdout);
}

Result<void> measure_all(Predictor& predictor, const Recipe& recipe, const std::string& what) {
  for (const auto& spec : recipe.evaluation) {
    WAYSIDE_TRY(const auto folder, load_folder(spec.folder));
    WAYSIDE_TRY(const auto classes, measure(predictor, recipe.network, spec, folder));
    print_accuracy(what + " " + spec.name, recipe, classes);
  }
  return {};
}

/// The finished training's moving average, written back into a network.
Result<Network> trained_network(const Recipe& recipe, const Arguments& arguments) {
  const auto checkpoint = arguments.work / "train.pt";
  WAYSIDE_TRY(auto network, make_network(recipe.network));
  if (!std::filesystem::exists(checkpoint)) {
    return wayside::base::fail(wayside::base::Code::not_found,
                               checkpoint.string() + ": no such checkpoint; run `wayside-train train` first");
  }
  ir::TorchModel average(network.graph);
  torch::serialize::InputArchive archive, part;
  archive.load_from(checkpoint.string());
  archive.read("average", part);
  average.load(part);
  average.write_weights(network.graph);
  return network;
}

Result<void> run_train(const Recipe& recipe, const Arguments& arguments) {
  WAYSIDE_TRY(auto network, make_network(recipe.network));
  const auto size = ir::cost(network.graph);
  std::println("network {}: {} weights, {:.1f} million multiply-accumulates", recipe.name, size.weight_count,
               static_cast<double>(size.mac_count) / 1e6);
  WAYSIDE_TRY(const auto folders, load_all(recipe.training));
  torch::manual_seed(recipe.train.seed);
  ir::TorchModel model(network.graph), average(network.graph);
  model.write_weights(network.graph);
  set_initial_biases(network);
  model.read_weights(network.graph);
  average.read_weights(network.graph);
  WAYSIDE_CHECK(train({.network = &network,
                       .model = &model,
                       .average = &average,
                       .folders = folders,
                       .checkpoint = arguments.work / "train.pt",
                       .stop = &stop_requested,
                       .report = report},
                      recipe.train));
  average.write_weights(network.graph);
  return measure_all(*make_float_predictor(network), recipe, "float");
}

Result<void> run_eval(const Recipe& recipe, const Arguments& arguments) {
  WAYSIDE_TRY(const auto network, trained_network(recipe, arguments));
  WAYSIDE_CHECK(measure_all(*make_float_predictor(network), recipe, "float"));
  if (arguments.out.empty()) return {};
  WAYSIDE_TRY(const auto engine, make_engine_predictor(arguments.out, network));
  return measure_all(*engine, recipe, "int8");
}

/// Trains on with labels and the roundings of the compiled network, whose scales stay.
Result<void> fine_tune(const Recipe& recipe, const Arguments& arguments, const Network& network, Quantized& compiled) {
  WAYSIDE_TRY(const auto folders, load_all(recipe.training));
  Network student = trainable(network, compiled);
  Scheme scheme = compiled.scheme;
  scheme.weights.clear();  // of other operators; all are int8
  ir::TorchModel model(student.graph), average(student.graph);
  for (auto* each : {&model, &average}) {
    each->read_weights(student.graph);
    each->fake_quantize(scheme);
  }
  WAYSIDE_CHECK(train({.network = &student,
                       .model = &model,
                       .average = &average,
                       .folders = folders,
                       .checkpoint = arguments.work / "fine_tune.pt",
                       .stop = &stop_requested,
                       .report = report},
                      recipe.fine_tune));
  average.write_weights(student.graph);
  return take_weights(student, compiled);
}

Result<void> run_export(const Recipe& recipe, const Arguments& arguments) {
  WAYSIDE_TRY(const auto trained, trained_network(recipe, arguments));
  if (!arguments.skip_float) WAYSIDE_CHECK(measure_all(*make_float_predictor(trained), recipe, "float"));
  Network network = deployable(trained);
  WAYSIDE_TRY(const auto folders, load_all(recipe.calibration));
  const auto samples = calibration_samples(network, folders, recipe.calibration_pictures);
  WAYSIDE_TRY(auto compiled, compile_detector(network, samples, {.method = recipe.calibration_method}));
  if (recipe.fine_tune.steps > 0) WAYSIDE_CHECK(fine_tune(recipe, arguments, network, compiled));
  WAYSIDE_TRY(const auto bytes, write_tflite(compiled.integer, recipe.name + " " + recipe.version));
  const auto out = arguments.out.empty() ? arguments.work / (recipe.name + ".tflite") : arguments.out;
  WAYSIDE_CHECK(save_file(out, bytes));
  std::println("wrote {} ({} bytes)", out.string(), bytes.size());
  WAYSIDE_TRY(const auto engine, make_engine_predictor(out, network));
  return measure_all(*engine, recipe, "int8");
}

int run(const Arguments& arguments, Result<void> (*command)(const Recipe&, const Arguments&)) {
  const auto result = [&]() -> Result<void> {
    WAYSIDE_TRY(const auto recipe, load_recipe(arguments.recipe, arguments.data));
    std::filesystem::create_directories(arguments.work);
    return command(recipe, arguments);
  }();
  if (result) return 0;
  std::println(stderr, "wayside-train: {}", result.error().message);
  return 1;
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Trains, measures and exports the detector that a recipe describes.");
  Arguments arguments;
  app.require_subcommand(1);
  app.add_option("--recipe", arguments.recipe, "recipe (YAML)")->required();
  app.add_option("--data", arguments.data, "folder that the recipe's folders are relative to");
  app.add_option("--work", arguments.work, "folder for checkpoints");
  app.add_option("--threads", arguments.thread_count, "threads; 0: one per core");
  auto* train_command = app.add_subcommand("train", "train, or go on where a stopped training ended");
  auto* eval_command = app.add_subcommand("eval", "AP50 per class of the checkpoint, and of a model on the engine");
  eval_command->add_option("--model", arguments.out, "an exported .tflite");
  auto* export_command =
      app.add_subcommand("export", "fold, calibrate, fine-tune if the recipe says so, write .tflite");
  export_command->add_option("--out", arguments.out, "file to write; default: in the work folder");
  export_command->add_flag("--skip-float", arguments.skip_float, "do not measure the float network first");
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGINT, [](int) { stop_requested = true; });
  std::signal(SIGTERM, [](int) { stop_requested = true; });
  if (arguments.thread_count > 0) torch::set_num_threads(arguments.thread_count);
  if (*train_command) return run(arguments, run_train);
  if (*eval_command) return run(arguments, run_eval);
  return *export_command ? run(arguments, run_export) : 1;
} catch (const std::exception& error) {  // libtorch and the standard library throw; this is their shim
  std::println(stderr, "wayside-train: {}", error.what());
  return 1;
}
