// SPDX-License-Identifier: Apache-2.0
// Checks the package, cuts the waves, asks what devices have, prices, signs, starts.
#include "fleet/commands/push.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <optional>

#include "base/clock.h"
#include "fleet/commands/rollout_view.h"
#include "fleet/commands/rollouts.h"
#include "fleet/cost/inventory_reader.h"
#include "fleet/cost/publisher.h"
#include "fleet/inventory.h"
#include "fleet/signed_package.h"
#include "ota/package/trust.h"

namespace wayside::fleet {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::int64_t kDay_s = 86'400;
/// How long devices' inventories are waited for after the last one came.
constexpr std::chrono::milliseconds kQuiet{500};

/// What is rolled out: signed and checked.
struct Payload {
  ota::Manifest manifest;
  std::string sha256, envelope;
  std::optional<SignedPackage> package;  ///< nothing: known from an earlier push
};

std::uint32_t permille(double percent) {
  return static_cast<std::uint32_t>(std::lround(std::clamp(percent, 0.0, 1000.0) * 10));
}

template <class T>
Result<T> checked(ota::Checked<T> value) {
  if (!value) return fail(Code::invalid_argument, ota::describe(value.error()));
  return std::move(*value);
}

Result<Payload> open_target(const PushOptions& options, const ota::Root& root, RolloutStore& store) {
  if (!ota::Digest::parse(options.target)) {
    WAYSIDE_TRY(auto package, checked(open_package(options.target, root, unix_now())));
    return Payload{package.manifest, package.digest.hex(), package.envelope, std::move(package)};
  }
  WAYSIDE_TRY(auto text, store.manifest(options.target));
  if (text.empty())
    return fail(Code::not_found, std::format("manifest {} was not pushed with this database yet; give the package file",
                                             options.target));
  WAYSIDE_TRY(const auto envelope, checked(ota::Envelope::parse(text)));
  WAYSIDE_TRY(auto manifest, checked(ota::verify_manifest(envelope, root, unix_now())));
  return Payload{std::move(manifest), options.target, std::move(text), std::nullopt};
}

Result<ota::RolloutPolicy> make_policy(const PushOptions& options, const Payload& payload, std::int64_t now) {
  const auto& manifest = payload.manifest;
  ota::RolloutPolicy policy;
  policy.id = options.id.empty() ? std::format("{}-{}-{}", manifest.name, manifest.version, now) : options.id;
  policy.role = manifest.role;
  policy.target_name = manifest.name;
  policy.target_version = manifest.version;
  policy.manifest_sha256 = payload.sha256;
  for (std::size_t i = 0; i < options.waves_percent.size(); ++i) {
    const auto soak_s = options.soak_s.empty() ? 0 : options.soak_s[std::min(i, options.soak_s.size() - 1)];
    policy.waves.push_back({.permille = permille(options.waves_percent[i]), .soak_s = soak_s});
  }
  policy.halt = {.fail_permille = permille(options.fail_percent),
                 .min_executed = options.min_executed,
                 .disagree_permille = permille(options.disagree_percent),
                 .unreachable_permille = permille(options.unreachable_percent)};
  policy.success_permille = permille(options.success_percent);
  policy.max_in_flight = options.max_in_flight;
  policy.starts_per_min = options.starts_per_min;
  policy.device_timeout_s = options.device_timeout_s;
  policy.not_before_unix_s = now;
  policy.expires_unix_s = now + options.expires_days * kDay_s;
  policy.max_bytes = options.max_bytes;
  for (const auto& text : options.windows) {
    WAYSIDE_TRY(const auto window, ota::parse_day_window(text));
    policy.windows.push_back(window);
  }
  WAYSIDE_CHECK(ota::check(policy));
  return policy;
}

Result<std::vector<std::string>> cohort(Inventory& inventory, const PushOptions& options) {
  WAYSIDE_TRY(const auto devices, inventory.select({.group = options.group, .condition = options.where}));
  std::vector<std::string> ids;
  for (const auto& device : devices) {
    if (device.state != DeviceState::revoked) ids.push_back(device.id);
  }
  if (ids.empty()) return fail(Code::not_found, "no device is selected; see: wayside fleet list, and --group, --where");
  return ids;
}

/// Files into the repository, and what fetching them will cost; nothing without a repository.
Result<std::optional<CostPreview>> prepare_files(const PushOptions& options, Payload& payload, Inventory& inventory,
                                                 const std::vector<std::string>& ids) {
  if (options.repository.empty()) return std::optional<CostPreview>();
  if (!options.offline) {
    const auto read = read_inventories(options.broker.client(), options.broker.root, inventory, ids, kQuiet);
    if (!read) std::fprintf(stderr, "wayside fleet: %s; going by what is known\n", read.error().message.c_str());
  }
  WAYSIDE_TRY(const auto devices, known_devices(inventory, ids));
  WAYSIDE_TRY(auto storage, base::DiskStorage::open(options.repository));
  ota::Repository repository(storage);
  if (payload.package) {
    auto& package = *payload.package;
    const auto read = ota::reader_of(package.file.storage, package.file.name, package.head);
    WAYSIDE_CHECK(publish_package(package.head, package.manifest, read, devices, repository));
  }
  WAYSIDE_TRY(auto preview, preview_cost(payload.manifest, devices, repository, options.max_bytes));
  return std::optional(std::move(preview));
}

Result<int> push(const FleetOptions& fleet, const PushOptions& options) {
  WAYSIDE_TRY(auto opened, open_fleet(fleet));
  RolloutStore store(opened.database);
  Inventory inventory(opened.database);
  WAYSIDE_TRY(const auto root, checked(read_roots(options.roots)));
  WAYSIDE_TRY(auto payload, open_target(options, root, store));
  const auto now = unix_now();
  WAYSIDE_TRY(auto policy, make_policy(options, payload, now));
  WAYSIDE_TRY(const auto devices, cohort(inventory, options));
  ota::cut_waves(policy, devices);
  std::string signed_policy;
  if (!options.dry_run) {
    WAYSIDE_TRY(signed_policy, checked(sign_policy(policy, options.keys, root)));
  }
  WAYSIDE_TRY(const auto cost, prepare_files(options, payload, inventory, devices));
  if (options.dry_run || !fleet.json) std::puts(plan_text(policy, devices, cost, fleet.json).c_str());
  if (options.dry_run) return 0;
  std::fflush(stdout);
  WAYSIDE_CHECK(store.put_manifest(payload.sha256, payload.envelope));
  WAYSIDE_CHECK(store.create(policy, signed_policy, devices, now));
  if (options.detach) return print_status(opened, fleet, policy.id);
  return drive_and_report(opened, fleet, options.broker, policy.id);
}

}  // namespace

int push_command(const FleetOptions& fleet, const PushOptions& options) {
  const auto code = push(fleet, options);
  return code ? *code : complain(code.error());
}

}  // namespace wayside::fleet
