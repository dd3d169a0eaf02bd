// SPDX-License-Identifier: Apache-2.0
// Opens, wires and runs.
#include "agent/app.h"

#include <format>

#include "agent/ota/update_service.h"
#include "agent/outbox.h"
#include "agent/overlay_writer.h"
#include "agent/persistent_counter.h"
#include "agent/pipeline.h"
#include "agent/reporter.h"
#include "agent/signal_watcher.h"
#include "agent/system_stats.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/storage.h"

namespace wayside::agent {
namespace {

/// Numbers reserved at once: an epoch is used per connection attempt, a sequence number per event (at most 10 a second
/// by default: one durable write per 100 s).
constexpr std::uint64_t kEpochBlock = 16;
constexpr std::uint64_t kSequenceBlock = 1024;
/// The longest that one call of the updater may take: golden set and bench of a slow candidate.
constexpr std::chrono::minutes kUpdaterHangLimit{15};

/// What lives on disk, in order of construction; the reporter's parts point into it.
struct State {
  base::DiskStorage counters;
  base::DiskStorage outbox;
};

base::Result<std::unique_ptr<State>> open_state(const Config& config) {
  auto counters = base::DiskStorage::open(config.state_dir);
  if (!counters) {
    return std::unexpected(std::move(counters.error().context("state_dir (set it to a writable folder)")));
  }
  auto outbox = base::DiskStorage::open(config.outbox.dir);
  if (!outbox) return std::unexpected(std::move(outbox.error().context("outbox.dir (set it to a writable folder)")));
  return std::make_unique<State>(std::move(*counters), std::move(*outbox));
}

base::Result<Reporter::Parts> open_parts(State& state, const Config& config, base::Clock& clock) {
  const OutboxOptions options{.max_bytes = static_cast<std::size_t>(config.outbox.max_bytes),
                              .max_age = std::chrono::seconds(config.outbox.max_age_s)};
  WAYSIDE_TRY(auto outbox, Outbox::open(state.outbox, options, clock));
  WAYSIDE_TRY(auto epochs, PersistentCounter::open(state.counters, "epoch", kEpochBlock));
  WAYSIDE_TRY(auto sequences, PersistentCounter::open(state.counters, "sequence", kSequenceBlock));
  if (outbox.bytes() > 0) base::log_info("outbox event=found stored_bytes={}", outbox.bytes());
  return Reporter::Parts{std::move(outbox), std::move(epochs), std::move(sequences)};
}

ModelFacts facts_of(const ModelConfig& config, const Detector& detector, const accel::Accelerator& accelerator) {
  return {.role = config.role,
          .name = detector.card().name,
          .version = detector.card().version,
          .sha256 = detector.sha256(),
          .variant = std::string(accelerator.name()),
          .labels = detector.card().labels};
}

base::Result<std::unique_ptr<OverlayWriter>> make_overlay(const Config& config, const ModelFacts& model) {
  if (config.snapshot.dir.empty()) return std::unique_ptr<OverlayWriter>();
  return OverlayWriter::create(config.snapshot.dir, static_cast<std::uint64_t>(config.snapshot.every_frames),
                               ModelCard{.name = model.name, .labels = model.labels});
}

/// What the pipeline starts with, and the updater where there is one.
struct Start {
  std::unique_ptr<UpdateService> updates{};
  std::unique_ptr<FrameProcessor> model{};
  ModelFacts facts{};
};

base::Result<Start> open_model(const Config& config, accel::Accelerator& accelerator, base::Clock& clock) {
  const ModelConfig& model = config.models.front();
  Start start;
  std::string description;
  if (config.ota.enable) {
    WAYSIDE_TRY(start.updates, UpdateService::open(config, accelerator, clock));
    start.model = start.updates->take_first_model();
    start.facts = start.updates->first_facts();
    description = start.updates->first_description();
  } else {
    WAYSIDE_TRY(auto detector, load_detector(model, 0, accelerator));
    start.facts = facts_of(model, *detector, accelerator);
    description = detector->describe();
    start.model = std::move(detector);
  }
  base::log_info("model role={} name=\"{}\" version={} state={} accelerator=\"{}\" {}", model.role, start.facts.name,
                 start.facts.version, start.facts.state, accelerator.describe(), description);
  return start;
}

}  // namespace

std::filesystem::path packed_dir_of(const Config& config) {
  return config.state_dir.empty() ? std::filesystem::path() : std::filesystem::path(config.state_dir) / "packed";
}

std::vector<std::unique_ptr<accel::Accelerator>> available_accelerators(const std::filesystem::path& packed_dir) {
  std::vector<std::unique_ptr<accel::Accelerator>> found;
  found.push_back(accel::make_cpu_accelerator(packed_dir));
  return found;
}

base::Result<std::unique_ptr<accel::Accelerator>> choose_accelerator(const ModelConfig& model,
                                                                     const std::filesystem::path& packed_dir) {
  auto present = available_accelerators(packed_dir);
  std::string names;
  for (const auto& wanted : model.accelerator) {
    for (auto& accelerator : present) {
      if (accelerator->name() == wanted) return std::move(accelerator);
    }
  }
  for (const auto& accelerator : present) names += (names.empty() ? "" : ", ") + std::string(accelerator->name());
  std::string wanted;
  for (const auto& name : model.accelerator) wanted += (wanted.empty() ? "" : ", ") + name;
  return base::fail(base::Code::not_found,
                    std::format("model {}: none of the accelerators [{}] is present; this machine has: {}", model.role,
                                wanted, names));
}

accel::CoreChoice core_choice(std::string_view name) {
  if (name == "big") return accel::CoreChoice::big;
  return name == "little" ? accel::CoreChoice::little : accel::CoreChoice::any;
}

DetectorOptions detector_options(const ModelConfig& model, std::uint16_t model_index) {
  DetectorOptions options;
  options.file = model.file;
  options.card = model.card;
  options.thread_count = static_cast<unsigned>(model.threads);
  options.spin = std::chrono::microseconds(model.spin_us);
  options.cores = core_choice(model.cores);
  if (model.score_threshold) options.score_threshold = static_cast<float>(*model.score_threshold);
  options.labels = model.labels;
  options.model_index = model_index;
  return options;
}

base::Result<std::unique_ptr<Detector>> load_detector(const ModelConfig& model, std::uint16_t model_index,
                                                      accel::Accelerator& accelerator) {
  return Detector::create(detector_options(model, model_index), accelerator, base::Clock::real());
}

base::Result<OpenCamera> open_configured_camera(const CameraConfig& config) {
  OpenCamera result;
  WAYSIDE_TRY(result.camera, drivers::open_camera(config.source));
  drivers::CameraRequest request;
  request.width_px = static_cast<std::uint32_t>(config.width_px);
  request.height_px = static_cast<std::uint32_t>(config.height_px);
  request.rate_hz = config.rate_hz;
  WAYSIDE_TRY(result.format, result.camera->configure(request));
  if (result.format.verdict == drivers::Verdict::adjusted) {
    base::log_warn("camera source=\"{}\" event=adjusted reason=\"{}\"", result.camera->describe(), result.format.why);
  }
  return result;
}

base::Result<RunSummary> run_agent(const Config& config, const RunOptions& options) {
  base::Clock& clock = base::Clock::real();
  const ModelConfig& model = config.models.front();
  WAYSIDE_TRY(auto accelerator, choose_accelerator(model, packed_dir_of(config)));
  SystemStats stats(clock);
  Config effective = config;
  if (effective.device.board.empty()) effective.device.board = stats.board_model();
  WAYSIDE_TRY(auto start, open_model(effective, *accelerator, clock));
  WAYSIDE_TRY(auto open, open_configured_camera(config.camera));
  base::log_info("camera source=\"{}\" format={} size={}x{} rate_hz={:.1f}", open.camera->describe(),
                 base::to_string(open.format.format), open.format.width_px, open.format.height_px, open.format.rate_hz);
  WAYSIDE_TRY(auto overlay, make_overlay(config, start.facts));
  WAYSIDE_TRY(auto state, open_state(config));
  WAYSIDE_TRY(auto parts, open_parts(*state, config, clock));

  Birth birth{.board_model = stats.board_model(),
              .camera = open.camera->describe(),
              .accelerators = {accelerator->describe()},
              .runtimes = {{"cpu-int8", accelerator->describe()}},
              .models = {start.facts}};
  WAYSIDE_TRY(auto reporter, Reporter::create(effective, std::move(birth), std::move(parts), stats, clock));

  PipelineOptions pipeline_options;
  pipeline_options.rate_hz = model.rate_hz;
  pipeline_options.lossless = config.camera.lossless;
  pipeline_options.wait_for_reports = config.camera.lossless;
  pipeline_options.on_report = [&reporter] { reporter->wake(); };
  pipeline_options.observer = overlay.get();
  ModelSlot slot(std::move(start.model));
  Pipeline pipeline(*open.camera, slot, std::move(pipeline_options), clock);
  reporter->attach(pipeline);
  if (start.updates) {
    reporter->attach(start.updates->link());
    reporter->also_alive([&] { return start.updates->progressing(kUpdaterHangLimit); });
    reporter->also_healthy([&] { return start.updates->system_problem(); });
  }
  const SignalWatcher signals([&reporter] { reporter->request_stop(); });
  WAYSIDE_CHECK(pipeline.start());
  if (start.updates) start.updates->start(slot, pipeline);
  reporter->run(options.run_for ? clock.now() + *options.run_for : base::MonotonicTime::max());
  if (start.updates) start.updates->stop();
  const auto& counters = pipeline.counters();
  const auto sent = reporter->totals();
  return RunSummary{.frames_in = counters.frames_in,
                    .frames_processed = counters.frames_processed,
                    .frames_dropped = counters.frames_dropped,
                    .frames_failed = counters.frames_failed,
                    .detections = counters.detections,
                    .events = sent.events,
                    .events_dropped = sent.events_dropped,
                    .outbox_bytes = sent.outbox_bytes};
}

}  // namespace wayside::agent
