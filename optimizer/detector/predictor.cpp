// SPDX-License-Identifier: Apache-2.0
// Running the detector for measurement.
#include "optimizer/detector/predictor.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <format>
#include <utility>

#include "optimizer/ir/torch_model.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// Precision and recall are stated at the card's threshold.
constexpr float kStatedScore = 0.4F;

void point_levels(const Network& network, HeadOutputs& outputs) {
  for (const auto& level : network.levels) {
    outputs.levels.push_back({level.stride, level.rows, level.columns, outputs.values[level.boxes_output],
                              outputs.values[level.scores_output]});
  }
}

class FloatPredictor final : public Predictor {
 public:
  explicit FloatPredictor(const Network& network) : network_(network), model_(network.graph) {
    model_.read_weights(network.graph);
    model_.eval();
  }

  Result<HeadOutputs> run(const Picture& picture) override {
    const torch::NoGradGuard no_grad;
    const auto bytes = torch::from_blob(const_cast<std::uint8_t*>(picture.rgb.data()),
                                        {1, picture.height_px, picture.width_px, 3}, torch::kByte);
    const auto results = model_.forward(bytes.to(torch::kFloat).mul_(1.0 / 255.0).permute({0, 3, 1, 2}));
    HeadOutputs outputs;
    for (const auto& result : results) {
      const auto rows = result.permute({0, 2, 3, 1}).contiguous();
      outputs.values.emplace_back(rows.data_ptr<float>(), rows.data_ptr<float>() + rows.numel());
    }
    for (const auto& level : network_.levels) {
      for (float& score : outputs.values[level.scores_output]) score = 1 / (1 + std::exp(-score));
    }
    point_levels(network_, outputs);
    return outputs;
  }

 private:
  Network network_;
  ir::TorchModel model_;
};

class EnginePredictor final : public Predictor {
 public:
  EnginePredictor(std::unique_ptr<accel::Accelerator> engine, std::unique_ptr<accel::Session> session,
                  const Network& network)
      : engine_(std::move(engine)), session_(std::move(session)), network_(network) {}

  Result<void> find_outputs() {
    for (const auto id : network_.graph.outputs) {
      const auto& wanted = network_.graph.tensors[id];
      const auto outputs = session_->outputs();
      const auto found = std::ranges::find(outputs, wanted.name, &accel::TensorInfo::name);
      if (found == outputs.end() || !std::ranges::equal(found->shape, wanted.shape)) {
        return fail(Code::unsupported,
                    std::format("the model has no output \"{}\" of the expected shape", wanted.name));
      }
      output_index_.push_back(static_cast<std::size_t>(found - outputs.begin()));
    }
    return {};
  }

  Result<HeadOutputs> run(const Picture& picture) override {
    const auto input = session_->input(0);
    if (input.size() != picture.rgb.size()) return fail(Code::invalid_argument, "picture and model differ in size");
    for (std::size_t i = 0; i < input.size(); ++i)
      input[i] = static_cast<std::byte>(picture.rgb[i] ^ 0x80U);  // u8 - 128 as s8
    WAYSIDE_CHECK(session_->run());
    HeadOutputs outputs;
    for (const std::size_t index : output_index_) {
      const auto& quantization = session_->outputs()[index].quantization;
      std::vector<float> values;
      for (const std::byte byte : session_->output(index)) {
        values.push_back(quantization.scale *
                         static_cast<float>(static_cast<std::int8_t>(byte) - quantization.zero_point));
      }
      outputs.values.push_back(std::move(values));
    }
    point_levels(network_, outputs);
    return outputs;
  }

 private:
  std::unique_ptr<accel::Accelerator> engine_;
  std::unique_ptr<accel::Session> session_;
  Network network_;
  std::vector<std::size_t> output_index_;
};

void apply_merge(const ClassMap& merge, int& class_id) {
  if (const auto found = merge.find(class_id); found != merge.end()) class_id = found->second;
}

}  // namespace

std::unique_ptr<Predictor> make_float_predictor(const Network& network) {
  return std::make_unique<FloatPredictor>(network);
}

Result<std::unique_ptr<Predictor>> make_engine_predictor(const std::filesystem::path& model, const Network& network) {
  auto engine = accel::make_cpu_accelerator();
  WAYSIDE_TRY(auto session, engine->load(model, {}));
  auto predictor = std::make_unique<EnginePredictor>(std::move(engine), std::move(session), network);
  if (auto found = predictor->find_outputs(); !found)
    return std::unexpected(std::move(found.error().context(model.string())));
  return predictor;
}

Result<std::vector<ClassAccuracy>> measure(Predictor& predictor, const NetworkOptions& network,
                                           const EvaluationSpec& spec, const Folder& folder) {
  std::vector<Judged> pictures;
  for (const auto& sample : folder.samples) {
    const Sample fitted = letterbox(sample, network.width_px, network.height_px);
    WAYSIDE_TRY(const auto outputs, predictor.run(fitted.picture));
    Judged judged{.found = decode(outputs.levels, network.class_count, {.score_threshold = kLeastScore}),
                  .truth = fitted.boxes};
    for (auto& detection : judged.found) apply_merge(spec.merge, detection.box.class_id);
    for (auto& box : judged.truth) {
      apply_merge(spec.merge, box.class_id);
      if (std::max(width(box), height(box)) < spec.min_side_px) box.class_id = kIgnoreClass;
    }
    pictures.push_back(std::move(judged));
  }
  return evaluate(pictures, network.class_count, kStatedScore);
}

}  // namespace wayside::optimizer
