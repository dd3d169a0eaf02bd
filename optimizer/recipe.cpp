// SPDX-License-Identifier: Apache-2.0
// YAML to Recipe; unknown keys are refused, so that a misspelt one cannot silently do nothing.
#include "optimizer/recipe.h"

#include <charconv>
#include <format>
#include <optional>
#include <string_view>
#include <utility>

#include "base/config.h"

namespace wayside::optimizer {
namespace {

using base::Fields;
using base::Result;
using base::YamlNode;

struct Source {
  std::string file;
  std::filesystem::path data;
};

base::Error wrong(const Source& source, const YamlNode& node, std::string_view what) {
  return {base::Code::corrupt, 0, std::format("{}:{}: {}", source.file, node.line, what)};
}

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// Whole numbers within 0..limit, of whatever integer type.
template <class T>
void read_count(Fields& fields, std::string_view key, T& value, std::int64_t least = 0,
                std::int64_t limit = 1'000'000'000) {
  std::int64_t wide = static_cast<std::int64_t>(value);
  if (fields.read(key, wide, {least, limit})) value = static_cast<T>(wide);
}

/// {2: 1, 7: 2}
Result<void> read_classes(Fields& fields, const Source& source, std::string_view key, ClassMap& classes) {
  const auto* node = fields.child(key);
  if (node == nullptr) return {};
  for (const auto& [from, to] : node->members) {
    const auto number = whole_number(from), mapped = whole_number(to.scalar);
    if (!number || !mapped)
      return std::unexpected(wrong(source, to, std::format("{}: expected class numbers, e.g. {{2: 1}}", key)));
    classes[*number] = *mapped;
  }
  return {};
}

Result<void> read_folder(Fields& fields, const Source& source, FolderSpec& spec) {
  std::string folder;
  fields.require("folder");
  fields.read("folder", folder);
  spec.folder = source.data / folder;
  fields.read("weight", spec.weight, {0, 1e6});
  read_count(fields, "keep_width_px", spec.keep_width_px, 16);
  read_count(fields, "limit", spec.limit, 1);
  return read_classes(fields, source, "classes", spec.classes);
}

Result<std::vector<FolderSpec>> read_folders(const YamlNode* list, const Source& source, std::string_view path) {
  std::vector<FolderSpec> folders;
  if (list == nullptr) return folders;
  for (const auto& entry : list->items) {
    Fields fields(entry, source.file, path);
    WAYSIDE_CHECK(read_folder(fields, source, folders.emplace_back()));
    WAYSIDE_CHECK(fields.finish());
  }
  return folders;
}

Result<std::vector<EvaluationSpec>> read_evaluation(const YamlNode* list, const Source& source) {
  std::vector<EvaluationSpec> sets;
  if (list == nullptr) return sets;
  for (const auto& entry : list->items) {
    Fields fields(entry, source.file, "data.evaluation");
    EvaluationSpec& spec = sets.emplace_back();
    fields.require("name");
    fields.read("name", spec.name);
    fields.read("min_side_px", spec.min_side_px, {0, 1e4});
    WAYSIDE_CHECK(read_folder(fields, source, spec.folder));
    WAYSIDE_CHECK(read_classes(fields, source, "merge", spec.merge));
    WAYSIDE_CHECK(fields.finish());
  }
  return sets;
}

/// [[channels, blocks], ...], one pair per stage.
Result<void> read_stages(const YamlNode& node, const Source& source, std::array<Stage, 4>& stages) {
  constexpr std::string_view kExpected = "network.stages: expected four pairs [channels, blocks]";
  if (node.items.size() != stages.size()) return std::unexpected(wrong(source, node, kExpected));
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto& pair = node.items[i].items;
    const auto channels = pair.size() == 2 ? whole_number(pair[0].scalar) : std::nullopt;
    const auto blocks = pair.size() == 2 ? whole_number(pair[1].scalar) : std::nullopt;
    if (!channels || !blocks || *channels < 1 || *blocks < 1) return std::unexpected(wrong(source, node, kExpected));
    stages[i] = {*channels, *blocks};
  }
  return {};
}

Result<void> read_network(const YamlNode& node, const Source& source, NetworkOptions& network) {
  Fields fields(node, source.file, "network");
  read_count(fields, "width_px", network.width_px, 32, 4096);
  read_count(fields, "height_px", network.height_px, 32, 4096);
  read_count(fields, "stem_channels", network.stem_channels, 1, 4096);
  read_count(fields, "neck_channels", network.neck_channels, 1, 4096);
  if (const auto* stages = fields.child("stages")) WAYSIDE_CHECK(read_stages(*stages, source, network.stages));
  return fields.finish();
}

Result<void> read_augment(const YamlNode& node, const Source& source, AugmentOptions& augment) {
  Fields fields(node, source.file, "augment");
  for (const auto& [key, value] : {std::pair{"mosaic", &augment.mosaic},
                                   {"flip", &augment.flip},
                                   {"grey", &augment.grey},
                                   {"blur", &augment.blur},
                                   {"noise", &augment.noise},
                                   {"brightness", &augment.brightness},
                                   {"contrast", &augment.contrast},
                                   {"saturation", &augment.saturation},
                                   {"white_balance", &augment.white_balance},
                                   {"min_visible", &augment.min_visible}}) {
    fields.read(key, *value, {0, 1});
  }
  fields.read("scale_min", augment.scale_min, {0.05, 20});
  fields.read("scale_max", augment.scale_max, {0.05, 20});
  fields.read("noise_sigma", augment.noise_sigma, {1, 128});
  fields.read("min_side_px", augment.min_side_px, {0, 1000});
  if (augment.scale_max < augment.scale_min) fields.reject("scale_max", "must not be below scale_min");
  return fields.finish();
}

Result<void> read_training(const YamlNode& node, const Source& source, std::string_view path, TrainOptions& train) {
  Fields fields(node, source.file, path);
  read_count(fields, "steps", train.steps);
  read_count(fields, "batch_size", train.batch_size, 1, 4096);
  read_count(fields, "workers", train.workers, 1, 256);
  read_count(fields, "warmup_steps", train.warmup_steps, 1);
  read_count(fields, "seed", train.seed);
  fields.read("learning_rate", train.learning_rate, {0, 10});
  fields.read("weight_decay", train.weight_decay, {0, 10});
  fields.read("ema_decay", train.ema_decay, {0, 1});
  fields.read("plain_fraction", train.plain_fraction, {0, 1});
  fields.read("bf16", train.bf16);
  if (train.batch_size % train.workers != 0) fields.reject("batch_size", "must be a multiple of workers");
  return fields.finish();
}

Result<void> read_data(const YamlNode& node, const Source& source, Recipe& recipe) {
  Fields fields(node, source.file, "data");
  WAYSIDE_TRY(recipe.training, read_folders(fields.child("training"), source, "data.training"));
  WAYSIDE_TRY(recipe.calibration, read_folders(fields.child("calibration"), source, "data.calibration"));
  WAYSIDE_TRY(recipe.evaluation, read_evaluation(fields.child("evaluation"), source));
  return fields.finish();
}

Result<void> read_sections(Fields& top, const Source& source, Recipe& recipe) {
  if (const auto* node = top.child("network")) WAYSIDE_CHECK(read_network(*node, source, recipe.network));
  if (const auto* node = top.child("augment")) WAYSIDE_CHECK(read_augment(*node, source, recipe.train.augment));
  if (const auto* node = top.child("train")) WAYSIDE_CHECK(read_training(*node, source, "train", recipe.train));
  recipe.fine_tune = recipe.train;
  recipe.fine_tune.steps = 0;
  recipe.fine_tune.bf16 = false;
  if (const auto* node = top.child("fine_tune"))
    WAYSIDE_CHECK(read_training(*node, source, "fine_tune", recipe.fine_tune));
  if (const auto* node = top.child("data")) WAYSIDE_CHECK(read_data(*node, source, recipe));
  if (const auto* node = top.child("calibrate")) {
    Fields fields(*node, source.file, "calibrate");
    read_count(fields, "pictures", recipe.calibration_pictures, 1);
    constexpr RangeMethod kMethods[] = {RangeMethod::min_max, RangeMethod::average, RangeMethod::percentile,
                                        RangeMethod::kl, RangeMethod::mse};
    std::vector<std::string_view> names;
    for (const auto method : kMethods) names.push_back(to_string(method));
    std::size_t method = 1;
    fields.read_choice("method", method, names);
    recipe.calibration_method = kMethods[method];
    WAYSIDE_CHECK(fields.finish());
  }
  return top.finish();
}

}  // namespace

Result<Recipe> load_recipe(const std::filesystem::path& path, const std::filesystem::path& data) {
  WAYSIDE_TRY(const auto document, base::load_yaml(path));
  const Source source{path.string(), data};
  Recipe recipe;
  Fields top(document, source.file, "");
  for (const auto* key : {"name", "version", "labels"}) top.require(key);
  top.read("name", recipe.name);
  top.read("version", recipe.version);
  top.read("labels", recipe.labels);
  recipe.network.class_count = static_cast<int>(recipe.labels.size());
  WAYSIDE_CHECK(read_sections(top, source, recipe));
  return recipe;
}

}  // namespace wayside::optimizer
