// SPDX-License-Identifier: Apache-2.0
// Names of the heads, and what is wrong with outputs that do not fit.
#include "optimizer/heads/head.h"

#include <algorithm>
#include <format>
#include <utility>

#include "optimizer/heads/heads.h"

namespace wayside::optimizer {
namespace {

constexpr std::pair<HeadKind, std::string_view> kNames[] = {{HeadKind::ssd, "ssd"},
                                                            {HeadKind::yolox, "yolox"},
                                                            {HeadKind::yolov8, "yolov8"},
                                                            {HeadKind::yunet, "yunet"},
                                                            {HeadKind::fastestdet, "fastestdet"}};

}  // namespace

std::string_view to_string(HeadKind kind) {
  return std::ranges::find(kNames, kind, &std::pair<HeadKind, std::string_view>::first)->second;
}

std::optional<HeadKind> head_kind(std::string_view name) {
  const auto found = std::ranges::find(kNames, name, &std::pair<HeadKind, std::string_view>::second);
  return found == std::end(kNames) ? std::nullopt : std::optional(found->first);
}

PictureFit picture_fit(HeadKind kind) {
  constexpr std::uint8_t kGrey = 114;
  switch (kind) {
    case HeadKind::yolox:
    case HeadKind::yolov8: return {.letterbox = true, .pad = kGrey};
    case HeadKind::yunet: return {.letterbox = true};
    case HeadKind::ssd:
    case HeadKind::fastestdet: return {};
  }
  return {};
}

InputSize input_size(const ir::Graph& graph) {
  const auto& shape = graph.tensors[graph.inputs[0]].shape;
  return {.width_px = shape[2], .height_px = shape[1]};
}

const ir::Shape& shape_of_output(const ir::Graph& graph, std::size_t output) {
  return graph.tensors[graph.outputs[output]].shape;
}

base::Error wrong_outputs(HeadKind kind, const std::string& wanted, const ir::Graph& graph) {
  const auto size = input_size(graph);
  std::string found;
  for (const auto id : graph.outputs) {
    constexpr std::size_t kMostShown = 400;
    if (found.size() > kMostShown) {
      found += ", ...";
      break;
    }
    found += std::format("{}{} {}", found.empty() ? "" : ", ", graph.tensors[id].name,
                         ir::to_string(graph.tensors[id].shape));
  }
  return {.code = base::Code::unsupported,
          .message = std::format("head {} wants {} for an input of {}x{}; outputs: {}", to_string(kind), wanted,
                                 size.width_px, size.height_px, found)};
}

base::Result<Head> make_head(const HeadSpec& spec, const ir::Graph& graph) {
  const auto& input = graph.tensors[graph.inputs.empty() ? 0 : graph.inputs[0]].shape;
  if (graph.inputs.size() != 1 || input.size() != 4 || input[3] != 3)
    return base::fail(base::Code::unsupported,
                      std::format("head {} has one picture of 3 channels as input", to_string(spec.kind)));
  switch (spec.kind) {
    case HeadKind::ssd: return make_ssd_head(spec.priors, graph);
    case HeadKind::yolox: return make_yolox_head(graph);
    case HeadKind::yolov8: return make_yolov8_head(graph);
    case HeadKind::yunet: return make_yunet_head(graph);
    case HeadKind::fastestdet: return make_fastestdet_head(graph);
  }
  return base::fail(base::Code::invalid_argument, "no such head");
}

}  // namespace wayside::optimizer
