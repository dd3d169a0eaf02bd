// SPDX-License-Identifier: Apache-2.0
// Keys and root documents.
#include <CLI/CLI.hpp>
#include <format>
#include <memory>

#include "fleet/package_command.h"
#include "fleet/signing_files.h"

namespace wayside::fleet {
namespace {

using ota::Checked;
using ota::Refusal;
using ota::refuse;
using ota::Root;

struct NewOptions {
  std::string name, folder = ".";
  bool json = false;
};

struct RoleOptions {
  std::vector<std::string> keys;
  std::uint32_t threshold = 0;
};

struct RootOptions {
  std::vector<std::string> current;  ///< rotate only: the chain so far
  RoleOptions root, packages, rollouts;
  std::vector<std::string> signers;
  std::string out;
  std::int64_t valid_days = 3650;
  bool json = false;
};

Checked<Report> make_key(const NewOptions& options) {
  WAYSIDE_TRY_IO(const auto secret, ota::SecretKey::generate());
  WAYSIDE_TRY_IO(const auto pem, secret.pem());
  WAYSIDE_TRY_IO(const auto key, secret.public_key());
  const auto base = std::filesystem::path(options.folder) / options.name;
  const auto secret_path = base.string() + ".key.pem";
  const auto public_path = base.string() + ".pub.pem";
  if (const auto done = write_text(secret_path, pem, true); !done) return std::unexpected(done.error());
  if (const auto done = write_text(public_path, key.pem()); !done) return std::unexpected(done.error());
  return Report{.json = {{"key_id", key.id().hex()}, {"private", secret_path}, {"public", public_path}},
                .text = std::format("key {}\nprivate {} (keep it offline)\npublic {}\n", key.id().hex(), secret_path,
                                    public_path)};
}

/// Replaces the role where keys are given; the threshold alone may change too.
Checked<void> change_role(ota::Role& role, const RoleOptions& options) {
  if (!options.keys.empty()) role = ota::Role{};
  for (const auto& path : options.keys) {
    const auto key = read_public_key(path);
    if (!key) return std::unexpected(key.error());
    role.keys.emplace(key->id(), *key);
  }
  if (options.threshold > 0) role.threshold = options.threshold;
  return {};
}

Checked<Report> write_root(Root root, const RootOptions& options, const Root* before) {
  for (const auto& [role, change] : {std::pair{&root.root, &options.root},
                                     {&root.packages, &options.packages},
                                     {&root.rollouts, &options.rollouts}}) {
    if (const auto done = change_role(*role, *change); !done) return std::unexpected(done.error());
  }
  root.issued_unix_s = now_unix_s();
  root.expires_unix_s = root.issued_unix_s + options.valid_days * 86'400;
  ota::Envelope envelope{.type = std::string(ota::kRootType), .body = root.serialize()};
  for (const auto& path : options.signers) {
    const auto key = read_secret_key(path);
    if (!key) return std::unexpected(key.error());
    WAYSIDE_TRY_IO(const auto signature, ota::sign_document(*key, envelope.type, envelope.body));
    std::erase_if(envelope.signatures, [&](const auto& each) { return each.key_id == signature.key_id; });
    envelope.signatures.push_back(signature);
  }
  const auto text = envelope.serialize();
  // What no device would follow is not written.
  const auto checked = before != nullptr ? ota::follow_root(*before, text) : ota::open_first_root(text);
  if (!checked) return std::unexpected(checked.error());
  if (const auto done = write_text(options.out, text); !done) return std::unexpected(done.error());
  return Report{
      .json = {{"root", options.out}, {"version", root.version}, {"signatures", envelope.signatures.size()}},
      .text = std::format("{}: root {}, {} signatures\n", options.out, root.version, envelope.signatures.size())};
}

Checked<Report> rotate(const RootOptions& options) {
  const auto current = read_roots(options.current);
  if (!current) return std::unexpected(current.error());
  if (current->version == UINT32_MAX) return refuse(Refusal::root_version, "no version is left");
  Root next = *current;
  ++next.version;
  return write_root(std::move(next), options, &*current);
}

void add_role(CLI::App& command, const std::string& name, const std::string& what, RoleOptions& role) {
  command.add_option("--" + name, role.keys, "Public keys (PEM) that may sign " + what);
  command.add_option("--" + name + "-threshold", role.threshold, "How many of them must sign")
      ->check(CLI::Range(std::uint32_t{1}, static_cast<std::uint32_t>(ota::kMaxKeys)));
}

void describe_root(CLI::App& command, RootOptions& options) {
  add_role(command, "root", "the next root", options.root);
  add_role(command, "packages", "model packages", options.packages);
  add_role(command, "rollouts", "roll-out policies", options.rollouts);
  command.add_option("--sign", options.signers, "Private keys (PEM) that sign this root")->required();
  command.add_option("-o,--out", options.out, "Root document to write")->required();
  command.add_option("--valid-days", options.valid_days, "Days until it expires")->check(CLI::Range(1, 36'500));
  command.add_flag("--json", options.json, "Print the result as JSON");
}

}  // namespace

void add_keys(CLI::App& app, std::function<int()>& chosen) {
  auto* keys = app.add_subcommand("keys", "Signing keys and the root document that says who may sign what");
  keys->require_subcommand(1);

  auto* fresh = keys->add_subcommand("new", "Make an Ed25519 key: NAME.key.pem and NAME.pub.pem");
  auto new_options = std::make_shared<NewOptions>();
  fresh->add_option("name", new_options->name, "Name of the files")->required();
  fresh->add_option("--dir", new_options->folder, "Folder for them (default: here)");
  fresh->add_flag("--json", new_options->json, "Print the result as JSON");
  fresh->callback(
      [=, &chosen] { chosen = [=] { return report(new_options->json, [&] { return make_key(*new_options); }); }; });

  auto* first = keys->add_subcommand("root", "Make the first root document");
  auto root_options = std::make_shared<RootOptions>();
  describe_root(*first, *root_options);
  first->callback([=, &chosen] {
    chosen = [=] { return report(root_options->json, [&] { return write_root({}, *root_options, nullptr); }); };
  });

  auto* next = keys->add_subcommand("rotate", "Make the next root: old and new holders sign; roles not given stay");
  auto rotate_options = std::make_shared<RootOptions>();
  next->add_option("--current", rotate_options->current, "Root documents so far, oldest first")->required();
  describe_root(*next, *rotate_options);
  next->callback(
      [=, &chosen] { chosen = [=] { return report(rotate_options->json, [&] { return rotate(*rotate_options); }); }; });
}

}  // namespace wayside::fleet
