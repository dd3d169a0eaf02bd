// SPDX-License-Identifier: Apache-2.0
// Self-test, shadow, swap and probation in the running pipeline.
#include "agent/ota/pipeline_gates.h"

#include <unistd.h>

#include <algorithm>
#include <format>
#include <fstream>

#include "agent/ota/session_gate.h"
#include "base/log.h"

namespace wayside::agent {
namespace {

using ota::Step;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// A swap waits for the end of one frame; the longest that a working model may take.
constexpr milliseconds kSwapLimit{1500};
/// How long a swap waits for the first frame of the new model before it is reported without figures: what a rollback
/// may take.
constexpr milliseconds kFirstFrameLimit{2000};
/// The probation is judged window by window; two bad ones, or a bad only one, end it.
constexpr seconds kWindow{30};
constexpr unsigned kMaxStrikes = 2;
/// Fewer frames than this say nothing about a 99th percentile or a rate.
constexpr std::uint64_t kMinFrames = 20;
/// Of a camera that gives less than the promised rate (dusk, a busy machine), a model must get through this part.
constexpr double kLeastShare = 0.9;
constexpr std::uint64_t kMaxFailures = 3;
/// Shadow: with so many objects compared, twice the allowed disagreement ends it early.
constexpr std::uint64_t kEarlyCompared = 50;

std::uint64_t to_ms(std::chrono::nanoseconds time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(time / milliseconds(1), 0));
}

/// Reads the model's pages and makes its buffers before the first live frame needs them.
base::Result<void> warm_up(FrameProcessor& model) {
  constexpr std::uint32_t kWidth = 640, kHeight = 480;
  const std::vector<std::uint8_t> grey(kWidth * kHeight * 3 / 2, 128);
  base::ImageView image{.format = base::PixelFormat::nv12, .width_px = kWidth, .height_px = kHeight};
  image.planes[0] = {.data = grey.data(), .stride_bytes = kWidth, .size_bytes = kWidth * kHeight};
  image.planes[1] = {
      .data = grey.data() + kWidth * kHeight, .stride_bytes = kWidth, .size_bytes = kWidth * kHeight / 2};
  const auto report = std::make_unique<FrameReport>();
  WAYSIDE_CHECK(model.process(image, *report));
  return {};
}

}  // namespace

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

PipelineGates::PipelineGates(PipelineGatesOptions options, base::Storage& storage, ota::BlobStore& store,
                             accel::Accelerator& accelerator, UpdateLink& link, base::Clock& clock)
    : options_(std::move(options)),
      storage_(&storage),
      store_(&store),
      accelerator_(&accelerator),
      link_(&link),
      clock_(&clock),
      loader_(options_.config.models.front(), options_.store_root, store, accelerator, clock),
      firmware_({.system_root = options_.config.ota.system_root, .store_root = options_.store_root}, storage, clock),
      shadow_report_(std::make_unique<FrameReport>()) {}

base::Result<std::unique_ptr<FrameProcessor>> PipelineGates::first_model(
    const std::optional<ota::Installed>& installed) {
  WAYSIDE_TRY(active_, loader_.load(installed));
  return std::move(active_.processor);
}

void PipelineGates::give_up_on(const ota::Installed& installed, std::string reason) {
  hopeless_ = installed;
  hopeless_reason_ = std::move(reason);
}

void PipelineGates::attach(ModelSlot& slot, const Pipeline& pipeline) {
  slot_ = &slot;
  pipeline_ = &pipeline;
}

std::uint64_t PipelineGates::frames_lost() const {
  return pipeline_->counters().frames_dropped + pipeline_->counters().frames_failed;
}

Step PipelineGates::compile(const ota::Task& task) {
  return Step::model_failed(std::format("variant {} wants an engine built on the board; {} builds none",
                                        task.variant.id, accelerator_->name()));
}

