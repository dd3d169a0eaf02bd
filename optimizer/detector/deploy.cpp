// SPDX-License-Identifier: Apache-2.0
// Deployment passes of the detector.
#include "optimizer/detector/deploy.h"

#include <algorithm>
#include <cmath>
#include <format>

#include "optimizer/data/augment.h"

namespace wayside::optimizer {
namespace {

ir::Op& producer(ir::Graph& graph, ir::TensorId tensor) {
  return *std::ranges::find(graph.ops, tensor, &ir::Op::output);
}

/// Every n-th picture of each folder, so that together there are about `count`, equally many from each where possible.
std::vector<const Sample*> spread(std::span<const Folder> folders, std::size_t count) {
  std::vector<const Sample*> chosen;
  for (const auto& folder : folders) {
    const std::size_t share = std::min(folder.samples.size(), (count + folders.size() - 1) / folders.size());
    for (std::size_t i = 0; i < share; ++i) chosen.push_back(&folder.samples[i * folder.samples.size() / share]);
  }
  return chosen;
}

}  // namespace

void set_initial_biases(Network& network) {
  constexpr float kFirstDistance = 2, kFirstScore = 0.01F;
  constexpr float kFirstWeight = 0.1F;  // He's rule is for hidden layers; outputs start near their biases
  for (const auto& level : network.levels) {
    const auto boxes = network.graph.outputs[level.boxes_output], scores = network.graph.outputs[level.scores_output];
    for (const auto output : {boxes, scores}) {
      for (float& weight : producer(network.graph, output).weight) weight *= kFirstWeight;
    }
    std::ranges::fill(producer(network.graph, boxes).bias, kFirstDistance);
    std::ranges::fill(producer(network.graph, scores).bias, std::log(kFirstScore / (1 - kFirstScore)));
  }
}

Network deployable(const Network& trained) {
  Network network = trained;
  ir::fold_batch_norm(network.graph);
  for (const auto& level : network.levels) {
    producer(network.graph, network.graph.outputs[level.boxes_output]).activation = ir::Activation::relu;
  }
  return network;
}

base::Result<std::vector<TensorQuantization>> calibrate(const Network& network, std::span<const Folder> folders,
                                                        const CalibrateOptions& options) {
  const auto chosen = spread(folders, options.pictures);
  if (chosen.size() < kMinCalibrationPictures) {
    return base::fail(base::Code::invalid_argument, std::format("calibration: {} pictures, at least {} are needed",
                                                                chosen.size(), kMinCalibrationPictures));
  }
  const torch::NoGradGuard no_grad;
  ir::TorchModel model(network.graph);
  model.read_weights(network.graph);
  model.eval();
  RangeCollector collector(network.graph.tensors.size(), options.clip);
  model.observe([&](ir::TensorId id, const torch::Tensor& value) {
    const auto dense = value.permute({0, 2, 3, 1}).contiguous();
    collector.add(id, {dense.data_ptr<float>(), static_cast<std::size_t>(dense.numel())});
  });
  const auto& shape = network.graph.tensors[network.graph.inputs[0]].shape;
  constexpr std::size_t kBatch = 16;
  for (std::size_t first = 0; first < chosen.size(); first += kBatch) {
    std::vector<torch::Tensor> pictures;
    for (std::size_t i = first; i < std::min(first + kBatch, chosen.size()); ++i) {
      Sample fitted = letterbox(*chosen[i], shape[2], shape[1]);
      pictures.push_back(torch::from_blob(fitted.picture.rgb.data(), {1, shape[1], shape[2], 3}, torch::kByte).clone());
    }
    model.forward(torch::cat(pictures).to(torch::kFloat).mul_(1.0 / 255.0).permute({0, 3, 1, 2}));
  }
  return choose_scales(network.graph, collector.ranges(), kPictureQuantization);
}

base::Result<QuantizedGraph> quantize_detector(const Network& network, const std::vector<TensorQuantization>& scales) {
  ir::Graph graph = network.graph;
  std::vector<TensorQuantization> all = scales;
  for (const auto& level : network.levels) {
    ir::append_logistic(graph, graph.outputs[level.scores_output]);
    all.push_back({1.0F / 256.0F, -128});
  }
  return quantize(graph, all);
}

}  // namespace wayside::optimizer
