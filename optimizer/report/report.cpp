// SPDX-License-Identifier: Apache-2.0
// The report as Markdown, JSON and SVG.
#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

#include "optimizer/report/variant.h"

namespace wayside::optimizer {
namespace {

/// "728.3 million", "13 888": small networks in full.
std::string count_text(std::uint64_t count) {
  constexpr std::uint64_t kMillion = 1'000'000;
  if (count >= kMillion) return std::format("{:.1f} million", static_cast<double>(count) / 1e6);
  return count < 1000 ? std::format("{}", count) : std::format("{} {:03}", count / 1000, count % 1000);
}

double kilobytes(std::size_t bytes) { return static_cast<double>(bytes) / 1024; }

std::string row(const Variant& v) {
  const std::string measured =
      v.on_engine ? std::format("{:.4f} | {:.2f}", v.engine_score, 100 * (v.float_score - v.engine_score))
                  : std::format("- | {:.2f} (simulated)", 100 * (v.float_score - v.simulated_score));
  const std::string cost =
      v.on_engine ? std::format("{:.0f} | {:.2f} | {:.2f} | {:.2f} % | {:.2f} %", kilobytes(v.memory_bytes), v.p50_ms,
                                v.p99_ms, 100 * v.agreement, 100 * v.layer_agreement)
                  : "- | - | - | - | -";
  return std::format("| {} | {:.4f} | {:.4f} | {} | {:.0f} | {:.0f} | {} | {:.1f} ({}) |\n", v.name, v.float_score,
                     v.simulated_score, measured, kilobytes(v.float_bytes), kilobytes(v.bytes), cost, v.least_sqnr_db,
                     v.least_sqnr_tensor);
}

struct Point {
  double cost, score;
  std::string label;
};
using Points = std::vector<Point>;

/// Scores over costs, each point labelled, those that no other beats joined.
std::string panel(Points points, const std::string& metric, const std::string& axis, int left_px) {
  double most = 1e-9, low = 1, high = 0;
  for (const auto& p : points) {
    most = std::max(most, p.cost);
    low = std::min(low, p.score);
    high = std::max(high, p.score);
  }
  const double span = std::max(high - low, 0.01);
  const auto x = [&](double cost) { return 60 + 500 * cost / (1.1 * most); };
  const auto y = [&](double score) { return 40 + 280 * (high + 0.1 * span - score) / (1.2 * span); };
  std::string out = std::format(
      "<g transform=\"translate({} 0)\"><path d=\"M60 30V330H600\" fill=\"none\" stroke=\"black\"/>\n"
      "<text x=\"60\" y=\"20\">{}, from {:.3f} to {:.3f}</text><text x=\"600\" y=\"360\" "
      "text-anchor=\"end\">{}</text>\n",
      left_px, metric, std::min(low, high), high, axis);
  std::ranges::sort(
      points, [](const Point& a, const Point& b) { return a.cost != b.cost ? a.cost < b.cost : a.score > b.score; });
  std::string front;
  double best = -1;
  for (const auto& p : points) {
    if (p.score > best) front += std::format("{}{:.1f} {:.1f}", front.empty() ? "M" : "L", x(p.cost), y(p.score));
    best = std::max(best, p.score);
    out += std::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/><text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
                       x(p.cost), y(p.score), std::min(x(p.cost) + 8, 460.0), y(p.score) - 6, p.label);
  }
  return out + std::format("<path d=\"{}\" fill=\"none\" stroke=\"#2a6\"/></g>\n", front);
}

std::string appendix(const Report& report) {
  std::string out;
  for (const auto& [name, rate, held] : report.trainings)
    out += std::format(
        "\nTraining of {} at a rate of {:g}: the outputs' distance from the float network's, on {} samples that did "
        "not "
        "teach, was {:.3g} before, {:.3g} after step {} (kept), {:.3g} at the end.\n",
        name, rate, held.samples, held.first, held.best, held.best_step, held.last);
  for (const auto& sentence : report.bottlenecks) out += (out.empty() ? "\nBottlenecks:\n- " : "- ") + sentence + "\n";
  if (!report.layers.empty())
    out +=
        "\nWeights by layer, the least sensitive first (SQNR of the outputs with this layer alone in four bits):\n\n"
        "| layer | weights | SQNR dB | bits |\n|---|---|---|---|\n";
  for (const auto& layer : report.layers)
    out += std::format("| {} | {} | {:.1f} | {} |\n", layer.name, layer.weights, layer.four_bit_db, layer.bits);
  if (report.targets.empty()) return out;
  out += std::format("\nTargets, in `{}.targets`:\n\n| target | state | files |\n|---|---|---|\n", report.model);
  for (const auto& target : report.targets) {
    std::string files;
    for (const auto& file : target.files) files += (files.empty() ? "" : ", ") + file;
    out += std::format("| {} | {} | {} |\n", target.target, target.state, files);
  }
  return out;
}

}  // namespace

