// SPDX-License-Identifier: Apache-2.0
// Times come from the engine's own profiler, the rest from the graph.
#include "optimizer/report/profile.h"

#include <algorithm>
#include <format>
#include <numeric>

#include "accel/cpu/cpu_accelerator.h"
#include "accel/cpu/model_summary.h"
#include "optimizer/report/engine_runner.h"
#include "optimizer/report/layer_check.h"

namespace wayside::optimizer {
namespace {

using base::Result;

LayerProfile describe(const QuantizedGraph& graph, std::size_t index) {
  const ir::Op& op = graph.graph.ops[index];
  const auto& tensors = graph.graph.tensors;
  LayerProfile out{.op = std::string(to_string(op.kind)),
                   .tensor = tensors[op.output].name,
                   .input_shape = ir::to_string(tensors[op.inputs[0]].shape),
                   .output_shape = ir::to_string(tensors[op.output].shape)};
  ir::Graph alone;
  alone.tensors = tensors;
  alone.ops = {op};
  out.mac_count = ir::cost(alone).mac_count;
  out.moved_bytes = ir::element_count(tensors[op.output].shape);
  for (const auto id : op.inputs) out.moved_bytes += ir::element_count(tensors[id].shape);
  const QuantizedWeights& weights = graph.weights[index];
  const std::size_t per_byte = weights.format == WeightFormat::int4 ? 2 : 1;
  out.moved_bytes += weights.weight.size() / per_byte + weights.bias.size() * sizeof(std::int32_t);
  return out;
}

/// Multiply-accumulates for each byte that is moved: below it a layer waits for memory rather than for arithmetic. An
/// INT8 dot product of one AVX-VNNI or NEON instruction does 4 for each byte that it reads.
constexpr double kMemoryBound = 4;

std::string bound_of(const LayerProfile& layer) {
  if (layer.mac_count == 0) return "no multiply-accumulates";
  const double per_byte =
      static_cast<double>(layer.mac_count) / static_cast<double>(std::max<std::uint64_t>(layer.moved_bytes, 1));
  return per_byte < kMemoryBound ? std::format("bound by memory, {:.1f} multiply-accumulates for each byte", per_byte)
                                 : std::format("bound by arithmetic, {:.1f} GMAC/s",
                                               static_cast<double>(layer.mac_count) / (layer.mean_us * 1e3));
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += ' ';
    else
      out += c;
  }
  return out;
}

double share(const ModelProfile& profile, const LayerProfile& layer) {
  return profile.total_us > 0 ? layer.mean_us / profile.total_us : 0;
}

}  // namespace

Result<ModelProfile> profile(const std::string& model, const std::filesystem::path& file, const Quantized& quantized,
                             const std::vector<ir::Values>& samples) {
  WAYSIDE_TRY(const auto session, accel::cpu::load_cpu_session(file, {}));
  accel::cpu::OperatorProfile times(*session);
  for (std::size_t i = 0; i < kProfileRuns + samples.size(); ++i) {
    if (i == samples.size()) session->set_profiler(&times);
    WAYSIDE_CHECK(fill_input(*session, samples[i % samples.size()]));
    WAYSIDE_CHECK(session->run());
  }
  session->set_profiler(nullptr);
  const auto decibels = noise_by_tensor(quantized.graph, quantized.scheme, samples);
  WAYSIDE_TRY(const auto agreements, compare_layers(quantized, samples, file));
  ModelProfile out{.model = model, .layers = {}};
  for (std::size_t i = 0; i < quantized.integer.graph.ops.size(); ++i) {
    out.layers.push_back(describe(quantized.integer, i));
    out.layers.back().sqnr_db = decibels[quantized.integer.graph.ops[i].output];
    out.layers.back().alone = agreements[i].alone;
    out.layers.back().together = agreements[i].together;
  }
  // The file has the graph's operators in the graph's order; the engine may tell them in another.
  for (std::size_t number = 0; number < session->operators().size(); ++number) {
    auto& layer = out.layers[session->operators()[number].index];
    layer.mean_us += std::chrono::duration<double, std::micro>(times.mean(number)).count();
    out.total_us += layer.mean_us;
  }
  return out;
}

