// SPDX-License-Identifier: Apache-2.0
// Making, signing, checking and showing model packages.
#include "fleet/package_command.h"

#include <CLI/CLI.hpp>
#include <format>
#include <memory>

#include "base/mapped_file.h"
#include "fleet/package_add.h"
#include "fleet/package_policy.h"
#include "fleet/sibling_program.h"
#include "fleet/signed_package.h"
#include "ota/package/canonical_json.h"
#include "ota/package/trust.h"

namespace wayside::fleet {
namespace {

using Json = nlohmann::json;
using ota::Checked;
using ota::Digest;
using ota::Manifest;
using ota::Refusal;
using ota::refuse;

struct MakeOptions {
  std::string recipe, out;
  std::int64_t issued_unix_s = 0, valid_days = 180;
  bool json = false;
};

struct SignOptions {
  std::string package;
  std::vector<std::string> keys;
  bool json = false;
};

struct VerifyOptions {
  std::string package, board;
  std::vector<std::string> roots, runtimes;
  std::int64_t now_unix_s = 0, counter_floor = 0;
  bool json = false;
};

struct ShowOptions {
  std::string package, envelope;
  bool json = false;
};

/// The files of a recipe, by digest.
using Sources = std::map<Digest, std::filesystem::path>;

/// Replaces the path at json[key] by the digest of the file.
Checked<void> take_file(Json& json, const char* key, const std::filesystem::path& folder, Json& files,
                        Sources& sources) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_string()) {
    return refuse(Refusal::missing_field, std::format("the recipe lacks the file \"{}\"", key));
  }
  const auto path = folder / json[key].get<std::string>();
  const auto file = base::MappedFile::open(path);
  if (!file) return refuse(Refusal::io, path.string() + ": " + file.error().message);
  WAYSIDE_TRY_IO(const Digest digest, ota::sha256_of(file->bytes()));
  json[key] = digest.hex();
  files[digest.hex()] = file->bytes().size();
  sources[digest] = path;
  return {};
}

Checked<void> take_golden(Json& golden, const std::filesystem::path& folder, Json& files, Sources& sources) {
  for (const char* key : {"inputs", "outputs"}) {
    if (const auto done = take_file(golden, key, folder, files, sources); !done) return std::unexpected(done.error());
  }
  return {};
}

/// A recipe is a manifest with paths instead of digests, and without what can be computed or has a default.
Checked<Json> complete(const Json& recipe, const std::filesystem::path& folder, Sources& sources) {
  if (!recipe.is_object()) return refuse(Refusal::wrong_field_type, "the recipe is not an object");
  const bool firmware = recipe.value("role", Json()) == Json(ota::kFirmwareRole);
  Manifest defaults{.variants = {ota::Variant{}}, .postprocess = {.decoder = "raw"}};
  if (firmware) {
    defaults.role = ota::kFirmwareRole;
    defaults.variants.front().accelerator = ota::kFirmwareInstaller;
  }
  Json json = Json::parse(defaults.serialize());
  const Json variant = json["variants"][0], golden = firmware ? Json() : json["golden"];
  json["files"] = Json::object();
  json.merge_patch(recipe);
  if (!json["variants"].is_array()) return refuse(Refusal::wrong_field_type, "the recipe's variants are not a list");
  for (Json& one : json["variants"]) {
    Json whole = variant;
    whole.merge_patch(one);
    one = std::move(whole);
    if (const auto done = take_file(one, "file", folder, json["files"], sources); !done) {
      return std::unexpected(done.error());
    }
    if (firmware || !one.contains("golden")) continue;
    Json own = golden;
    own.merge_patch(one["golden"]);
    one["golden"] = std::move(own);
    if (const auto done = take_golden(one["golden"], folder, json["files"], sources); !done)
      return std::unexpected(done.error());
  }
  if (firmware) return json;
  if (const auto done = take_golden(json["golden"], folder, json["files"], sources); !done)
    return std::unexpected(done.error());
  if (json.contains("card")) {
    const auto done = take_file(json, "card", folder, json["files"], sources);
    if (!done) return std::unexpected(done.error());
  }
  return json;
}

