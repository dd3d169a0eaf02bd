// SPDX-License-Identifier: Apache-2.0
// Devices and certificates on the command line.
#include "fleet/commands/devices.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <format>
#include <nlohmann/json.hpp>

#include "base/unique_fd.h"
#include "fleet/commands/stop_signal.h"
#include "fleet/identity/provisioning.h"
#include "fleet/inventory.h"
#include "ota/enrolment/enrolment.h"

namespace wayside::fleet {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Json = nlohmann::json;

Json to_json(const Device& device) {
  Json json = {{"id", device.id},
               {"state", to_string(device.state)},
               {"labels", device.labels},
               {"groups", device.groups},
               {"certificate_sha256", device.certificate_sha256},
               {"enrolled_unix_s", device.enrolled_unix_s},
               {"seen_unix_s", nullptr}};
  if (device.seen_unix_s) json["seen_unix_s"] = *device.seen_unix_s;
  return json;
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const auto& word : words) all += (all.empty() ? "" : ",") + word;
  return all.empty() ? "-" : all;
}

std::string joined(const Labels& labels) {
  std::vector<std::string> words;
  for (const auto& [key, value] : labels) words.push_back(key + "=" + value);
  return joined(words);
}

Result<void> write_new(const std::filesystem::path& path, const std::string& text, mode_t mode) {
  const base::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd.valid()) return base::fail_errno(path.string());
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return base::fail_errno(path.string());
  return {};
}

Result<void> write_identity(const std::filesystem::path& folder, const std::string& name, const Identity& identity) {
  WAYSIDE_CHECK(write_new(folder / (name + ".key"), identity.key_pem, 0600));
  return write_new(folder / (name + ".crt"), identity.certificate_pem, 0644);
}

Result<Labels> parse_labels(const std::vector<std::string>& texts) {
  Labels labels;
  for (const auto& text : texts) {
    const auto sign = text.find('=');
    if (sign == std::string::npos || sign == 0)
      return fail(Code::invalid_argument, std::format("--label {}: write key=value", text));
    labels[text.substr(0, sign)] = text.substr(sign + 1);
  }
  return labels;
}

Result<Device> enroll(const FleetOptions& fleet, const EnrollOptions& options) {
  Device device{.id = options.id, .groups = options.groups, .enrolled_unix_s = unix_now()};
  WAYSIDE_TRY(device.labels, parse_labels(options.labels));
  WAYSIDE_TRY(const auto path, database_path(fleet));
  WAYSIDE_TRY(auto database, open_fleet_database(path));
  Inventory inventory(database);
  if (const auto before = inventory.find(options.id); before && before->state == DeviceState::enrolled)
    return fail(Code::bad_state,
                std::format("device {} is enrolled; revoke it first if its board was replaced", options.id));
  WAYSIDE_CHECK(inventory.put(device));
  if (options.authority.empty()) return inventory.find(options.id);
  WAYSIDE_TRY(const auto authority, Authority::open(options.authority));
  WAYSIDE_TRY(const auto identity, authority.issue(Purpose::device, options.id));
  WAYSIDE_CHECK(write_identity(options.out, options.id, identity));
  WAYSIDE_TRY(device.certificate_sha256, fingerprint(identity.certificate_pem));
  device.state = DeviceState::enrolled;
  WAYSIDE_CHECK(inventory.put(device));
  return inventory.find(options.id);
}

Result<std::vector<Device>> list(const FleetOptions& fleet, const ListOptions& options) {
  WAYSIDE_TRY(const auto path, database_path(fleet));
  WAYSIDE_TRY(auto database, open_fleet_database(path));
  return Inventory(database).select({.group = options.group, .condition = options.where});
}

Result<Device> find(const FleetOptions& fleet, const std::string& id, bool revoke) {
  WAYSIDE_TRY(const auto path, database_path(fleet));
  WAYSIDE_TRY(auto database, open_fleet_database(path));
  Inventory inventory(database);
  if (revoke) WAYSIDE_CHECK(inventory.revoke(id));
  return inventory.find(id);
}

void print(const Device& device) {
  std::printf("%-24s %-9s groups %s labels %s\n", device.id.c_str(), std::string(to_string(device.state)).c_str(),
              joined(device.groups).c_str(), joined(device.labels).c_str());
}

int print_or_complain(const FleetOptions& fleet, const Result<Device>& device) {
  if (!device) return complain(device.error());
  if (fleet.json)
    std::puts(to_json(*device).dump().c_str());
  else
    print(*device);
  return 0;
}

