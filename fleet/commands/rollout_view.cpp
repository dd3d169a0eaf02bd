// SPDX-License-Identifier: Apache-2.0
// Text and JSON of roll-outs.
#include "fleet/commands/rollout_view.h"

#include <unistd.h>

#include <cstdio>
#include <format>
#include <nlohmann/json.hpp>

#include "ota/rollout_wave.h"

namespace wayside::fleet {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::milliseconds kRedraw{250};
constexpr std::chrono::seconds kLineEvery{1};
constexpr std::size_t kBarWidth = 24;

WaveCounts sum(const Snapshot& seen) {
  WaveCounts all;
  for (const auto& wave : seen.waves) {
    all.waiting += wave.waiting;
    all.in_flight += wave.in_flight;
    all.unreachable += wave.unreachable;
    all.succeeded += wave.succeeded;
    all.failed += wave.failed;
    all.withdrawn += wave.withdrawn;
  }
  return all;
}

Json to_json(const WaveCounts& counts) {
  return {{"devices", counts.total()},         {"waiting", counts.waiting},     {"in_flight", counts.in_flight},
          {"unreachable", counts.unreachable}, {"succeeded", counts.succeeded}, {"failed", counts.failed},
          {"withdrawn", counts.withdrawn}};
}

std::string counts_text(const WaveCounts& counts) {
  std::string text = std::format("{} ok  {} failed  {} in flight  {} waiting", counts.succeeded, counts.failed,
                                 counts.in_flight, counts.waiting);
  if (counts.unreachable > 0) text += std::format("  {} unreachable", counts.unreachable);
  if (counts.withdrawn > 0) text += std::format("  {} withdrawn", counts.withdrawn);
  return text;
}

}  // namespace

std::string plan_text(const ota::RolloutPolicy& policy, const std::vector<std::string>& devices,
                      const std::optional<CostPreview>& cost, bool json) {
  const auto bounds = ota::wave_bounds(policy);
  std::vector<std::vector<std::string>> waves(bounds.size());
  std::size_t left_out = 0;
  for (const auto& device : devices) {
    const auto wave = ota::wave_of(ota::rollout_position(device, policy.id, policy.salt), bounds);
    if (wave)
      waves[*wave].push_back(device);
    else
      ++left_out;
  }
  if (json) {
    Json plan = {{"id", policy.id}, {"waves", waves}, {"left_out", left_out}};
    if (cost) plan["cost"] = Json::parse(cost_json(*cost));
    return plan.dump();
  }
  std::string text = std::format("roll-out {}: {} {} for {} on {} devices", policy.id, policy.target_name,
                                 policy.target_version, policy.role, devices.size() - left_out);
  for (std::size_t i = 0; i < waves.size(); ++i) {
    text += std::format("\n  wave {} (up to {:.1f} %): {} devices", i + 1, policy.waves[i].permille / 10.0,
                        waves[i].size());
    if (!waves[i].empty()) text += std::format(", first {}", waves[i].front());
  }
  if (cost) text += "\n" + cost_text(*cost);
  return text;
}

std::string rollout_text(const Rollout& rollout, const Snapshot& seen) {
  const auto& policy = rollout.policy;
  std::string text = std::format("roll-out {}: {}{}{}\n  {} {} for {}, manifest {}", policy.id, to_string(seen.state),
                                 rollout.why.empty() ? "" : ": ", rollout.why, policy.target_name,
                                 policy.target_version, policy.role, policy.manifest_sha256.substr(0, 12));
  for (std::size_t i = 0; i < seen.waves.size(); ++i) {
    text += std::format("\n  {} wave {} (up to {:.1f} %): {}", i == seen.wave ? ">" : " ", i + 1,
                        policy.waves[i].permille / 10.0, counts_text(seen.waves[i]));
  }
  return text;
}

std::string rollout_json(const Rollout& rollout, const Snapshot& seen) {
  Json waves = Json::array();
  for (const auto& wave : seen.waves) waves.push_back(to_json(wave));
  const Json json = {{"id", rollout.policy.id},
                     {"state", to_string(seen.state)},
                     {"why", rollout.why},
                     {"wave", seen.wave + 1},
                     {"waves", std::move(waves)},
                     {"total", to_json(sum(seen))},
                     {"compared", seen.evidence.compared},
                     {"disagreed", seen.evidence.disagreed},
                     {"target",
                      {{"name", rollout.policy.target_name},
                       {"version", rollout.policy.target_version},
                       {"manifest_sha256", rollout.policy.manifest_sha256}}}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string progress_line(const ota::RolloutPolicy& policy, const DriverView& view) {
  const auto& seen = view.snapshot;
  const auto all = sum(seen);
  const auto ended = all.succeeded + all.failed;
  const auto filled = all.total() == 0 ? 0 : static_cast<std::size_t>(kBarWidth * ended / all.total());
  std::string line = std::format("{} wave {}/{} ({:.1f} %)  [{}{}]  {}", to_string(seen.state), seen.wave + 1,
                                 seen.waves.size(), policy.waves[seen.wave].permille / 10.0, std::string(filled, '#'),
                                 std::string(kBarWidth - filled, '.'), counts_text(all));
  if (!view.connection.empty())
    line += "  | " + view.connection;
  else if (!view.why.empty())
    line += "  | " + view.why;
  return line;
}

RolloutView::RolloutView(const ota::RolloutPolicy& policy, bool quiet)
    : policy_(policy), quiet_(quiet), terminal_(::isatty(STDERR_FILENO) != 0) {}

void RolloutView::draw(const DriverView& view, base::MonotonicTime now) {
  if (quiet_ || now < next_) return;
  const auto line = progress_line(policy_, view);
  next_ = now + (terminal_ ? std::chrono::nanoseconds(kRedraw) : std::chrono::nanoseconds(kLineEvery));
  if (!terminal_ && line == last_) return;
  last_ = line;
  // ECMA-48: back to the start of the line, and the rest of it erased.
  std::fprintf(stderr, terminal_ ? "\r%s\x1b[K" : "%s\n", line.c_str());
  std::fflush(stderr);
}

void RolloutView::finish(const DriverView& view) {
  if (quiet_) return;
  std::fprintf(stderr, terminal_ ? "\r%s\x1b[K\n" : "%s\n", progress_line(policy_, view).c_str());
}

}  // namespace wayside::fleet