Checked<Report> make(const MakeOptions& options) {
  const auto text = read_text(options.recipe);
  if (!text) return std::unexpected(text.error());
  const auto recipe = ota::parse_bounded(*text);
  if (!recipe) return refuse(recipe.error().reason, options.recipe + ": " + recipe.error().message);
  Sources sources;
  auto json = complete(*recipe, std::filesystem::path(options.recipe).parent_path(), sources);
  if (!json) return std::unexpected(json.error());
  const auto issued = options.issued_unix_s != 0 ? options.issued_unix_s : now_unix_s();
  (*json)["issued_unix_s"] = issued;
  (*json)["expires_unix_s"] = issued + options.valid_days * 86'400;
  const auto body = ota::canonical(*json);
  const auto manifest = Manifest::parse(body);
  if (!manifest) return refuse(manifest.error().reason, options.recipe + ": " + manifest.error().message);
  auto out = place(options.out);
  if (!out) return std::unexpected(out.error());
  WAYSIDE_CHECK_IO(ota::write_container(out->storage, out->name, body, "[]", manifest->files,
                                        [&](const Digest& digest, const ota::BlobSink& sink) -> base::Result<void> {
                                          WAYSIDE_TRY(const auto file, base::MappedFile::open(sources.at(digest)));
                                          return sink(file.bytes());
                                        }));
  WAYSIDE_TRY_IO(const Digest digest, ota::sha256_of(std::as_bytes(std::span(body))));
  return Report{
      .json = {{"package", options.out},
               {"manifest_sha256", digest.hex()},
               {"files", manifest->files.size()},
               {"bytes", manifest->total_bytes()}},
      .text = std::format("{}: {} {}, {} variants, {} files, {} bytes; not signed yet: wayside package sign\n",
                          options.out, manifest->name, manifest->version, manifest->variants.size(),
                          manifest->files.size(), manifest->total_bytes())};
}

Checked<std::vector<ota::KeySignature>> signatures_of(const ota::ContainerHead& head) {
  if (head.signatures == "[]") return std::vector<ota::KeySignature>{};
  return ota::parse_signatures(head.signatures);
}

Checked<Report> sign(const SignOptions& options) {
  auto file = place(options.package);
  if (!file) return std::unexpected(file.error());
  const auto head = ota::read_head(file->storage, file->name);
  if (!head) return refuse(head.error().reason, options.package + ": " + head.error().message);
  const auto manifest = Manifest::parse(head->manifest);  // nobody shall sign what no device would take
  if (!manifest) return std::unexpected(manifest.error());
  if (const auto table = ota::check_table(*head, *manifest); !table) return std::unexpected(table.error());
  if (const auto whole = ota::check_contents(file->storage, file->name, *head); !whole) {
    return std::unexpected(whole.error());
  }
  auto signatures = signatures_of(*head);
  if (!signatures) return std::unexpected(signatures.error());
  for (const auto& path : options.keys) {
    const auto key = read_secret_key(path);
    if (!key) return std::unexpected(key.error());
    WAYSIDE_TRY_IO(const auto signature, ota::sign_document(*key, manifest->type(), head->manifest));
    std::erase_if(*signatures, [&](const auto& each) { return each.key_id == signature.key_id; });
    signatures->push_back(signature);
  }
  WAYSIDE_CHECK_IO(ota::write_container(file->storage, file->name, head->manifest,
                                        ota::serialize_signatures(*signatures), manifest->files,
                                        ota::reader_of(file->storage, file->name, *head)));
  return Report{.json = {{"package", options.package}, {"signatures", signatures->size()}},
                .text = std::format("{}: signed by {} keys\n", options.package, signatures->size())};
}

