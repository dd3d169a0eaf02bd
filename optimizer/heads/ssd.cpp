// SPDX-License-Identifier: Apache-2.0
// SSD: deltas to priors, and scores of a background class and the others.
#include <cmath>
#include <cstring>
#include <format>
#include <string_view>
#include <utility>

#include "optimizer/data/picture.h"
#include "optimizer/detector/evaluate.h"
#include "optimizer/heads/heads.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// The numbers of an .npy file that holds float32 in row order.
Result<std::vector<float>> read_npy(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto bytes, read_bytes(path));
  constexpr std::size_t kPreamble = 10;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (bytes.size() < kPreamble || !text.substr(1).starts_with("NUMPY\x01"))
    return fail(Code::corrupt, std::format("{}: not an .npy file of version 1", path.string()));
  const std::size_t header = kPreamble + bytes[8] + 256U * bytes[9];
  if (header > bytes.size() || !text.substr(0, header).contains("'<f4'") ||
      (bytes.size() - header) % sizeof(float) != 0)
    return fail(Code::unsupported, std::format("{}: supported is float32", path.string()));
  std::vector<float> out((bytes.size() - header) / sizeof(float));
  std::memcpy(out.data(), bytes.data() + header, out.size() * sizeof(float));
  return out;
}

struct Ssd {
  std::vector<float> priors;  ///< 4 corners each, then 4 variances each
  std::size_t loc = 0, conf = 1, prior_count = 0, classes = 0;
  InputSize size;

  [[nodiscard]] LabelBox box(const float* d, std::size_t i, int class_id) const {
    const float *p = priors.data() + i * 4, *v = p + prior_count * 4;
    const float pw = p[2] - p[0], ph = p[3] - p[1];
    const float x = p[0] + pw / 2 + v[0] * d[0] * pw, y = p[1] + ph / 2 + v[1] * d[1] * ph;
    const float w = pw * std::exp(v[2] * d[2]), h = ph * std::exp(v[3] * d[3]);
    const auto width_px = static_cast<float>(size.width_px), height_px = static_cast<float>(size.height_px);
    return {(x - w / 2) * width_px, (y - h / 2) * height_px, (x + w / 2) * width_px, (y + h / 2) * height_px, class_id};
  }

  [[nodiscard]] std::vector<Detection> decode(std::span<const std::vector<float>> outputs) const {
    std::vector<Detection> found;
    for (std::size_t i = 0; i < prior_count; ++i) {
      const float* scores = &outputs[conf][i * (classes + 1)];
      for (std::size_t c = 1; c <= classes; ++c) {
        if (scores[c] < kLeastScore) continue;
        found.push_back({box(&outputs[loc][i * 4], i, static_cast<int>(c) - 1), scores[c]});
      }
    }
    return found;
  }
};

}  // namespace

Result<Head> make_ssd_head(const std::filesystem::path& priors, const ir::Graph& graph) {
  Ssd ssd{.size = input_size(graph)};
  WAYSIDE_TRY(ssd.priors, read_npy(priors));
  ssd.prior_count = ssd.priors.size() / 8;
  const auto refuse = [&] {
    const std::size_t n = ssd.prior_count;
    return std::unexpected(wrong_outputs(
        HeadKind::ssd, std::format("loc of {} and scores of {} times the classes and background", 4 * n, n), graph));
  };
  if (graph.outputs.size() != 2 || ssd.prior_count == 0) return refuse();
  const auto count = [&](std::size_t i) { return ir::element_count(shape_of_output(graph, i)); };
  const std::string_view first = graph.tensors[graph.outputs[0]].name;
  // With three classes both have 4 n numbers: the name tells.
  const bool scores_first = first.contains("conf") || first.contains("score");
  if (count(0) != 4 * ssd.prior_count || (count(0) == count(1) && scores_first)) std::swap(ssd.loc, ssd.conf);
  if (count(ssd.loc) != 4 * ssd.prior_count || count(ssd.conf) % ssd.prior_count != 0 ||
      count(ssd.conf) / ssd.prior_count < 2)
    return refuse();
  ssd.classes = count(ssd.conf) / ssd.prior_count - 1;
  return Head{.class_count = static_cast<int>(ssd.classes),
              .decode = [ssd = std::move(ssd)](auto outputs) { return ssd.decode(outputs); }};
}

}  // namespace wayside::optimizer
