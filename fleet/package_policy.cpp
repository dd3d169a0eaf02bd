// SPDX-License-Identifier: Apache-2.0
// One wave, all devices.
#include "fleet/package_policy.h"

#include <CLI/CLI.hpp>
#include <format>
#include <memory>

#include "fleet/signed_package.h"

namespace wayside::fleet {
namespace {

constexpr std::int64_t kDay_s = 86'400;

struct Options {
  std::string package, out;
  std::vector<std::string> roots, keys;
  std::int64_t valid_days = 30;
  bool json = false;
};

ota::Checked<Report> make(const Options& options) {
  const auto root = read_roots(options.roots);
  if (!root) return std::unexpected(root.error());
  const auto now = now_unix_s();
  const auto package = open_package(options.package, *root, now);
  if (!package) return std::unexpected(package.error());
  const auto& manifest = package->manifest;
  ota::RolloutPolicy policy{.id = std::format("stick-{}", package->digest.hex().substr(0, 24)),
                            .role = manifest.role,
                            .target_name = manifest.name,
                            .target_version = manifest.version,
                            .manifest_sha256 = package->digest.hex(),
                            .waves = {{.permille = 1000}},
                            .expires_unix_s = now + options.valid_days * kDay_s};
  const auto text = sign_policy(policy, options.keys, *root);
  if (!text) return std::unexpected(text.error());
  const auto out = options.out.empty()
                       ? std::filesystem::path(options.package).replace_extension(".policy.json").string()
                       : options.out;
  if (const auto written = write_text(out, *text); !written) return std::unexpected(written.error());
  return Report{.json = {{"policy", out}, {"id", policy.id}, {"expires_unix_s", policy.expires_unix_s}},
                .text = std::format("{}: every device may take {} {} within {} days; it belongs beside the package\n",
                                    out, manifest.name, manifest.version, options.valid_days)};
}

}  // namespace

void add_package_policy(CLI::App& package, std::function<int()>& chosen) {
  auto* command = package.add_subcommand("policy", "Sign the permission that a package on a USB stick needs");
  auto options = std::make_shared<Options>();
  command->add_option("package", options->package, "Package file, signed")->required();
  command->add_option("--root", options->roots, "Root documents, oldest first")->required();
  command->add_option("--sign", options->keys, "Private key of the role rollouts (PEM); may be repeated")->required();
  command->add_option("-o,--out", options->out, "File to write (default: NAME.policy.json beside NAME.wmp)");
  command->add_option("--valid-days", options->valid_days, "Days until it expires")->check(CLI::Range(1, 3650));
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->callback([=, &chosen] { chosen = [=] { return report(options->json, [&] { return make(*options); }); }; });
}

}  // namespace wayside::fleet
