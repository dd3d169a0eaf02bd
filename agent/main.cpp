// SPDX-License-Identifier: Apache-2.0
// waysided: the agent's command line.
#include <malloc.h>
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "agent/app.h"
#include "agent/commands.h"
#include "agent/config.h"
#include "agent/golden_command.h"
#include "agent/signal_watcher.h"
#include "agent/version.h"
#include "base/log.h"

namespace {

namespace agent = wayside::agent;

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  bool check = false, print_config = false, print_schema = false, devices = false, json = false;
  std::string bench;
  unsigned seconds = 5;
  unsigned threads = 1;
  unsigned run_for = 0;
  std::string overlay_out;
  agent::GoldenOptions golden;
  unsigned overlay_every = 10;
};

void describe(CLI::App& app, Arguments& arguments) {
  app.add_option("--config", arguments.config, "Configuration file (YAML)");
  app.add_option("--set", arguments.overrides, "KEY=VALUE over the file, e.g. mqtt.port=1884; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  app.add_flag("--check", arguments.check, "Open everything that the configuration names, report, and end");
  app.add_flag("--print-config", arguments.print_config, "Print the effective configuration and end");
  app.add_flag("--print-schema", arguments.print_schema, "Print the JSON Schema of the configuration and end");
  app.add_flag("--devices", arguments.devices, "List cameras and accelerators and end");
  app.add_option("--bench", arguments.bench, "Measure a model and end");
  app.add_option("--seconds", arguments.seconds, "How long --bench measures")->check(CLI::Range(1U, 3600U));
  app.add_option("--threads", arguments.threads, "CPU threads of --bench")->check(CLI::Range(0U, 16U));
  app.add_option("--golden", arguments.golden.model, "Make a package's golden set with this model and end");
  app.add_option("--golden-card", arguments.golden.card, "Its model card (default: beside the model)");
  app.add_option("--golden-out", arguments.golden.out, "Folder for golden.in and golden.out (default: here)");
  app.add_option("--golden-source", arguments.golden.source, "Camera to take the pictures from (default: synthetic)");
  app.add_option("--golden-cases", arguments.golden.cases, "Number of pictures")->check(CLI::Range(1U, 1024U));
  app.add_flag("--json", arguments.json, "--check, --devices, --bench, --golden and the end of a run print JSON");
  app.add_option("--run-for", arguments.run_for, "End after this many seconds")->check(CLI::Range(1U, 31'536'000U));
  app.add_option("--overlay-out", arguments.overlay_out, "Write pictures with boxes into this folder");
  app.add_option("--overlay-every", arguments.overlay_every, "One picture for this many frames")
      ->check(CLI::Range(1U, 1'000'000U));
  app.set_version_flag("--version", std::string(agent::kVersion));
}

/// Keeps the resident set small: glibc would make one heap per thread, raise its mmap threshold with the first large
/// block that is freed (and then keep such blocks, e.g. the unpacked weights of a model), and give each thread 8 MiB of
/// stack.
void bound_memory() {
  constexpr int kArenas = 2;
  constexpr int kLargeBytes = 256 * 1024;  // no block of the frame path is allocated per frame, so speed is no matter
  ::mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  ::mallopt(M_TRIM_THRESHOLD, kLargeBytes);
  constexpr std::size_t kStackBytes = 512 * 1024;  // the deepest user is OpenSSL during a handshake, some 100 KiB
  ::mallopt(M_ARENA_MAX, kArenas);
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
}

int complain(const wayside::base::Error& error) {
  std::fprintf(stderr, "waysided: %s\n", error.message.c_str());
  return 1;
}

wayside::base::Result<agent::Config> load(const Arguments& arguments) {
  std::vector<agent::Override> overrides;
  for (const auto& text : arguments.overrides) {
    WAYSIDE_TRY(auto change, agent::parse_override(text));
    overrides.push_back(std::move(change));
  }
  if (!arguments.overlay_out.empty()) {
    overrides.push_back({"snapshot.dir", arguments.overlay_out});
    overrides.push_back({"snapshot.every_frames", std::to_string(arguments.overlay_every)});
  }
  return agent::load_config(arguments.config, overrides);
}

void print_summary(const agent::RunSummary& summary) {
  std::printf(
      "{\"frames_in\": %llu, \"frames_processed\": %llu, \"frames_dropped\": %llu, \"frames_failed\": %llu, "
      "\"detections\": %llu, \"events\": %llu, \"events_dropped\": %llu, \"outbox_bytes\": %zu}\n",
      static_cast<unsigned long long>(summary.frames_in), static_cast<unsigned long long>(summary.frames_processed),
      static_cast<unsigned long long>(summary.frames_dropped), static_cast<unsigned long long>(summary.frames_failed),
      static_cast<unsigned long long>(summary.detections), static_cast<unsigned long long>(summary.events),
      static_cast<unsigned long long>(summary.events_dropped), summary.outbox_bytes);
}

int work(const Arguments& arguments) {
  const auto output = arguments.json ? agent::Output::json : agent::Output::text;
  if (arguments.print_schema) {
    std::puts(agent::config_schema().c_str());
    return 0;
  }
  if (arguments.devices) return agent::devices_command(output);
  if (!arguments.bench.empty()) {
    return agent::bench_command({.model = arguments.bench,
                                 .duration = std::chrono::seconds(arguments.seconds),
                                 .thread_count = arguments.threads},
                                output);
  }
  if (!arguments.golden.model.empty()) return agent::golden_command(arguments.golden, output);
  if (arguments.config.empty()) {
    std::fputs("waysided: --config FILE is missing; see waysided --help, and agent/examples for a file to start from\n",
               stderr);
    return 2;
  }
  const auto config = load(arguments);
  if (!config) return complain(config.error());
  if (arguments.print_config) {
    std::fputs(agent::to_yaml(*config).c_str(), stdout);
    return 0;
  }
  auto level = wayside::base::LogLevel::info;
  (void)wayside::base::parse_log_level(config->log.level, level);
  wayside::base::init_logging(arguments.check ? wayside::base::LogLevel::error : level);
  if (arguments.check) return agent::check_command(*config, output);

  wayside::base::log_info("agent event=start version={} config={}", agent::kVersion, arguments.config);
  wayside::base::log_info("agent config: {}", agent::to_one_line(*config));
  agent::RunOptions options;
  if (arguments.run_for > 0) options.run_for = std::chrono::seconds(arguments.run_for);
  const auto done = agent::run_agent(*config, options);
  if (!done) return complain(done.error());
  if (arguments.json) print_summary(*done);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bound_memory();
  agent::SignalWatcher::block_signals();
  CLI::App app("waysided: sees with a camera, thinks on the board, tells over MQTT");
  Arguments arguments;
  describe(app, arguments);
  CLI11_PARSE(app, argc, argv);
  return work(arguments);
}