Step PipelineGates::self_test(const ota::Task& task) {
  candidate_.reset();
  const auto& model = options_.config.models.front();
  const SessionGateOptions options{.store_root = options_.store_root,
                                   .thread_count = static_cast<unsigned>(model.threads)};
  const auto report = test_model(*accelerator_, *store_, task, options, *clock_);
  base::log_info("ota gate=self_test p50_us={} p99_us={} ram_bytes={} verdict=\"{}\"", report.measured.p50_us,
                 report.measured.p99_us, report.measured.ram_bytes, report.verdict.reason);
  if (report.verdict.kind != Step::Kind::done) return report.verdict;
  // Card, labels and decoder belong to the model: what cannot be wired is found here, not at the swap.
  if (const auto loaded = need_candidate(task.job.target); !loaded) return Step::model_failed(loaded.error().message);
  return Step::done();
}

base::Result<void> PipelineGates::need_candidate(const ota::Installed& installed) {
  if (candidate_ && candidate_->installed == installed) return {};
  WAYSIDE_TRY(auto loaded, loader_.load(installed));
  WAYSIDE_CHECK(warm_up(*loaded.processor));
  candidate_ = std::move(loaded);
  return {};
}

Step PipelineGates::shadow(const ota::Task& task) {
  if (slot_ == nullptr) return Step::working();
  if (const auto loaded = need_candidate(task.job.target); !loaded) return Step::model_failed(loaded.error().message);
  const auto& watch = task.manifest.watch;
  if (!tapping_) {
    tapping_ = true;
    shadowed_frames_ = 0;
    figures_.shadow = {};
    const auto own = static_cast<std::uint32_t>(options_.config.ota.shadow_one_in);
    slot_->tap(std::max({watch.shadow_one_in, own, 1U}), [link = link_] { link->wake(); });
    return Step::working();
  }
  auto frame = slot_->take_tapped();
  if (!frame) return Step::working();
  const auto seen = candidate_->processor->process(frame->image, *shadow_report_);
  if (!seen) return Step::model_failed("shadow: " + seen.error().message);
  compare(*frame);
  slot_->return_tapped(std::move(frame));
  ++shadowed_frames_;
  const auto permille = figures_.shadow.permille();
  const bool early = figures_.shadow.compared >= kEarlyCompared && permille > 2UL * watch.max_disagree_permille;
  if (shadowed_frames_ < watch.shadow_frames && !early) return Step::working();
  slot_->tap(0, {});
  tapping_ = false;
  base::log_info("ota gate=shadow frames={} compared={} disagreed={}", shadowed_frames_, figures_.shadow.compared,
                 figures_.shadow.disagreed);
  if (permille <= watch.max_disagree_permille) return Step::done();
  return Step::model_failed(std::format("shadow: {} of {} objects differ, {} permille > {}", figures_.shadow.disagreed,
                                        figures_.shadow.compared, permille, watch.max_disagree_permille));
}

void PipelineGates::compare(const TappedFrame& frame) {
  const Sight old_sight{.detections = std::span(frame.report.detections).first(frame.report.count),
                        .labels = active_.facts.labels,
                        .score_threshold = active_.score_threshold};
  const Sight new_sight{.detections = std::span(shadow_report_->detections).first(shadow_report_->count),
                        .labels = candidate_->facts.labels,
                        .score_threshold = candidate_->score_threshold};
  compare_sights(old_sight, new_sight, figures_.shadow);
}

base::Result<LoadedModel> PipelineGates::take_model(const std::optional<ota::Installed>& installed) {
  for (auto* kept : {&candidate_, &standby_}) {
    if (!*kept || (*kept)->installed != installed) continue;
    LoadedModel model = std::move(**kept);
    kept->reset();
    return model;
  }
  return loader_.load(installed);
}

void PipelineGates::tell_model(const LoadedModel& model, std::string state) {
  LinkWish wish{.kind = LinkWish::Kind::model, .model_index = model.index, .model = model.facts};
  wish.model.state = std::move(state);
  link_->wish(std::move(wish));
}

