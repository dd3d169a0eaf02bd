// SPDX-License-Identifier: Apache-2.0
// Options of `wayside fleet`.
#include "fleet/fleet_command.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "fleet/commands/devices.h"
#include "fleet/commands/push.h"
#include "fleet/commands/rollouts.h"
#include "fleet/commands/serve.h"

namespace wayside::fleet {
namespace {

using Chosen = std::function<int()>;

/// A subcommand with the options that all have.
template <class Options>
struct Described {
  std::shared_ptr<FleetOptions> fleet = std::make_shared<FleetOptions>();
  std::shared_ptr<Options> options = std::make_shared<Options>();
  CLI::App* command = nullptr;
};

template <class Options>
Described<Options> describe(CLI::App& group, const char* name, const char* help) {
  Described<Options> made;
  made.command = group.add_subcommand(name, help);
  made.command->add_option("--db", made.fleet->database,
                           "Fleet database (default: $WAYSIDE_FLEET_DB, ~/.local/state/wayside/fleet.db)");
  made.command->add_flag("--json", made.fleet->json, "Print JSON");
  return made;
}

void describe_broker(CLI::App& command, BrokerOptions& broker) {
  command.add_option("--host", broker.host, "Broker (default: localhost)");
  command.add_option("--port", broker.port, "Broker's port (default: 1883)");
  command.add_option("--root", broker.root, "First level of all topics (default: te)");
  command.add_option("--client-id", broker.client_id, "MQTT client id (default: wayside-operator)");
  command.add_option("--ca", broker.ca, "PEM file of the broker's authority; turns TLS on");
  command.add_option("--cert", broker.cert, "PEM certificate of the operator");
  command.add_option("--key", broker.key, "PEM private key of the operator");
}

void add_devices(CLI::App& group, Chosen& chosen) {
  auto enroll =
      describe<EnrollOptions>(group, "enroll", "Add a device: let it be provisioned, or make its certificate");
  enroll.command->add_option("id", enroll.options->id, "Device id: certificate name and MQTT client id")->required();
  enroll.command->add_option("--group", enroll.options->groups, "Group; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  enroll.command->add_option("--label", enroll.options->labels, "key=value; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  enroll.command->add_option("--authority", enroll.options->authority,
                             "Folder of the authority; makes the certificate now");
  enroll.command->add_option("--out", enroll.options->out, "Folder for ID.key and ID.crt (default: here)");
  enroll.command->callback([=, &chosen] { chosen = [=] { return enroll_command(*enroll.fleet, *enroll.options); }; });

  auto list = describe<ListOptions>(group, "list", "List devices");
  list.command->add_option("--group", list.options->group, "Only this group");
  list.command->add_option("--where", list.options->where, "Only with these labels: board=pi5,site!=lab");
  list.command->callback([=, &chosen] { chosen = [=] { return list_command(*list.fleet, *list.options); }; });

  auto show = describe<std::string>(group, "show", "Show one device");
  show.command->add_option("id", *show.options, "Device id")->required();
  show.command->callback([=, &chosen] { chosen = [=] { return show_command(*show.fleet, *show.options); }; });

  auto revoke = describe<std::string>(group, "revoke", "Exclude a device for ever");
  revoke.command->add_option("id", *revoke.options, "Device id")->required();
  revoke.command->callback([=, &chosen] { chosen = [=] { return revoke_command(*revoke.fleet, *revoke.options); }; });
}

void add_identity(CLI::App& group, Chosen& chosen) {
  auto authority =
      describe<AuthorityOptions>(group, "authority", "Make a certificate authority for the fleet, or for claims");
  authority.command->add_option("folder", authority.options->folder, "New folder")->required();
  authority.command
      ->add_option("--broker", authority.options->broker_names,
                   "Name of the broker: DNS:broker.lan or IP:192.0.2.1; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  authority.command->add_option("--claim", authority.options->claim,
                                "For claims: make the claim certificate of this name");
  authority.command->callback([=, &chosen] {
    authority.options->for_claims = !authority.options->claim.empty();
    chosen = [=] { return authority_command(*authority.fleet, *authority.options); };
  });

  auto provision =
      describe<ProvisionOptions>(group, "provision", "Answer boards that ask for their certificate, until Ctrl-C");
  describe_broker(*provision.command, provision.options->broker);
  provision.command->add_option("--authority", provision.options->authority, "Folder of the fleet's authority")
      ->required();
  provision.command->add_option("--seconds", provision.options->seconds, "End after this many seconds");
  provision.command->callback(
      [=, &chosen] { chosen = [=] { return provision_command(*provision.fleet, *provision.options); }; });
}

void add_serve(CLI::App& group, Chosen& chosen) {
  auto serve = describe<ServeOptions>(group, "serve", "Give devices the files that they ask for, until Ctrl-C");
  auto& options = *serve.options;
  options.broker.client_id = "wayside-server-1";
  describe_broker(*serve.command, options.broker);
  serve.command->add_option("--repository", options.repository, "Folder with what was pushed")->required();
  serve.command->add_option("--group", options.group,
                            "Servers of one group share the work (default: blob-servers); '': one server, for brokers "
                            "without shared subscriptions");
  serve.command->add_option("--seconds", options.seconds, "End after this many seconds");
  serve.command->callback([=, &chosen] { chosen = [=] { return serve_command(*serve.fleet, *serve.options); }; });
}

void add_push(CLI::App& group, Chosen& chosen) {
  auto push = describe<PushOptions>(group, "push", "Roll a model out in waves, and watch it");
  auto& command = *push.command;
  auto& options = *push.options;
  describe_broker(command, options.broker);
  command.add_option("package", options.target, "Signed package file, or the manifest's SHA-256 of one pushed before")
      ->required();
  command
      .add_option("--trust", options.roots, "Root document that devices trust; with all its successors, oldest first")
      ->required()
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--sign", options.keys, "Private key (PEM) that may sign roll-outs; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command.add_option(
      "--repository", options.repository,
      "Folder of the chunk servers: the files are put there, and what each device fetches is worked out");
  command.add_flag("--offline", options.offline, "Price by what devices said last, without asking the broker");
  command.add_option("--group", options.group, "Only this group");
  command.add_option("--where", options.where, "Only with these labels: board=pi5,site!=lab");
  command.add_option("--id", options.id, "Name of the roll-out (default: from model, version and time)");
  command.add_option("--waves", options.waves_percent, "Cumulative percent (default: 1,10,50,100)")->delimiter(',');
  command
      .add_option("--soak", options.soak_s, "Seconds each wave is watched (default: 600); one value or one per wave")
      ->delimiter(',');
  command.add_option("--max-fail", options.fail_percent, "Halt above this percentage of failures (default: 2)");
  command.add_option("--max-disagree", options.disagree_percent,
                     "Halt above this percentage of disagreement in shadow mode (default: 8)");
  command.add_option("--min-executed", options.min_executed, "... once so many devices have ended (default: 20)");
  command.add_option("--min-success", options.success_percent,
                     "Percentage of a wave needed for the next (default: 95)");
  command.add_option("--max-unreachable", options.unreachable_percent,
                     "A wave with more unreachable devices holds the next (default: 50)");
  command.add_option("--max-in-flight", options.max_in_flight, "Devices updating at the same time (default: 200)");
  command.add_option("--rate", options.starts_per_min, "Devices started per minute (default: 1000)");
  command.add_option("--device-timeout", options.device_timeout_s,
                     "Seconds until a silent device is unreachable (default: 86400)");
  command.add_option("--expires-days", options.expires_days, "End of the signed policy (default: 14)");
  command.add_option("--window", options.windows, "Start devices only in HH:MM-HH:MM UTC; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--max-bytes", options.max_bytes, "A device may not fetch more (default: no bound)");
  command.add_flag("--dry-run", options.dry_run,
                   "Show waves and bytes, start nothing (files are put into --repository)");
  command.add_flag("--detach", options.detach, "Only record it; drive it later with: rollout resume");
  command.callback([=, &chosen] { chosen = [=] { return push_command(*push.fleet, *push.options); }; });
}

template <class Command>
void add_steer(CLI::App& group, const char* name, const char* help, Command command, Chosen& chosen) {
  auto steer = describe<SteerOptions>(group, name, help);
  describe_broker(*steer.command, steer.options->broker);
  steer.command->add_option("id", steer.options->id, "Roll-out")->required();
  steer.command->add_flag("--detach", steer.options->detach, "Only record it, send nothing");
  if (std::string_view(name) == "resume")
    steer.command->add_flag("--overrule", steer.options->overrule,
                            "Go on although a limit was exceeded; results so far are forgiven");
  steer.command->callback([=, &chosen] { chosen = [=] { return command(*steer.fleet, *steer.options); }; });
}

void add_rollout(CLI::App& group, Chosen& chosen) {
  auto* rollout = group.add_subcommand("rollout", "Watch and steer roll-outs");
  rollout->require_subcommand(1);
  auto status = describe<std::string>(*rollout, "status", "Show one roll-out, or list all");
  status.command->add_option("id", *status.options, "Roll-out");
  status.command->callback([=, &chosen] { chosen = [=] { return status_command(*status.fleet, *status.options); }; });
  add_steer(*rollout, "pause", "Start no further device", pause_command, chosen);
  add_steer(*rollout, "resume", "Go on, also after this tool was stopped", resume_command, chosen);
  add_steer(*rollout, "abort", "End for ever; devices that have not begun are left alone", abort_command, chosen);

  struct LogOptions {
    std::string id, device;
  };
  auto logs = describe<LogOptions>(group, "logs", "What happened in a roll-out, and why devices failed");
  logs.command->add_option("id", logs.options->id, "Roll-out")->required();
  logs.command->add_option("--device", logs.options->device, "Only this device");
  logs.command->callback(
      [=, &chosen] { chosen = [=] { return logs_command(*logs.fleet, logs.options->id, logs.options->device); }; });
}

}  // namespace

void add_fleet(CLI::App& app, Chosen& chosen) {
  auto* group = app.add_subcommand("fleet", "Devices, certificates and roll-outs");
  group->require_subcommand(1);
  add_devices(*group, chosen);
  add_identity(*group, chosen);
  add_serve(*group, chosen);
  add_push(*group, chosen);
  add_rollout(*group, chosen);
}

}  // namespace wayside::fleet