std::string to_markdown(const Report& report) {
  std::string out = std::format(
      "# {}\n\n{} multiply-accumulates; {} operators imported, {} in INT8 after the passes, {} joining "
      "ones in float after them.\n"
      "{} calibration samples (sha256 {}), {} for evaluation, {:.2f} standard deviations apart. "
      "Only training (+qat) draws at random, from its seed{}.\n\n"
      "| variant | float {} | INT8 simulated | INT8 on the engine | loss (points) | float weights KB | .tflite KB | "
      "engine memory KB | p50 ms | p99 ms | outputs "
      "within 1 step | worst layer alone | least SQNR dB (tensor) "
      "|\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
      report.model, count_text(report.mac_count), report.imported_ops, report.body_ops, report.tail_ops,
      report.calibration_samples, report.calibration_sha256.substr(0, 12), report.evaluation_samples, report.distance,
      report.training_seed ? std::format(" {}", *report.training_seed) : std::string(), report.metric);
  if (!report.shrunk.empty()) {
    const auto introduction = std::format(
        "Made smaller ({}): {} multiply-accumulates; in float {:.4f} before and {:.4f} after training "
        "without labels.\n\n",
        report.shrunk, count_text(report.shrunk_mac_count), report.untrained_score, report.trained_score);
    out.insert(out.find("| variant"), introduction);
  }
  for (const auto& v : report.variants) {
    out += row(v);
  }
  if (report.chosen >= 0) {
    const auto& chosen = report.variants[static_cast<std::size_t>(report.chosen)];
    return out + std::format("\nChosen: {} ({})\n", chosen.name, chosen.file) + appendix(report);
  }
  out += "\nNone is within the budget:\n";
  for (const auto& v : report.variants) {
    for (const auto& miss : v.misses) out += std::format("- {}: {}\n", v.name, miss);
  }
  return out + appendix(report);
}

std::string to_json(const Report& report) {
  const nlohmann::json chosen = report.chosen < 0
                                    ? nlohmann::json()
                                    : nlohmann::json(report.variants[static_cast<std::size_t>(report.chosen)].name);
  nlohmann::json json{
      {"model", report.model},
      {"metric", report.metric},
      {"calibration_sha256", report.calibration_sha256},
      {"mac_count", report.mac_count},
      {"calibration_samples", report.calibration_samples},
      {"evaluation_samples", report.evaluation_samples},
      {"domain_distance", report.distance},
      {"shrunk", report.shrunk},
      {"shrunk_mac_count", report.shrunk_mac_count},
      {"untrained_score", report.untrained_score},
      {"trained_score", report.trained_score},
      {"chosen", chosen},
      {"training_seed", report.training_seed ? nlohmann::json(*report.training_seed) : nlohmann::json()},
      {"targets", nlohmann::json::array()},
      {"variants", nlohmann::json::array()}};
  for (const auto& v : report.variants) {
    json["variants"].push_back({{"name", v.name},
                                {"file", v.file},
                                {"misses", v.misses},
                                {"float_score", v.float_score},
                                {"simulated_score", v.simulated_score},
                                {"engine_score", v.on_engine ? nlohmann::json(v.engine_score) : nlohmann::json()},
                                {"float_bytes", v.float_bytes},
                                {"bytes", v.bytes},
                                {"memory_bytes", v.memory_bytes},
                                {"p50_ms", v.p50_ms},
                                {"p99_ms", v.p99_ms},
                                {"agreement", v.agreement},
                                {"layer_agreement", v.layer_agreement},
                                {"layer_agreement_tensor", v.layer_agreement_tensor},
                                {"least_sqnr_db", v.least_sqnr_db},
                                {"least_sqnr_tensor", v.least_sqnr_tensor}});
  }
  for (const auto& layer : report.layers)
    json["layers"].push_back(
        {{"name", layer.name}, {"weights", layer.weights}, {"four_bit_db", layer.four_bit_db}, {"bits", layer.bits}});
  for (const auto& [name, rate, held] : report.trainings)
    json["trainings"].push_back({{"name", name},
                                 {"learning_rate", rate},
                                 {"held_out_samples", held.samples},
                                 {"held_out_first", held.first},
                                 {"held_out_best", held.best},
                                 {"held_out_last", held.last},
                                 {"best_step", held.best_step}});
  for (const auto& target : report.targets)
    json["targets"].push_back({{"target", target.target}, {"state", target.state}, {"files", target.files}});
  return json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string to_svg(const Report& report) {
  Points by_size, by_latency;
  for (const auto& v : report.variants) {
    const double score = v.on_engine ? v.engine_score : v.simulated_score;
    by_size.push_back(
        {kilobytes(v.bytes), score, std::format("{} ({:.0f} KB, {:.3f})", v.name, kilobytes(v.bytes), score)});
    if (v.on_engine)
      by_latency.push_back({v.p50_ms, score, std::format("{} ({:.2f} ms, {:.3f})", v.name, v.p50_ms, score)});
  }
  if (!report.variants.empty()) {
    const auto& first = report.variants[0];
    const double size = kilobytes(first.float_bytes);
    by_size.push_back({size, first.float_score, std::format("float ({:.0f} KB, {:.3f})", size, first.float_score)});
  }
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1280\" height=\"380\" font-family=\"sans-serif\" "
         "font-size=\"12\">\n<rect width=\"1280\" height=\"380\" fill=\"white\"/>\n" +
         panel(by_size, report.metric, "size, KB", 0) +
         panel(by_latency, report.metric, "p50 on one thread of the engine, ms", 640) + "</svg>\n";
}

}  // namespace wayside::optimizer
