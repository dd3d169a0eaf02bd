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
  const std::string cost = v.on_engine ? std::format("{:.0f} | {:.2f} | {:.2f} | {:.2f} %", kilobytes(v.memory_bytes),
                                                     v.p50_ms, v.p99_ms, 100 * v.agreement)
                                       : "- | - | - | -";
  return std::format("| {} | {:.4f} | {:.4f} | {} | {:.0f} | {:.0f} | {} | {:.1f} ({}) |\n", v.name, v.float_score,
                     v.simulated_score, measured, kilobytes(v.float_bytes), kilobytes(v.bytes), cost, v.least_sqnr_db,
                     v.least_sqnr_tensor);
}

std::string appendix(const Report& report) {
  std::string out;
  for (const auto& sentence : report.bottlenecks) out += (out.empty() ? "\nBottlenecks:\n- " : "- ") + sentence + "\n";
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
      "{} calibration samples (sha256 {}), {} labelled ones for evaluation, {:.2f} standard deviations apart. "
      "Only training (+qat) draws at random, from its seed{}.\n\n"
      "| variant | float {} | INT8 simulated | INT8 on the engine | loss (points) | float weights KB | .tflite KB | "
      "engine memory KB | p50 ms | p99 ms | outputs "
      "within 1 step | least SQNR dB (tensor) |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
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
                                {"least_sqnr_db", v.least_sqnr_db},
                                {"least_sqnr_tensor", v.least_sqnr_tensor}});
  }
  for (const auto& target : report.targets)
    json["targets"].push_back({{"target", target.target}, {"state", target.state}, {"files", target.files}});
  return json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string to_svg(const Report& report) {
  struct Point {
    double kb, score;
    std::string name;
  };
  std::vector<Point> points;
  for (const auto& v : report.variants)
    points.push_back({kilobytes(v.bytes), v.on_engine ? v.engine_score : v.simulated_score, v.name});
  if (!report.variants.empty())
    points.push_back({kilobytes(report.variants[0].float_bytes), report.variants[0].float_score, "float"});
  double most_kb = 1, low = 1, high = 0;
  for (const auto& p : points) {
    most_kb = std::max(most_kb, p.kb);
    low = std::min(low, p.score);
    high = std::max(high, p.score);
  }
  const double span = std::max(high - low, 0.01);
  const auto x = [&](double kb) { return 60 + 500 * kb / (1.1 * most_kb); };
  const auto y = [&](double score) { return 40 + 280 * (high + 0.1 * span - score) / (1.2 * span); };
  std::string out = std::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"380\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n"
      "<rect width=\"640\" height=\"380\" fill=\"white\"/><path d=\"M60 30V330H600\" fill=\"none\" stroke=\"black\"/>\n"
      "<text x=\"60\" y=\"20\">{}, from {:.3f} to {:.3f}</text><text x=\"520\" y=\"360\">size, KB</text>\n",
      report.metric, low, high);
  std::ranges::sort(points,
                    [](const Point& a, const Point& b) { return a.kb != b.kb ? a.kb < b.kb : a.score > b.score; });
  std::string front;
  double best = -1;
  for (const auto& p : points) {
    if (p.score > best) front += std::format("{}{:.1f} {:.1f}", front.empty() ? "M" : "L", x(p.kb), y(p.score));
    best = std::max(best, p.score);
    out += std::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/><text x=\"{:.1f}\" y=\"{:.1f}\">{} ({:.0f} KB, {:.3f})</text>\n",
        x(p.kb), y(p.score), std::min(x(p.kb) + 8, 460.0), y(p.score) - 6, p.name, p.kb, p.score);
  }
  return out + std::format("<path d=\"{}\" fill=\"none\" stroke=\"#2a6\"/>\n</svg>\n", front);
}

}  // namespace wayside::optimizer