Step PipelineGates::swap(const std::string&, const std::optional<ota::Installed>& installed) {
  if (hopeless_ && installed == hopeless_) return Step::model_failed(hopeless_reason_);
  if (slot_ == nullptr || active_.installed == installed) return Step::done();
  const bool trial = decided_ == std::nullopt && updater_->state() == ota::State::activating;
  auto model = take_model(installed);
  if (!model && !trial) {
    base::log_error("ota event=rollback_target_lost reason=\"{}\" hint=\"the configuration's model takes over\"",
                    model.error().message);
    model = take_model(std::nullopt);
  }
  if (!model) return Step::model_failed(model.error().message);
  const auto began = clock_->now();
  const auto lost_before = frames_lost();
  tell_model(*model, trial ? "trial" : "committed");
  auto replaced = slot_->exchange(std::move(model->processor), kSwapLimit);
  if (!replaced) return Step::failed("swap: " + replaced.error().message);
  const bool seen = slot_->wait_for_first_frame(kFirstFrameLimit);
  const auto now = clock_->now();
  if (seen && trial) {
    figures_.swap_dropped_frames = frames_lost() - lost_before;
    figures_.swap_ms = to_ms(now - began);
  }
  if (seen && decided_) figures_.rollback_ms = to_ms(now - *decided_);
  LoadedModel old = std::exchange(active_, std::move(*model));
  old.processor = std::move(*replaced);
  if (trial) standby_ = std::move(old);  // what does not stand by ends here, in this thread
  base::log_info("ota event=swapped model=\"{}\" version={} frames_lost={} took_ms={}", active_.facts.name,
                 active_.facts.version, frames_lost() - lost_before, to_ms(now - began));
  return Step::done();
}

Step PipelineGates::found_wanting(std::string reason) {
  decided_ = clock_->now();
  return Step::model_failed(std::move(reason));
}

Step PipelineGates::install(const ota::Task& task) { return firmware_.install(task); }

std::string PipelineGates::system_problem() const {
  const std::lock_guard lock(problem_mutex_);
  return system_problem_.value_or("the models have not been tried on it yet");
}

/// The golden set of the model that runs, on the runtimes of this system. Not its time limits: a machine that has just
/// started does other things, and the probation of the model itself held them.
std::string PipelineGates::test_on_new_system() {
  const auto& model = options_.config.models.front();
  const auto active = updater_->active(model.role);
  if (!active) return {};  // the configured model came with the system, and has no golden set
  const auto manifest = updater_->manifest_of(active->manifest);
  if (!manifest) return manifest.error().message;
  const auto* variant = manifest->find_variant(active->variant);
  if (variant == nullptr) return "its model has no variant " + active->variant;
  ota::Variant untimed = *variant;
  untimed.limits = {};
  const ota::Job job{.command_id = "new-system", .role = model.role, .target = *active};
  const SessionGateOptions options{
      .store_root = options_.store_root, .thread_count = static_cast<unsigned>(model.threads), .bench_runs = 1};
  return test_model(*accelerator_, *store_, {job, *manifest, untimed}, options, *clock_).verdict.reason;
}

Step PipelineGates::watch_firmware(const ota::Task& task) {
  const auto step = firmware_.watch(task);
  if (step.kind != Step::Kind::working || system_problem_) return step;
  auto problem = test_on_new_system();
  if (!problem.empty()) base::log_error("ota event=new_system_fails reason=\"{}\"", problem);
  const std::lock_guard lock(problem_mutex_);
  system_problem_ = std::move(problem);
  return step;  // wayside-confirm leaves a system whose agent says that it has a problem
}

