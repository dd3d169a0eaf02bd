// SPDX-License-Identifier: Apache-2.0
// Manifest::parse: untrusted text to a manifest that is complete, bounded and consistent in itself.
#include <algorithm>
#include <charconv>
#include <format>

#include "ota/package/canonical_json.h"
#include "ota/package/manifest.h"

namespace wayside::ota {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxTime_s = 253'402'300'799;  // 9999-12-31T23:59:59Z, the last time of RFC 3339
constexpr std::int64_t kMaxLimit = std::int64_t{1} << 40;
constexpr std::int64_t kMaxGolden = 4096;
constexpr std::size_t kMaxRequirements = 8;

std::uint32_t small(ObjectReader& reader, const char* key, std::int64_t min, std::int64_t max) {
  return static_cast<std::uint32_t>(reader.integer(key, min, max));
}

/// "3.2.0", "3.2.0-rc1": three dotted numbers, then at will.
bool is_version(std::string_view text) {
  for (int i = 0; i < 3; ++i) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (i == 2) break;
    if (!text.starts_with('.')) return false;
    text.remove_prefix(1);
  }
  return text.empty() || text.front() == '-' || text.front() == '+';
}

void read_files(ObjectReader& reader, Manifest& manifest) {
  const Json* files = reader.object("files", kMaxFiles);
  if (files == nullptr) return;
  for (const auto& [hex, size] : files->items()) {
    const auto digest = Digest::parse(hex);
    if (!digest) return reader.note(Refusal::bad_digest, "files: a name is no SHA-256 in lower-case hex");
    if (!size.is_number_integer()) return reader.note(Refusal::wrong_field_type, "files: a size is no integer");
    const auto bytes = size.get<std::int64_t>();
    if (bytes < 0) return reader.note(Refusal::out_of_range, "files: a size is negative");
    if (static_cast<std::uint64_t>(bytes) > kMaxPackageFileBytes) {
      return reader.note(Refusal::file_too_large,
                         std::format("files: {} bytes, at most {} are allowed", bytes, kMaxPackageFileBytes));
    }
    manifest.files[*digest] = static_cast<std::uint64_t>(bytes);
  }
  if (manifest.total_bytes() > kMaxPackageBytes) {
    reader.note(Refusal::total_too_large, std::format("files: together more than {} bytes", kMaxPackageBytes));
  }
}

Limits read_limits(ObjectReader& outer) {
  Limits limits;
  const Json* json = outer.object("limits", 4);
  if (json == nullptr) return limits;
  ObjectReader reader(*json, "limits");
  limits.p50_us = static_cast<std::uint64_t>(reader.integer("p50_us", 0, kMaxLimit));
  limits.p99_us = static_cast<std::uint64_t>(reader.integer("p99_us", 0, kMaxLimit));
  limits.ram_bytes = static_cast<std::uint64_t>(reader.integer("ram_bytes", 0, kMaxLimit));
  limits.power_mw = static_cast<std::uint64_t>(reader.integer("power_mw", 0, kMaxLimit));
  if (const auto done = reader.finish(); !done) outer.note(done.error());
  return limits;
}

Requirements read_requirements(ObjectReader& outer) {
  Requirements requirements;
  const Json* json = outer.object("requires", kMaxRequirements);
  if (json == nullptr) return requirements;
  for (const auto& [name, value] : json->items()) {
    ObjectReader one(*json, "requires");
    if (name.empty() || name.size() > kMaxTextBytes) outer.note(Refusal::bad_text, "requires: a name is too long");
    requirements[name] = one.text(name.c_str());
    if (!one.good()) outer.note(Refusal::bad_requirement, "requires: a value is no text");
  }
  if (const auto checked = check_requirements(requirements); !checked) outer.note(checked.error());
  return requirements;
}

