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

std::vector<ir::Values> calibration_samples(const Network& network, std::span<const Folder> folders,
                                            std::size_t count) {
  const auto& shape = network.graph.tensors[network.graph.inputs[0]].shape;
  std::vector<ir::Values> samples;
  for (const Sample* one : spread(folders, count)) {
    const Sample fitted = letterbox(*one, shape[2], shape[1]);
    ir::Values& values = samples.emplace_back(fitted.picture.rgb.begin(), fitted.picture.rgb.end());
    for (float& value : values) value *= kPictureQuantization.scale;
  }
  return samples;
}

base::Result<Quantized> compile_detector(const Network& network, const std::vector<ir::Values>& samples,
                                         const PtqOptions& chain) {
  ir::Graph graph = network.graph;
  for (const auto& level : network.levels) ir::append_logistic(graph, graph.outputs[level.scores_output]);
  return quantize_after_training(std::move(graph), samples, kPictureQuantization, chain, {});
}

Network trainable(const Network& network, const Quantized& compiled) {
  Network out = network;
  out.graph = compiled.graph;
  for (const auto& level : network.levels) {
    ir::TensorId& scores = out.graph.outputs[level.scores_output];
    scores = producer(out.graph, scores).inputs[0];
  }
  std::erase_if(out.graph.ops, [](const ir::Op& op) { return op.kind == ir::OpKind::logistic; });
  return out;
}

base::Result<void> take_weights(const Network& trained, Quantized& compiled) {
  for (const ir::Op& op : trained.graph.ops) {
    ir::Op& mine = producer(compiled.graph, op.output);
    mine.weight = op.weight;
    mine.bias = op.bias;
  }
  WAYSIDE_TRY(compiled.integer, quantize(compiled.graph, compiled.scheme.activations, compiled.scheme.weights));
  return {};
}

}  // namespace wayside::optimizer