Step PipelineGates::watch(const ota::Task& task) {
  if (task.manifest.is_firmware()) return watch_firmware(task);
  if (hopeless_ && hopeless_ == task.job.target) return Step::model_failed(hopeless_reason_);
  if (slot_ == nullptr) return Step::working();
  const auto now = clock_->now();
  const std::uint64_t frames_in = pipeline_->counters().frames_in;
  if (!watching_) {
    watching_ = Watching{.last_poll = now,
                         .window_start = now,
                         .frames_in = frames_in,
                         .first_frames_in = frames_in,
                         .window_frames_in = frames_in,
                         .window_frames = slot_->figures().frames,
                         .rss_bytes = resident_bytes()};
    (void)slot_->take_inference();
  }
  auto& seen = *watching_;
  const auto figures = slot_->figures();
  if (figures.failures >= kMaxFailures) {
    return found_wanting(std::format("probation: {} inferences failed", figures.failures));
  }
  const auto growth = static_cast<std::int64_t>(resident_bytes()) - static_cast<std::int64_t>(seen.rss_bytes);
  if (growth > options_.config.ota.max_rss_growth_bytes) {
    return found_wanting(std::format("probation: the agent grew by {} bytes", growth));
  }
  // Time without frames proves nothing: a camera that is away neither commits a model nor sends it back.
  if (frames_in != seen.frames_in) seen.watched += std::min<std::chrono::nanoseconds>(now - seen.last_poll, seconds(2));
  seen.last_poll = now;
  seen.frames_in = frames_in;
  const auto wanted =
      seconds(std::max<std::int64_t>(task.manifest.watch.probation_s, options_.config.ota.probation_min_s));
  const bool over = seen.watched >= wanted && frames_in - seen.first_frames_in >= kMinFrames;
  if (!over && now - seen.window_start < kWindow) return Step::working();
  const auto judged = judge_window(task, now, over);
  if (judged.kind != Step::Kind::done || !over) return judged.kind == Step::Kind::done ? Step::working() : judged;
  return Step::done();
}

Step PipelineGates::judge_window(const ota::Task& task, base::MonotonicTime now, bool last) {
  auto& seen = *watching_;
  const auto times = slot_->take_inference();
  const auto length_s = std::chrono::duration<double>(now - seen.window_start).count();
  const auto processed = slot_->figures().frames - seen.window_frames;
  const auto delivered = seen.frames_in - seen.window_frames_in;
  seen.window_start = now;
  ++seen.windows;
  seen.window_frames = slot_->figures().frames;
  seen.window_frames_in = seen.frames_in;
  if (processed == 0 && delivered >= kMinFrames) return found_wanting("probation: frames come in, none gets through");
  const auto us = [](double ms) { return static_cast<std::uint64_t>(ms * 1000); };
  std::string bad;
  if (times.count >= kMinFrames) {
    bad = ota::judge({.p50_us = us(times.p50_ms), .p99_us = us(times.p99_ms)}, task.variant.limits);
  }
  const double rate_hz = static_cast<double>(processed) / length_s;
  const double floor_hz =
      std::min(task.manifest.watch.min_rate_millihz / 1000.0, kLeastShare * static_cast<double>(delivered) / length_s);
  if (bad.empty() && delivered >= kMinFrames && rate_hz < floor_hz)
    bad = std::format("{:.1f} frames/s < {:.1f}", rate_hz, floor_hz);
  if (bad.empty()) return Step::done();
  ++seen.strikes;
  base::log_warn("ota gate=probation strike={} reason=\"{}\"", seen.strikes, bad);
  if (seen.strikes >= kMaxStrikes || (last && seen.windows == 1)) return found_wanting("probation: " + bad);
  return Step::done();
}

void PipelineGates::forget(const ota::Job&) {
  firmware_.forget();
  if (slot_ != nullptr && tapping_) slot_->tap(0, {});
  if (fetcher_) fetcher_->cancel();
  (void)pump();  // the transfer's last wishes: not to listen any more
  fetcher_.reset();
  fetching_.reset();
  stick_copy_.reset();
  stick_missed_.reset();
  fetched_bytes_ = 0;
  fetching_for_.clear();
  tapping_ = false;
  candidate_.reset();
  standby_.reset();
  watching_.reset();
  decided_.reset();
  if (slot_ != nullptr) tell_model(active_, "committed");
}

}  // namespace wayside::agent