Result<void> make_authority(const AuthorityOptions& options) {
  WAYSIDE_TRY(const auto authority, Authority::create(options.folder, options.for_claims ? "claims" : "fleet"));
  const std::filesystem::path folder(options.folder);
  if (!options.broker_names.empty()) {
    WAYSIDE_TRY(const auto broker, authority.issue(Purpose::broker, "broker", options.broker_names));
    WAYSIDE_CHECK(write_identity(folder, "broker", broker));
  }
  // One name is one connection (packaging/mosquitto/wayside.conf): whoever serves or watches beside the tool has its
  // own.
  std::vector<std::string> names{"wayside-operator"};
  if (!options.for_claims) names.insert(names.end(), {"wayside-monitor", "wayside-server-1", "wayside-server-2"});
  for (const auto& name : names) {
    WAYSIDE_TRY(const auto identity, authority.issue(Purpose::operator_tool, name));
    WAYSIDE_CHECK(write_identity(folder, name, identity));
  }
  if (!options.for_claims) return {};
  WAYSIDE_TRY(const auto claim, authority.issue(Purpose::device, options.claim));
  return write_identity(folder, options.claim, claim);
}

Result<unsigned> serve_provisioning(const FleetOptions& fleet, const ProvisionOptions& options) {
  WAYSIDE_TRY(const auto path, database_path(fleet));
  WAYSIDE_TRY(auto database, open_fleet_database(path));
  Inventory inventory(database);
  WAYSIDE_TRY(const auto authority, Authority::open(options.authority));
  ProvisioningDesk desk(inventory, authority);
  WAYSIDE_TRY(auto client, base::mqtt::Client::create(options.broker.client()));
  const auto filter = ota::enrolment_request_topic(options.broker.root, "+");
  client->subscribe(filter, 1);
  const auto prefix = filter.size() - std::string_view("+/csr").size();
  auto& clock = base::Clock::real();
  const auto end =
      options.seconds == 0 ? base::MonotonicTime::max() : clock.now() + std::chrono::seconds(options.seconds);
  unsigned granted = 0;
  while (!stop_requested() && clock.now() < end) {
    const auto event = client->wait(std::min(end, clock.now() + std::chrono::milliseconds(200)));
    if (!event) continue;
    if (event->kind == base::mqtt::Event::Kind::connect_failed)
      std::fprintf(stderr, "wayside fleet provision: %s: %s\n", client->address().c_str(), event->detail.c_str());
    const auto& topic = event->message.topic;
    if (event->kind != base::mqtt::Event::Kind::message || topic.size() < filter.size()) continue;
    const auto claim = topic.substr(prefix, topic.size() - prefix - std::string_view("/csr").size());
    const auto reply = desk.answer(claim, event->message.payload, unix_now());
    if (reply.device.empty()) continue;
    granted += reply.granted ? 1 : 0;
    std::printf("%s %s (claim %s)\n", reply.granted ? "provisioned" : "refused", reply.device.c_str(), claim.c_str());
    std::fflush(stdout);
    WAYSIDE_CHECK(client->publish(base::mqtt::json_message(
        ota::enrolment_reply_topic(options.broker.root, claim, reply.device), reply.payload, 1, false)));
  }
  client->close(std::chrono::seconds(2));
  return granted;
}

}  // namespace

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

int enroll_command(const FleetOptions& fleet, const EnrollOptions& options) {
  return print_or_complain(fleet, enroll(fleet, options));
}

int list_command(const FleetOptions& fleet, const ListOptions& options) {
  const auto devices = list(fleet, options);
  if (!devices) return complain(devices.error());
  if (fleet.json) {
    Json all = Json::array();
    for (const auto& device : *devices) all.push_back(to_json(device));
    std::puts(all.dump().c_str());
    return 0;
  }
  for (const auto& device : *devices) print(device);
  std::printf("%zu devices\n", devices->size());
  return 0;
}

int show_command(const FleetOptions& fleet, const std::string& id) {
  return print_or_complain(fleet, find(fleet, id, false));
}

int revoke_command(const FleetOptions& fleet, const std::string& id) {
  const auto device = find(fleet, id, true);
  if (device && !fleet.json)
    std::puts("revoked: it gets no update any more; put its certificate on the broker's crlfile to cut it off");
  return print_or_complain(fleet, device);
}

int authority_command(const FleetOptions& fleet, const AuthorityOptions& options) {
  if (const auto made = make_authority(options); !made) return complain(made.error());
  if (fleet.json)
    std::puts(Json{{"folder", options.folder}}.dump().c_str());
  else
    std::printf("authority in %s; keep ca.key offline, copy ca.crt, broker.crt and broker.key to the broker\n",
                options.folder.c_str());
  return 0;
}

int provision_command(const FleetOptions& fleet, const ProvisionOptions& options) {
  stop_on_signals();
  const auto granted = serve_provisioning(fleet, options);
  if (!granted) return complain(granted.error());
  if (fleet.json) std::puts(Json{{"granted", *granted}}.dump().c_str());
  return 0;
}

}  // namespace wayside::fleet