std::vector<std::string> bottlenecks(const ModelProfile& profile) {
  constexpr double kTenth = 0.1;
  std::vector<const LayerProfile*> slow, noisy;
  for (const auto& layer : profile.layers) {
    if (share(profile, layer) >= kTenth) slow.push_back(&layer);
    if (layer.sqnr_db < kLeastSqnr_db) noisy.push_back(&layer);
  }
  std::ranges::sort(slow, std::greater(), &LayerProfile::mean_us);
  std::ranges::sort(noisy, std::less(), &LayerProfile::sqnr_db);
  std::vector<std::string> out;
  for (const auto* layer : slow)
    out.push_back(std::format("{} {} takes {:.0f} % of the time: {}", layer->op, layer->tensor,
                              100 * share(profile, *layer), bound_of(*layer)));
  constexpr std::size_t kMostNoisy = 5;
  for (std::size_t i = 0; i < std::min(noisy.size(), kMostNoisy); ++i)
    out.push_back(std::format("{} {} is noisy: {:.1f} dB of signal to rounding", noisy[i]->op, noisy[i]->tensor,
                              noisy[i]->sqnr_db));
  if (out.empty())
    out.push_back(std::format("no layer takes a tenth of the time, none is noisier than {:.0f} dB", kLeastSqnr_db));
  return out;
}

std::string to_text(const ModelProfile& profile) {
  std::string out = std::format(
      "{}: {} layers, {:.1f} us on one thread of this machine\n\n{:>4} {:<16} {:<20} {:<20} {:>9} {:>6} {:>9} {:>9} "
      "{:>7} {:>8} {:>10}  {}\n",
      profile.model, profile.layers.size(), profile.total_us, "#", "operator", "input", "output", "us", "%", "kMAC",
      "kB moved", "SQNR dB", "alone %", "together %", "tensor");
  for (std::size_t i = 0; i < profile.layers.size(); ++i) {
    const auto& l = profile.layers[i];
    out += std::format(
        "{:>4} {:<16} {:<20} {:<20} {:>9.2f} {:>6.1f} {:>9.1f} {:>9.1f} {:>7.1f} {:>8.2f} {:>10.2f}  {}\n", i, l.op,
        l.input_shape, l.output_shape, l.mean_us, 100 * share(profile, l), static_cast<double>(l.mac_count) / 1e3,
        static_cast<double>(l.moved_bytes) / 1e3, l.sqnr_db, 100 * l.alone, 100 * l.together, l.tensor);
  }
  out +=
      "\nalone, together: values that engine and simulation give within one step, where each layer gets the engine's "
      "inputs, and where differences add up\n\nBottlenecks:\n";
  for (const auto& sentence : bottlenecks(profile)) out += "- " + sentence + "\n";
  return out;
}

std::string to_html(const ModelProfile& profile) {
  double most_us = 0;
  for (const auto& layer : profile.layers) most_us = std::max(most_us, layer.mean_us);
  std::string out = std::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>{0}</title><style>\n"
      "body{{font:14px sans-serif;margin:2em}} table{{border-collapse:collapse}} td,th{{padding:2px "
      "8px;text-align:right}}\n"
      "th{{border-bottom:1px solid #888}} .t{{text-align:left}} .noisy{{color:#b00}} rect{{fill:#4a90c2}}\n"
      "</style></head><body>\n<h1>{0}</h1>\n<p>{1} layers, {2:.1f} &#181;s on one thread of this machine.</p>\n<ul>\n",
      escaped(profile.model), profile.layers.size(), profile.total_us);
  for (const auto& sentence : bottlenecks(profile)) out += "<li>" + escaped(sentence) + "</li>\n";
  out +=
      "</ul>\n<table><tr><th>#</th><th class=\"t\">operator</th><th "
      "class=\"t\">tensor</th><th>output</th><th>&#181;s</th>"
      "<th class=\"t\">share of the time</th><th>kMAC</th><th>kB moved</th><th>SQNR dB</th><th>alone "
      "%</th><th>together %</th></tr>\n";
  constexpr double kBar_px = 240;
  for (std::size_t i = 0; i < profile.layers.size(); ++i) {
    const auto& l = profile.layers[i];
    out += std::format(
        "<tr><td>{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td><td>{}</td><td>{:.1f}</td><td class=\"t\">"
        "<svg width=\"{:.0f}\" height=\"12\"><rect width=\"{:.1f}\" height=\"12\"/></svg></td>"
        "<td>{:.1f}</td><td>{:.1f}</td><td{}>{:.1f}</td><td>{:.2f}</td><td>{:.2f}</td></tr>\n",
        i, l.op, escaped(l.tensor), l.output_shape, l.mean_us, kBar_px, most_us > 0 ? kBar_px * l.mean_us / most_us : 0,
        static_cast<double>(l.mac_count) / 1e3, static_cast<double>(l.moved_bytes) / 1e3,
        l.sqnr_db < kLeastSqnr_db ? " class=\"noisy\"" : "", l.sqnr_db, 100 * l.alone, 100 * l.together);
  }
  return out + "</table></body></html>\n";
}

}  // namespace wayside::optimizer