/// "hailo8:hailort=4.20.0,x=y" as a probed runtime.
Checked<ota::Runtime> parse_runtime(std::string_view text) {
  ota::Runtime runtime;
  const auto colon = std::min(text.find(':'), text.size());
  runtime.accelerator = text.substr(0, colon);
  text.remove_prefix(std::min(colon + 1, text.size()));
  while (!text.empty()) {
    const auto part = text.substr(0, text.find(','));
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) {
      return refuse(Refusal::bad_requirement, "a runtime looks like: hailo8:hailort=4.20.0,firmware=4.20.0");
    }
    runtime.versions[std::string(part.substr(0, equals))] = part.substr(equals + 1);
    text.remove_prefix(std::min(part.size() + 1, text.size()));
  }
  return runtime;
}

Checked<Report> verify(const VerifyOptions& options) {
  const auto root = read_roots(options.roots);
  if (!root) return std::unexpected(root.error());
  const auto now = options.now_unix_s != 0 ? options.now_unix_s : now_unix_s();
  const auto package = open_package(options.package, *root, now);
  if (!package) return std::unexpected(package.error());
  const auto* manifest = &package->manifest;
  std::string variant;
  if (!options.board.empty() || !options.runtimes.empty()) {
    ota::DeviceFacts device{
        .board = options.board,
        .counter_floor = static_cast<std::uint64_t>(std::max<std::int64_t>(options.counter_floor, 0))};
    for (const auto& text : options.runtimes) {
      auto runtime = parse_runtime(text);
      if (!runtime) return std::unexpected(runtime.error());
      device.runtimes.push_back(std::move(*runtime));
    }
    const auto chosen = ota::choose_variant(*manifest, device);
    if (!chosen) return std::unexpected(chosen.error());
    variant = (*chosen)->id;
  }
  return Report{.json = {{"package", options.package},
                         {"name", manifest->name},
                         {"version", manifest->version},
                         {"security_counter", manifest->security_counter},
                         {"root_version", root->version},
                         {"variant", variant}},
                .text = std::format("{}: good: {} {}, counter {}, root {}{}{}\n", options.package, manifest->name,
                                    manifest->version, manifest->security_counter, root->version,
                                    variant.empty() ? "" : ", variant ", variant)};
}

Checked<Report> show(const ShowOptions& options) {
  auto file = place(options.package);
  if (!file) return std::unexpected(file.error());
  const auto head = ota::read_head(file->storage, file->name);
  if (!head) return refuse(head.error().reason, options.package + ": " + head.error().message);
  const auto manifest = ota::parse_canonical(head->manifest);
  if (!manifest) return std::unexpected(manifest.error());
  const auto signatures = signatures_of(*head);
  if (!signatures) return std::unexpected(signatures.error());
  WAYSIDE_TRY_IO(const Digest digest, ota::sha256_of(std::as_bytes(std::span(head->manifest))));
  if (!options.envelope.empty()) {
    const ota::Envelope envelope{std::string(ota::claimed_type(head->manifest)), head->manifest, *signatures};
    const auto written = write_text(options.envelope, envelope.serialize());
    if (!written) return std::unexpected(written.error());
  }
  Json keys = Json::array();
  for (const auto& signature : *signatures) keys.push_back(signature.key_id.hex());
  Report result{.json = {{"manifest", *manifest}, {"manifest_sha256", digest.hex()}, {"signed_by", keys}}};
  result.text = result.json.dump(2) + "\n(shown as it is; wayside package verify checks it)\n";
  return result;
}

