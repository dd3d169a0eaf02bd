// SPDX-License-Identifier: Apache-2.0
// YAML to Recipe; unknown keys are refused, so that a misspelt one cannot silently do nothing.
#include "optimizer/recipe.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <format>
#include <set>

namespace wayside::optimizer {
namespace {

/// A mapping whose keys are all read once; what was not asked for is an error. Throws YAML::Exception.
class Section {
 public:
  Section(YAML::Node node, std::string name) : node_(std::move(node)), name_(std::move(name)) {
    if (node_.IsDefined() && !node_.IsMap()) throw YAML::Exception(node_.Mark(), name_ + ": expected a mapping");
  }
  template <class T>
  void read(const char* key, T& value) {
    known_.insert(key);
    if (const YAML::Node child = get(key); child.IsDefined()) value = child.as<T>();
  }
  template <class T>
  void require(const char* key, T& value) {
    if (!get(key).IsDefined())
      throw YAML::Exception(node_.Mark(), std::format("{}: the key \"{}\" is missing", name_, key));
    read(key, value);
  }
  YAML::Node node(const char* key) {
    known_.insert(key);
    return get(key);
  }
  Section section(const char* key) { return {node(key), name_.empty() ? key : name_ + "." + key}; }
  void done() const {
    if (!node_.IsDefined()) return;
    for (const auto& entry : node_) {
      const auto key = entry.first.as<std::string>();
      if (!known_.contains(key))
        throw YAML::Exception(entry.first.Mark(), std::format("{}: unknown key \"{}\"", name_, key));
    }
  }

 private:
  YAML::Node get(const char* key) const {
    return node_.IsDefined() ? static_cast<const YAML::Node&>(node_)[key] : YAML::Node(YAML::NodeType::Undefined);
  }
  YAML::Node node_;
  std::string name_;
  std::set<std::string> known_;
};

FolderSpec read_folder(Section& section, const std::filesystem::path& data) {
  FolderSpec spec;
  std::string folder;
  section.require("folder", folder);
  spec.folder = data / folder;
  section.read("weight", spec.weight);
  section.read("classes", spec.classes);
  section.read("keep_width_px", spec.keep_width_px);
  section.read("limit", spec.limit);
  return spec;
}

std::vector<FolderSpec> read_folders(const YAML::Node& list, const char* name, const std::filesystem::path& data) {
  std::vector<FolderSpec> folders;
  for (const auto& entry : list) {
    Section section(entry, name);
    folders.push_back(read_folder(section, data));
    section.done();
  }
  return folders;
}

std::vector<EvaluationSpec> read_evaluation(const YAML::Node& list, const std::filesystem::path& data) {
  std::vector<EvaluationSpec> sets;
  for (const auto& entry : list) {
    Section section(entry, "evaluation");
    EvaluationSpec spec;
    section.require("name", spec.name);
    spec.folder = read_folder(section, data);
    section.read("merge", spec.merge);
    section.read("min_side_px", spec.min_side_px);
    section.done();
    sets.push_back(std::move(spec));
  }
  return sets;
}

void read_network(Section section, NetworkOptions& network) {
  section.read("width_px", network.width_px);
  section.read("height_px", network.height_px);
  section.read("stem_channels", network.stem_channels);
  section.read("neck_channels", network.neck_channels);
  std::vector<std::array<int, 2>> stages;
  section.read("stages", stages);
  if (!stages.empty() && stages.size() != network.stages.size()) {
    throw YAML::Exception(section.node("stages").Mark(), "network.stages: expected four pairs [channels, blocks]");
  }
  for (std::size_t i = 0; i < stages.size(); ++i) network.stages[i] = {stages[i][0], stages[i][1]};
  section.done();
}

void read_augment(Section section, AugmentOptions& augment) {
  section.read("mosaic", augment.mosaic);
  section.read("scale_min", augment.scale_min);
  section.read("scale_max", augment.scale_max);
  section.read("flip", augment.flip);
  section.read("brightness", augment.brightness);
  section.read("contrast", augment.contrast);
  section.read("saturation", augment.saturation);
  section.read("white_balance", augment.white_balance);
  section.read("grey", augment.grey);
  section.read("blur", augment.blur);
  section.read("noise", augment.noise);
  section.read("noise_sigma", augment.noise_sigma);
  section.read("min_visible", augment.min_visible);
  section.read("min_side_px", augment.min_side_px);
  section.done();
}

void read_training(Section section, TrainOptions& train) {
  section.read("steps", train.steps);
  section.read("batch_size", train.batch_size);
  section.read("learning_rate", train.learning_rate);
  section.read("warmup_steps", train.warmup_steps);
  section.read("weight_decay", train.weight_decay);
  section.read("ema_decay", train.ema_decay);
  section.read("plain_fraction", train.plain_fraction);
  section.read("bf16", train.bf16);
  section.read("seed", train.seed);
  section.done();
}

Recipe read_recipe(const YAML::Node& root, const std::filesystem::path& data) {
  Recipe recipe;
  recipe.fine_tune.steps = 0;
  Section top(root, "recipe");
  top.require("name", recipe.name);
  top.require("version", recipe.version);
  top.require("labels", recipe.labels);
  recipe.network.class_count = static_cast<int>(recipe.labels.size());
  read_network(top.section("network"), recipe.network);
  read_augment(top.section("augment"), recipe.train.augment);
  read_training(top.section("train"), recipe.train);
  recipe.fine_tune.augment = recipe.train.augment;
  recipe.fine_tune.bf16 = false;
  read_training(top.section("fine_tune"), recipe.fine_tune);
  Section data_section = top.section("data");
  recipe.training = read_folders(data_section.node("training"), "data.training", data);
  recipe.calibration = read_folders(data_section.node("calibration"), "data.calibration", data);
  recipe.evaluation = read_evaluation(data_section.node("evaluation"), data);
  data_section.done();
  Section calibration = top.section("calibrate");
  calibration.read("pictures", recipe.calibration_pictures);
  calibration.read("clip", recipe.calibration_clip);
  calibration.done();
  top.done();
  return recipe;
}

}  // namespace

base::Result<Recipe> load_recipe(const std::filesystem::path& path, const std::filesystem::path& data) {
  try {
    return read_recipe(YAML::LoadFile(path.string()), data);
  } catch (const YAML::BadFile&) {
    return base::fail(base::Code::not_found, std::format("recipe {}: cannot be read", path.string()));
  } catch (const YAML::Exception& error) {
    return base::fail(base::Code::corrupt,
                      std::format("recipe {}:{}: {}", path.string(), error.mark.line + 1, error.msg));
  }
}

}  // namespace wayside::optimizer
