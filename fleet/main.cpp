// SPDX-License-Identifier: Apache-2.0
// wayside: the operator's command line.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "fleet/flash/flash_command.h"
#include "fleet/fleet_command.h"
#include "fleet/monitor_command.h"
#include "fleet/package_command.h"
#include "fleet/sibling_program.h"

namespace {

namespace fleet = wayside::fleet;
using Arguments = std::vector<std::string>;

int hand_over(const Arguments& arguments, const fleet::SiblingProgram& program = fleet::kAgentProgram) {
  const auto error = fleet::exec_program(program, arguments);
  std::fprintf(stderr, "wayside: %s\n", error.message.c_str());
  return 1;
}

/// What run, check and config print share.
struct AgentOptions {
  std::string config;
  std::vector<std::string> overrides;
  bool json = false;

  void describe(CLI::App& command) {
    command.add_option("config", config, "Configuration file (YAML)")->required();
    command.add_option("--set", overrides, "KEY=VALUE over the file; may be repeated")
        ->take_all()
        ->allow_extra_args(false);
    command.add_flag("--json", json, "Print the result as JSON");
  }
  [[nodiscard]] Arguments arguments(Arguments more) const {
    Arguments all{"--config", config};
    for (const auto& change : overrides) all.insert(all.end(), {"--set", change});
    if (json) all.emplace_back("--json");
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

void add_run(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("run", "Run the agent in the foreground");
  auto options = std::make_shared<AgentOptions>();
  auto seconds = std::make_shared<unsigned>(0);
  options->describe(*command);
  command->add_option("--seconds", *seconds, "End after this many seconds");
  command->callback([=, &chosen] {
    chosen = [=] {
      return hand_over(
          options->arguments(*seconds > 0 ? Arguments{"--run-for", std::to_string(*seconds)} : Arguments{}));
    };
  });
}

void add_check(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("check", "Try everything that a configuration names: model, camera, disk, broker");
  auto options = std::make_shared<AgentOptions>();
  options->describe(*command);
  command->callback([=, &chosen] { chosen = [=] { return hand_over(options->arguments({"--check"})); }; });
}

void add_devices(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("devices", "List cameras and accelerators of this machine");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print JSON");
  command->callback([=, &chosen] {
    chosen = [=] { return hand_over(*json ? Arguments{"--devices", "--json"} : Arguments{"--devices"}); };
  });
}

void add_bench(CLI::App& app, std::function<int()>& chosen) {
  struct Options {
    std::string model;
    unsigned seconds = 5, threads = 1;
    bool json = false;
  };
  auto* command = app.add_subcommand("bench", "Measure a model on this machine");
  auto options = std::make_shared<Options>();
  command->add_option("model", options->model, "A full-integer .tflite file")->required();
  command->add_option("--seconds", options->seconds, "How long to measure");
  command->add_option("--threads", options->threads, "CPU threads; 0: one per core");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([=, &chosen] {
    chosen = [=] {
      Arguments all{"--bench",   options->model,
                    "--seconds", std::to_string(options->seconds),
                    "--threads", std::to_string(options->threads)};
      if (options->json) all.emplace_back("--json");
      return hand_over(all);
    };
  });
}

/// All that follows is wayside-optimize's own, --help too.
void add_optimize(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("optimize", "INT8 variants of a float model, measured, with a report");
  command->prefix_command()->set_help_flag();
  command->callback(
      [=, &chosen] { chosen = [=] { return hand_over(command->remaining(), fleet::kOptimizerProgram); }; });
}

void add_config(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("config", "About configuration files");
  command->require_subcommand(1);
  auto* schema = command->add_subcommand("schema", "Print the JSON Schema (for editors)");
  auto json = std::make_shared<bool>(false);
  schema->add_flag("--json", *json, "A schema is JSON already");
  schema->callback([&chosen] { chosen = [] { return hand_over({"--print-schema"}); }; });
  auto* print = command->add_subcommand("print", "Print the effective configuration, defaults included");
  auto options = std::make_shared<AgentOptions>();
  options->describe(*print);
  print->callback([=, &chosen] { chosen = [=] { return hand_over(options->arguments({"--print-config"})); }; });
}

void add_monitor(CLI::App& app, std::function<int()>& chosen) {
  struct Raw {
    fleet::MonitorOptions options;
    unsigned seconds = 0;
    std::string json, password_file, ca, cert, key;
  };
  auto* command = app.add_subcommand("monitor", "Show a device live: rates, latencies, detections");
  auto raw = std::make_shared<Raw>();
  command->add_option("--host", raw->options.host, "Broker (default: localhost)");
  command->add_option("--port", raw->options.port, "Broker's port (default: 1883)");
  command->add_option("--device", raw->options.device, "Device id (default: the first that is heard)");
  command->add_option("--root", raw->options.root, "First level of all topics (default: te)");
  command->add_option("--username", raw->options.username, "User name for the broker");
  command->add_option("--password-file", raw->password_file, "File whose first line is the password");
  command->add_option("--ca", raw->ca, "PEM file of the broker's authority; turns TLS on");
  command->add_option("--cert", raw->cert, "PEM client certificate");
  command->add_option("--key", raw->key, "PEM private key");
  command->add_option("--seconds", raw->seconds, "End after this many seconds (default: Ctrl-C)");
  auto* json =
      command->add_option("--json", raw->json, "Write a summary as JSON at the end, to FILE or standard output")
          ->expected(0, 1);
  command->callback([=, &chosen] {
    if (json->count() > 0) raw->options.json_file = raw->json.empty() ? "-" : raw->json;
    if (raw->seconds > 0) raw->options.seconds = raw->seconds;
    raw->options.password_file = raw->password_file;
    raw->options.ca = raw->ca;
    raw->options.cert = raw->cert;
    raw->options.key = raw->key;
    chosen = [=] { return fleet::monitor_command(raw->options); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("wayside: run, check and watch vision devices");
  app.require_subcommand(1);
  app.set_version_flag("--version", WAYSIDE_VERSION);
  std::function<int()> chosen;
  add_run(app, chosen);
  add_check(app, chosen);
  add_devices(app, chosen);
  add_bench(app, chosen);
  add_optimize(app, chosen);
  fleet::add_package(app, chosen);
  fleet::add_keys(app, chosen);
  add_monitor(app, chosen);
  add_config(app, chosen);
  fleet::add_fleet(app, chosen);
  fleet::add_flash(app, chosen);
  CLI11_PARSE(app, argc, argv);
  return chosen();
}
