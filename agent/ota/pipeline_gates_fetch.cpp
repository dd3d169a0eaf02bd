// SPDX-License-Identifier: Apache-2.0
// Where the files come from, one after the other: over the agent's own connection, or from a stick.
#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

#include "agent/ota/pipeline_gates.h"
#include "agent/sandbox/jailed_delta.h"
#include "base/log.h"
#include "ota/device_inventory.h"
#include "ota/updater/record.h"

namespace wayside::agent {

using Json = nlohmann::json;
using ota::FetchState;
using ota::Step;

const std::filesystem::path kSpentRecord = "spent";
/// After a restart the system needs this long to find the stick again.
constexpr std::chrono::minutes kStickPatience{2};

std::uint64_t PipelineGates::budget_left(const ota::Job& job) const {
  std::uint64_t budget = job.max_bytes == 0 ? UINT64_MAX : job.max_bytes;
  if (const auto own = static_cast<std::uint64_t>(options_.config.ota.max_bytes); own > 0)
    budget = std::min(budget, own);
  return budget - std::min(budget, fetched_bytes_);
}

/// The price was reckoned with what is here before the first file; what files cost before a restart stays spent.
void PipelineGates::begin_fetches(const ota::Task& task) {
  fetching_for_ = task.job.command_id;
  had_ = ota::blobs_in(*store_).value_or(std::map<ota::Digest, std::uint64_t>());
  had_.erase(task.job.target.manifest);
  const auto spent = ota::read_record(*storage_, kSpentRecord);
  if (!spent || !spent->is_object() || spent->value("command", Json()) != Json(fetching_for_)) return;
  if (const auto bytes = spent->find("bytes"); bytes != spent->end() && bytes->is_number_unsigned())
    fetched_bytes_ = bytes->get<std::uint64_t>();
}

void PipelineGates::start_fetch(const ota::Task& task, const ota::Blob& blob) {
  const auto& config = options_.config;
  if (!fetcher_) {
    fetcher_ = std::make_unique<ota::Fetcher>(
        *storage_, *store_,
        ota::FetcherOptions{.root = config.mqtt.root,
                            .device = config.device.id,
                            .jitter_seed = static_cast<std::uint64_t>(clock_->now().count()),
                            .open_delta =
                                [folder = options_.store_root](const auto& delta, const auto& old_file,
                                                               const ota::DeltaExpectation& expected) {
                                  return JailedDelta::open(fetch_program(), folder / delta, folder / old_file,
                                                           expected);
                                },
                            .parser = &options_.parser});
    if (connected_) fetcher_->on_connected(*connected_, clock_->now());
  }
  if (fetching_for_ != task.job.command_id) begin_fetches(task);
  fetching_ = blob.digest;
  fetcher_->start({.target = blob.digest,
                   .target_bytes = blob.size_bytes,
                   .bases = ota::choose_bases(had_, blob.digest),
                   .max_bytes = budget_left(task.job),
                   .give_up_after = std::chrono::seconds(config.ota.download_timeout_s),
                   .site = config.ota.site},
                  clock_->now());
  link_->wake();
}

/// Counts what came; the last file of an update is seen here only, because then nothing is missing any more.
void PipelineGates::note_fetch() {
  if (!fetching_) return;
  const auto& progress = fetcher_->progress();
  figures_.bytes = fetched_bytes_ + progress.spent_bytes;
  figures_.planned_bytes = fetched_bytes_ + std::max(progress.planned_bytes, progress.spent_bytes);
  if (fetcher_->state() != FetchState::done) return;
  base::log_info("ota event=fetched file={} route={} bytes={} planned_bytes={} resumed_chunks={}", fetching_->hex(),
                 to_string(progress.route), progress.spent_bytes, progress.planned_bytes, progress.chunks_resumed);
  fetched_bytes_ += progress.spent_bytes;
  fetching_.reset();
  const auto kept = ota::write_record(*storage_, kSpentRecord, {{"bytes", fetched_bytes_}, {"command", fetching_for_}});
  if (!kept) base::log_warn("ota event=spent_bytes_not_kept reason=\"{}\"", kept.error().message);
}

Step PipelineGates::fetch(const ota::Task& task, const std::vector<ota::Blob>& missing) {
  note_fetch();
  if (!fetching_ && task.manifest.is_firmware()) {
    if (auto objection = firmware_.objection(task)) return *objection;
  }
  if (task.job.command_id.starts_with(kStickCommand)) return fetch_from_stick(task, missing);
  if (!fetching_) start_fetch(task, missing.front());
  if (fetcher_->state() != FetchState::failed) return Step::working();
  fetching_.reset();
  return Step::failed(std::format("download: {}: {}", to_string(fetcher_->failure()), fetcher_->failure_text()));
}

Step PipelineGates::fetch_from_stick(const ota::Task& task, const std::vector<ota::Blob>& missing) {
  if (!stick_copy_) {
    auto package = options_.stick.find(task.job.target.manifest);
    if (!package) {
      const auto now = clock_->now();
      if (!stick_missed_) stick_missed_ = now;
      if (now - *stick_missed_ < kStickPatience) return Step::working();
      return Step::failed("stick: it has gone, with its package; plug it in again");
    }
    for (const ota::Blob& blob : missing) figures_.planned_bytes += blob.size_bytes;
    stick_copy_.emplace(options_.stick, std::move(*package), *store_);
  }
  const Step step = stick_copy_->step(missing.front());
  figures_.bytes = stick_copy_->copied_bytes();
  return step.kind == Step::Kind::done ? Step::working() : step;  // the updater sees what is still missing
}

void PipelineGates::on_event(const LinkEvent& event) {
  const auto now = clock_->now();
  if (event.kind == LinkEvent::Kind::connected) connected_ = event.max_in_flight;
  if (event.kind == LinkEvent::Kind::lost) connected_.reset();
  if (!fetcher_) return;
  switch (event.kind) {
    case LinkEvent::Kind::connected: fetcher_->on_connected(event.max_in_flight, now); break;
    case LinkEvent::Kind::lost: fetcher_->on_lost(); break;
    case LinkEvent::Kind::message: fetcher_->on_message(event.message, now); break;
  }
}

std::optional<base::MonotonicTime> PipelineGates::pump() {
  if (!fetcher_) return std::nullopt;
  const auto now = clock_->now();
  if (const auto wake = fetcher_->wake_at(); wake && *wake <= now) fetcher_->work(now);
  while (auto effect = fetcher_->next_effect()) {
    switch (effect->kind) {
      case ota::FetchEffect::Kind::publish:
        link_->wish({.kind = LinkWish::Kind::publish, .message = std::move(effect->message)});
        break;
      case ota::FetchEffect::Kind::subscribe:
        link_->wish({.kind = LinkWish::Kind::subscribe, .filter = std::move(effect->filter)});
        break;
      case ota::FetchEffect::Kind::unsubscribe:
        link_->wish({.kind = LinkWish::Kind::unsubscribe, .filter = std::move(effect->filter)});
        break;
    }
  }
  note_fetch();
  return fetcher_->wake_at();
}

}  // namespace wayside::agent
