// SPDX-License-Identifier: Apache-2.0
// The manifest is written, read back by its own strict reader, signed and put into a container.
#include "optimizer/report/package.h"

#include <cmath>
#include <format>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/mapped_file.h"
#include "base/storage.h"
#include "optimizer/report/card.h"
#include "optimizer/report/engine_runner.h"
#include "ota/package/container.h"
#include "ota/package/keys.h"
#include "ota/package/manifest.h"
#include "ota/package/signatures.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::int64_t kDay_s = 86'400;
constexpr std::size_t kMaxKeyBytes = 64 * 1024;

/// The files of the package in memory: models of this class are a few megabytes.
struct Contents {
  std::map<ota::Digest, std::vector<std::byte>> files;
  Result<ota::Digest> add(std::span<const std::byte> bytes) {
    WAYSIDE_TRY(const auto digest, ota::sha256_of(bytes));
    files.try_emplace(digest, bytes.begin(), bytes.end());
    return digest;
  }
  Result<ota::Digest> add_file(const std::filesystem::path& path) {
    WAYSIDE_TRY(const auto file, base::MappedFile::open(path));
    return add(file.bytes());
  }
};

ota::AccuracyRow accuracy(const std::string& variant, const PackageOptions& options, const Report& report,
                          double score) {
  return {.variant = variant,
          .dataset = options.dataset,
          .metric = report.metric,
          .value_ppm = std::llround(score * 1e6),
          .samples = static_cast<std::int64_t>(report.evaluation_samples)};
}

Result<ota::Manifest> describe(const PackageOptions& options, const Report& report, const Budget& budget,
                               const std::filesystem::path& models, const std::vector<TaskSample>& samples,
                               const Card* card, Contents& contents) {
  const Variant& chosen = report.variants[static_cast<std::size_t>(report.chosen)];
  constexpr auto kTarget = "cpu-int8";
  ota::Manifest manifest{.name = options.name,
                         .role = options.role,
                         .version = options.version,
                         .security_counter = options.security_counter,
                         .issued_unix_s = options.issued_unix_s,
                         .expires_unix_s = options.issued_unix_s + options.valid_days * kDay_s};
  manifest.labels = options.labels;
  manifest.postprocess.decoder = "raw";
  ota::Variant variant{.id = kTarget, .accelerator = kTarget};
  WAYSIDE_TRY(variant.file, contents.add_file(models / chosen.file));
  if (budget.latency_ms) variant.limits.p50_us = static_cast<std::uint64_t>(std::llround(*budget.latency_ms * 1e3));
  manifest.variants.push_back(std::move(variant));
  std::vector<ir::Values> inputs;
  for (std::size_t i = 0; i < std::min(kGoldenSamples, samples.size()); ++i) inputs.push_back(samples[i].input);
  WAYSIDE_TRY(auto engine, EngineRunner::load(models / chosen.file));
  WAYSIDE_TRY(const auto golden, engine.golden_set(inputs));
  manifest.golden = {.count = static_cast<std::uint32_t>(golden.count), .max_abs = 1, .mean_abs_milli = 100};
  WAYSIDE_TRY(manifest.golden.inputs, contents.add(golden.inputs));
  WAYSIDE_TRY(manifest.golden.outputs, contents.add(golden.outputs));
  if (!options.card.empty()) {
    WAYSIDE_TRY(manifest.card, contents.add_file(options.card));
  } else if (card != nullptr) {
    WAYSIDE_TRY(manifest.card, contents.add(std::as_bytes(std::span(card->text))));
    const auto permille = [](float share) { return static_cast<std::uint32_t>(std::lround(1000 * share)); };
    manifest.postprocess = {.decoder = std::string(card->decoder),
                            .score_permille = permille(card->score_threshold),
                            .iou_permille = permille(card->iou_threshold),
                            .max_detections = static_cast<std::uint32_t>(card->max_detections)};
  }
  manifest.accuracy = {accuracy("float", options, report, chosen.float_score),
                       accuracy(kTarget, options, report, chosen.engine_score)};
  for (const auto& [digest, bytes] : contents.files) manifest.files[digest] = bytes.size();
  return manifest;
}

Result<std::string> signatures(const std::filesystem::path& key_file, const std::string& body) {
  if (key_file.empty()) return "[]";
  WAYSIDE_TRY(auto storage, base::DiskStorage::open(key_file.has_parent_path() ? key_file.parent_path() : "."));
  WAYSIDE_TRY(const auto pem, storage.read(key_file.filename(), kMaxKeyBytes));
  const auto key = ota::SecretKey::from_pem({reinterpret_cast<const char*>(pem.data()), pem.size()});
  if (!key) return fail(key.error().code, std::format("{}: {}", key_file.string(), key.error().message));
  WAYSIDE_TRY(const auto signature, ota::sign_document(*key, ota::kManifestType, body));
  return ota::serialize_signatures({signature});
}

}  // namespace

Result<void> write_package(const PackageOptions& options, const Report& report, const Budget& budget,
                           const std::filesystem::path& models, const std::vector<TaskSample>& samples,
                           const Card* card) {
  if (report.chosen < 0) return fail(Code::bad_state, "no variant is within the budget: there is nothing to pack");
  Contents contents;
  WAYSIDE_TRY(const auto manifest, describe(options, report, budget, models, samples, card, contents));
  const std::string body = manifest.serialize();
  if (const auto checked = ota::Manifest::parse(body); !checked)
    return fail(Code::invalid_argument, std::format("the package's manifest: {}", checked.error().message));
  WAYSIDE_TRY(const auto signed_by, signatures(options.key, body));
  WAYSIDE_TRY(auto storage, base::DiskStorage::open(options.out.has_parent_path() ? options.out.parent_path() : "."));
  return ota::write_container(
      storage, options.out.filename(), body, signed_by, manifest.files,
      [&](const ota::Digest& digest, const ota::BlobSink& sink) { return sink(contents.files.at(digest)); });
}

}  // namespace wayside::optimizer
