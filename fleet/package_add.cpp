// SPDX-License-Identifier: Apache-2.0
// The package is read and checked whole, and written again with the new file.
#include "fleet/package_add.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <format>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "fleet/signing_files.h"
#include "ota/package/variant_file.h"

namespace wayside::fleet {
namespace {

using ota::Checked;
using ota::Digest;
using ota::Manifest;
using ota::Refusal;
using ota::refuse;

struct AddOptions {
  std::string package, accelerator, file, id, version, golden;
  std::vector<std::string> requirements;
  std::uint64_t p50_us = 0, p99_us = 0;
  std::uint32_t cases = 8, max_abs = 1, mean_abs_milli = 100;
  bool compile = false, json = false;
};

/// "hailort=>=4.20 <4.21"
Checked<ota::Requirements> parse_requirements(const std::vector<std::string>& texts) {
  ota::Requirements out;
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      return refuse(Refusal::bad_requirement, text + ": a requirement looks like 'hailort=>=4.20 <4.21'");
    out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  if (const auto good = ota::check_requirements(out); !good) return std::unexpected(good.error());
  return out;
}

/// The files that come with the variant, by digest.
class NewFiles {
 public:
  Checked<Digest> add(const std::filesystem::path& path) {
    auto file = base::MappedFile::open(path);
    if (!file) return refuse(Refusal::io, path.string() + ": " + file.error().message);
    WAYSIDE_TRY_IO(const Digest digest, ota::sha256_of(file->bytes()));
    files_.try_emplace(digest, std::move(*file));
    return digest;
  }
  [[nodiscard]] const std::map<Digest, base::MappedFile>& files() const { return files_; }

 private:
  std::map<Digest, base::MappedFile> files_;
};

/// Empty where the package's own is to serve.
Checked<std::optional<ota::Golden>> golden_of(const AddOptions& options, NewFiles& files) {
  if (options.golden.empty()) return std::nullopt;
  const std::filesystem::path folder = options.golden;
  const auto inputs = files.add(folder / "golden.in");
  if (!inputs) return std::unexpected(inputs.error());
  const auto outputs = files.add(folder / "golden.out");
  if (!outputs) return std::unexpected(outputs.error());
  return ota::Golden{.count = options.cases,
                     .inputs = *inputs,
                     .outputs = *outputs,
                     .max_abs = options.max_abs,
                     .mean_abs_milli = options.mean_abs_milli};
}

/// The manifest with the variant in it, and with those files only that something refers to.
Checked<Manifest> with_variant(Manifest manifest, const AddOptions& options, const Digest& digest, NewFiles& files) {
  auto requirements = parse_requirements(options.requirements);
  if (!requirements) return std::unexpected(requirements.error());
  auto golden = golden_of(options, files);
  if (!golden) return std::unexpected(golden.error());
  ota::Variant variant{.id = options.id.empty() ? options.accelerator : options.id,
                       .accelerator = options.accelerator,
                       .file = digest,
                       .requires_ = std::move(*requirements),
                       .compile = options.compile,
                       .limits = {.p50_us = options.p50_us, .p99_us = options.p99_us},
                       .golden = std::move(*golden)};
  std::erase_if(manifest.variants, [&](const auto& old) { return old.id == variant.id; });
  manifest.variants.insert(manifest.variants.begin(), std::move(variant));
  if (!options.version.empty()) manifest.version = options.version;
  for (const auto& [added, file] : files.files()) manifest.files[added] = file.bytes().size();
  const auto referenced = manifest.referenced();
  std::erase_if(manifest.files, [&](const auto& file) { return !referenced.contains(file.first); });
  return Manifest::parse(manifest.serialize());  // what no device would take is not written
}

Checked<Report> add(const AddOptions& options) {
  auto place_of_package = place(options.package);
  if (!place_of_package) return std::unexpected(place_of_package.error());
  auto& [storage, name] = *place_of_package;
  const auto head = ota::read_head(storage, name);
  if (!head) return refuse(head.error().reason, options.package + ": " + head.error().message);
  auto manifest = Manifest::parse(head->manifest);
  if (!manifest) return std::unexpected(manifest.error());
  if (const auto table = ota::check_table(*head, *manifest); !table) return std::unexpected(table.error());
  if (const auto whole = ota::check_contents(storage, name, *head); !whole) return std::unexpected(whole.error());
  NewFiles files;
  const auto digest = files.add(options.file);
  if (!digest) return std::unexpected(digest.error());
  const auto magic = ota::check_variant_file(options.accelerator, options.compile, files.files().at(*digest).bytes());
  if (!magic) return refuse(magic.error().reason, options.file + ": " + magic.error().message);
  const auto wider = with_variant(std::move(*manifest), options, *digest, files);
  if (!wider) return std::unexpected(wider.error());
  const auto old = ota::reader_of(storage, name, *head);
  WAYSIDE_CHECK_IO(ota::write_container(
      storage, name, wider->serialize(), "[]", wider->files, [&](const Digest& wanted, const ota::BlobSink& sink) {
        const auto added = files.files().find(wanted);
        return added == files.files().end() ? old(wanted, sink) : sink(added->second.bytes());
      }));
  return Report{.json = {{"package", options.package}, {"variants", wider->variants.size()}, {"file", digest->hex()}},
                .text = std::format("{}: {} variants, {} first; not signed any more: wayside package sign\n",
                                    options.package, wider->variants.size(), wider->variants.front().id)};
}

}  // namespace

void add_package_add(CLI::App& package, std::function<int()>& chosen) {
  auto* command = package.add_subcommand("add", "Add a compiled model (.hef, .rknn, engine) as a variant");
  auto options = std::make_shared<AddOptions>();
  command->add_option("package", options->package, "Package file; is written again, without signatures")->required();
  command->add_option("--accelerator", options->accelerator, "hailo8, rk3588, tensorrt, ...")->required();
  command->add_option("--file", options->file, "The compiled model")->required();
  command->add_option("--requires", options->requirements,
                      "Runtime that it needs: 'hailort=>=4.20 <4.21'; may be repeated");
  command->add_option("--id", options->id, "Name of the variant (default: the accelerator's)");
  command->add_option("--model-version", options->version, "New version of the model (default: as it is)");
  command->add_option("--p50-us", options->p50_us, "Limit of the median time, checked on the board (0: none)");
  command->add_option("--p99-us", options->p99_us, "Limit of the 99th percentile (0: none)");
  command->add_option("--golden", options->golden,
                      "Folder with its own golden.in and golden.out, where its tensors are not the CPU model's");
  command->add_option("--golden-cases", options->cases, "Cases in them (8)")->check(CLI::Range(1U, 1024U));
  command
      ->add_option("--golden-max-abs", options->max_abs,
                   "Largest difference of an output that passes, in steps; float: thousandths (1)")
      ->check(CLI::Range(0U, 255U));
  command
      ->add_option("--golden-mean-abs-milli", options->mean_abs_milli,
                   "Largest mean difference, in thousandths of those (100)")
      ->check(CLI::Range(0U, 255'000U));
  command->add_flag("--compile", options->compile, "The board compiles: an .onnx file for tensorrt");
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->callback([=, &chosen] { chosen = [=] { return report(options->json, [&] { return add(*options); }); }; });
}

}  // namespace wayside::fleet