/// What the system in a bundle has: names and versions, like what a device probes.
std::vector<Runtime> read_provides(ObjectReader& outer) {
  std::vector<Runtime> provides;
  const Json* list = outer.list("provides", kMaxProvides);
  if (list == nullptr) return provides;
  for (const Json& json : *list) {
    ObjectReader reader(json, std::format("provides[{}]", provides.size()));
    Runtime runtime{.accelerator = reader.name("accelerator"), .versions = {}};
    if (const Json* versions = reader.object("versions", kMaxRequirements)) {
      for (const auto& [name, value] : versions->items()) {
        ObjectReader one(*versions, "versions");
        if (name.empty() || name.size() > kMaxTextBytes) reader.note(Refusal::bad_text, "a name is too long");
        runtime.versions[name] = one.text(name.c_str());
        if (!one.good()) reader.note(Refusal::wrong_field_type, "a version is no text");
      }
    }
    provides.push_back(std::move(runtime));
    if (const auto done = reader.finish(); !done) outer.note(done.error());
  }
  return provides;
}

Golden read_golden(ObjectReader& outer) {
  Golden golden;
  const Json* json = outer.object("golden", 5);
  if (json == nullptr) return golden;
  ObjectReader reader(*json, "golden");
  golden.count = small(reader, "count", 0, kMaxGolden);
  golden.inputs = reader.digest("inputs");
  golden.outputs = reader.digest("outputs");
  golden.max_abs = small(reader, "max_abs", 0, 255);
  golden.mean_abs_milli = small(reader, "mean_abs_milli", 0, 255'000);
  if (golden.count == 0) reader.note(Refusal::no_golden_set, "has no inputs: nobody could tell whether it works");
  if (const auto done = reader.finish(); !done) outer.note(done.error());
  return golden;
}

Variant read_variant(ObjectReader& reader, bool firmware) {
  Variant variant{.id = reader.name("id"),
                  .accelerator = reader.name("accelerator"),
                  .file = reader.digest("file"),
                  .requires_ = read_requirements(reader)};
  if (firmware) {
    variant.provides = read_provides(reader);
  } else {
    variant.compile = reader.boolean("compile");
    variant.limits = read_limits(reader);
    if (reader.has("golden")) variant.golden = read_golden(reader);
  }
  if (firmware != (variant.accelerator == kFirmwareInstaller)) {
    reader.note(Refusal::out_of_range, std::format("{} installs firmware, and nothing else does", kFirmwareInstaller));
  }
  return variant;
}

void read_variants(ObjectReader& outer, Manifest& manifest) {
  const Json* list = outer.list("variants", kMaxVariants);
  if (list == nullptr) return;
  for (const Json& json : *list) {
    ObjectReader reader(json, std::format("variants[{}]", manifest.variants.size()));
    Variant variant = read_variant(reader, manifest.is_firmware());
    if (manifest.find_variant(variant.id) != nullptr) {
      reader.note(Refusal::duplicate_variant, std::format("id {} is used twice", variant.id));
    }
    manifest.variants.push_back(std::move(variant));
    if (const auto done = reader.finish(); !done) return outer.note(done.error());
  }
  if (list->empty()) outer.note(Refusal::no_variants, "has no variant for any board");
}

void read_postprocess(ObjectReader& outer, PostProcess& post) {
  const Json* json = outer.object("postprocess", 4);
  if (json == nullptr) return;
  ObjectReader reader(*json, "postprocess");
  post.decoder = reader.name("decoder");
  post.score_permille = small(reader, "score_permille", 0, 1000);
  post.iou_permille = small(reader, "iou_permille", 0, 1000);
  post.max_detections = small(reader, "max_detections", 1, 10'000);
  if (const auto done = reader.finish(); !done) outer.note(done.error());
}

void read_watch(ObjectReader& outer, Watch& watch) {
  const Json* json = outer.object("watch", 6);
  if (json == nullptr) return;
  ObjectReader reader(*json, "watch");
  watch.shadow_frames = small(reader, "shadow_frames", 0, 1'000'000);
  watch.shadow_one_in = small(reader, "shadow_one_in", 1, 10'000);
  watch.max_disagree_permille = small(reader, "max_disagree_permille", 0, 1000);
  watch.probation_s = small(reader, "probation_s", 0, 30 * 86'400);
  watch.min_rate_millihz = small(reader, "min_rate_millihz", 0, 1'000'000'000);
  watch.max_restarts = small(reader, "max_restarts", 0, 100);
  if (const auto done = reader.finish(); !done) outer.note(done.error());
}

void read_accuracy(ObjectReader& outer, Manifest& manifest) {
  const Json* list = outer.list("accuracy", kMaxAccuracyRows);
  if (list == nullptr) return;
  for (const Json& json : *list) {
    ObjectReader reader(json, std::format("accuracy[{}]", manifest.accuracy.size()));
    manifest.accuracy.push_back({.variant = reader.name("variant"),
                                 .dataset = reader.text("dataset"),
                                 .metric = reader.text("metric"),
                                 .value_ppm = reader.integer("value_ppm", -kMaxLimit, kMaxLimit),
                                 .samples = reader.integer("samples", 0, kMaxLimit)});
    if (const auto done = reader.finish(); !done) return outer.note(done.error());
  }
}

/// What only models have.
void read_model(ObjectReader& reader, Manifest& manifest) {
  manifest.labels = reader.texts("labels", kMaxLabels);
  if (reader.has("card")) manifest.card = reader.digest("card");
  manifest.golden = read_golden(reader);
  read_postprocess(reader, manifest.postprocess);
  read_watch(reader, manifest.watch);
  read_accuracy(reader, manifest);
}

/// The set of files is exactly the set that something refers to.
Checked<void> check_closed(const Manifest& manifest) {
  const auto referenced = manifest.referenced();
  for (const Digest& digest : referenced) {
    if (!manifest.files.contains(digest)) {
      return refuse(Refusal::file_not_listed, std::format("file {} is used but not listed in files", digest.hex()));
    }
  }
  for (const auto& [digest, size_bytes] : manifest.files) {
    if (!referenced.contains(digest)) {
      return refuse(Refusal::unreferenced_file, std::format("file {} is listed but nothing uses it", digest.hex()));
    }
  }
  return {};
}

}  // namespace

Checked<Manifest> Manifest::parse(std::string_view text) {
  if (text.size() > kMaxManifestBytes) {
    return refuse(Refusal::manifest_too_large, std::format("the manifest exceeds {} bytes", kMaxManifestBytes));
  }
  auto json = parse_canonical(text);
  if (!json) return std::unexpected(json.error());
  ObjectReader reader(*json, "manifest");
  const auto type = reader.text("type");
  Manifest manifest;
  manifest.name = reader.name("name");
  manifest.role = reader.name("role");
  if (type != manifest.type()) {
    reader.note(Refusal::unknown_type,
                std::format("is not a {}, as its role says; update the device first", manifest.type()));
  }
  manifest.version = reader.name("version");
  if (reader.good() && !is_version(manifest.version)) {
    reader.note(Refusal::bad_version, "version must start with three dotted numbers, e.g. 3.2.0");
  }
  manifest.security_counter = static_cast<std::uint64_t>(reader.integer("security_counter", 1, INT64_MAX));
  manifest.issued_unix_s = reader.integer("issued_unix_s", 0, kMaxTime_s);
  manifest.expires_unix_s = reader.integer("expires_unix_s", 0, kMaxTime_s);
  if (reader.good() && manifest.expires_unix_s <= manifest.issued_unix_s) {
    reader.note(Refusal::lifetime_empty, "expires before it was issued");
  }
  manifest.boards = reader.names("boards", kMaxBoards);
  read_files(reader, manifest);
  read_variants(reader, manifest);
  if (!manifest.is_firmware()) read_model(reader, manifest);
  if (const auto done = reader.finish(); !done) return std::unexpected(done.error());
  if (const auto closed = check_closed(manifest); !closed) return std::unexpected(closed.error());
  return manifest;
}

}  // namespace wayside::ota
