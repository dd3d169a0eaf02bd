// SPDX-License-Identifier: Apache-2.0
// From a manifest to a detector.
#include "agent/ota/model_loader.h"

#include <format>

#include "agent/app.h"
#include "agent/detector.h"

namespace wayside::agent {
namespace {

SignedCard signed_card(const ota::Manifest& manifest) {
  constexpr float kPermille = 1000;
  return {.name = manifest.name,
          .version = manifest.version,
          .labels = manifest.labels,
          .decoder = manifest.postprocess.decoder,
          .score_threshold = static_cast<float>(manifest.postprocess.score_permille) / kPermille,
          .iou_threshold = static_cast<float>(manifest.postprocess.iou_permille) / kPermille,
          .max_detections = manifest.postprocess.max_detections};
}

}  // namespace

base::Result<LoadedModel> ModelLoader::load(const std::optional<ota::Installed>& installed) {
  DetectorOptions options = detector_options(model_, next_index_);
  std::optional<ota::Digest> file;
  if (installed) {
    WAYSIDE_TRY(const auto manifest, ota::read_manifest(store_, installed->manifest));
    const auto* variant = manifest.find_variant(installed->variant);
    if (variant == nullptr) return base::fail(base::Code::corrupt, "the manifest has no variant " + installed->variant);
    file = variant->file;
    options.file = store_root_ / ota::BlobStore::blob_path(variant->file);
    options.card = manifest.card ? store_root_ / ota::BlobStore::blob_path(*manifest.card) : std::filesystem::path();
    options.signed_card = signed_card(manifest);
    if (manifest.card) WAYSIDE_CHECK(store_.verify(*manifest.card));
  }
  WAYSIDE_TRY(auto detector, Detector::create(options, accelerator_, clock_));
  if (file && detector->sha256() != file->hex()) {
    return base::fail(base::Code::corrupt, std::format("{}: the medium changed it", options.file.string()));
  }
  ++next_index_;
  LoadedModel loaded{.installed = installed,
                     .facts = {.role = model_.role,
                               .name = detector->card().name,
                               .version = detector->card().version,
                               .sha256 = detector->sha256(),
                               .variant = std::string(accelerator_.name()),
                               .manifest_sha256 = installed ? installed->manifest.hex() : std::string(),
                               .labels = detector->card().labels},
                     .score_threshold = detector->card().decoder.score_threshold,
                     .index = options.model_index,
                     .description = detector->describe()};
  loaded.processor = std::move(detector);
  return loaded;
}

}  // namespace wayside::agent