void add_make(CLI::App& package, std::function<int()>& chosen) {
  auto* command = package.add_subcommand("make", "Make a package from a recipe (docs/formats/package.md)");
  auto options = std::make_shared<MakeOptions>();
  command->add_option("recipe", options->recipe, "JSON: a manifest with file names instead of hashes")->required();
  command->add_option("-o,--out", options->out, "Package file to write")->required();
  command->add_option("--issued", options->issued_unix_s, "Time of issue, seconds since 1970 (default: now)");
  command->add_option("--valid-days", options->valid_days, "Days until it expires")->check(CLI::Range(1, 36'500));
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->callback([=, &chosen] { chosen = [=] { return report(options->json, [&] { return make(*options); }); }; });
}

void add_golden(CLI::App& package, std::function<int()>& chosen) {
  struct Options {
    std::string model, card, out = ".", source;
    unsigned cases = 8;
    bool json = false;
  };
  auto* command = package.add_subcommand("golden", "Make a golden set: what a model answers to pictures of a camera");
  auto options = std::make_shared<Options>();
  command->add_option("model", options->model, "A full-integer .tflite file")->required();
  command->add_option("--card", options->card, "Model card (default: beside the model)");
  command->add_option("-o,--out", options->out, "Folder for golden.in and golden.out (default: here)");
  command->add_option("--source", options->source, "Camera, as in the configuration (default: a synthetic street)");
  command->add_option("--cases", options->cases, "Number of pictures (default: 8)");
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->callback([=, &chosen] {
    chosen = [=] {
      std::vector<std::string> all{"--golden",   options->model,   "--golden-out",
                                   options->out, "--golden-cases", std::to_string(options->cases)};
      if (!options->card.empty()) all.insert(all.end(), {"--golden-card", options->card});
      if (!options->source.empty()) all.insert(all.end(), {"--golden-source", options->source});
      if (options->json) all.emplace_back("--json");
      const auto error = exec_program(kAgentProgram, all);
      std::fprintf(stderr, "wayside: %s\n", error.message.c_str());
      return 1;
    };
  });
}

void add_sign(CLI::App& package, std::function<int()>& chosen) {
  auto* command = package.add_subcommand("sign", "Add signatures to a package");
  auto options = std::make_shared<SignOptions>();
  command->add_option("package", options->package, "Package file")->required();
  command->add_option("--key", options->keys, "Private key (PEM); may be repeated")->required();
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->callback([=, &chosen] { chosen = [=] { return report(options->json, [&] { return sign(*options); }); }; });
}

void add_verify(CLI::App& package, std::function<int()>& chosen) {
  auto* command = package.add_subcommand("verify", "Check a package as a device does");
  auto options = std::make_shared<VerifyOptions>();
  command->add_option("package", options->package, "Package file")->required();
  command->add_option("--root", options->roots, "Root documents, oldest first")->required();
  command->add_option("--board", options->board, "Also choose a variant: name of the board");
  command->add_option("--runtime", options->runtimes, "Also choose a variant: accelerator[:name=version,...]");
  command->add_option("--counter", options->counter_floor, "Security counter that the device has committed");
  command->add_option("--now", options->now_unix_s, "Time to judge by, seconds since 1970 (default: now)");
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->callback([=, &chosen] { chosen = [=] { return report(options->json, [&] { return verify(*options); }); }; });
}

void add_show(CLI::App& package, std::function<int()>& chosen) {
  auto* command = package.add_subcommand("show", "Print what a package says");
  auto options = std::make_shared<ShowOptions>();
  command->add_option("package", options->package, "Package file")->required();
  command->add_option("--envelope", options->envelope, "Also write the signed manifest as it is published to devices");
  command->add_flag("--json", options->json, "Print JSON only");
  command->callback([=, &chosen] { chosen = [=] { return report(options->json, [&] { return show(*options); }); }; });
}

}  // namespace

void add_package(CLI::App& app, std::function<int()>& chosen) {
  auto* package = app.add_subcommand("package", "Model packages: make, golden, add, sign, policy, verify, show");
  package->require_subcommand(1);
  add_make(*package, chosen);
  add_golden(*package, chosen);
  add_package_add(*package, chosen);
  add_sign(*package, chosen);
  add_package_policy(*package, chosen);
  add_verify(*package, chosen);
  add_show(*package, chosen);
}

}  // namespace wayside::fleet
