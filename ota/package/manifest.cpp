// SPDX-License-Identifier: Apache-2.0
// Writing a manifest, and questions to it.
#include "ota/package/manifest.h"

#include <algorithm>

#include "ota/package/canonical_json.h"

namespace wayside::ota {
namespace {

using Json = nlohmann::json;

Json to_json(const Golden& golden) {
  return {{"count", golden.count},
          {"inputs", golden.inputs.hex()},
          {"max_abs", golden.max_abs},
          {"mean_abs_milli", golden.mean_abs_milli},
          {"outputs", golden.outputs.hex()}};
}

Json to_json(const Variant& variant) {
  const Limits& limits = variant.limits;
  Json json = {{"accelerator", variant.accelerator},
               {"compile", variant.compile},
               {"file", variant.file.hex()},
               {"id", variant.id},
               {"limits",
                {{"p50_us", limits.p50_us},
                 {"p99_us", limits.p99_us},
                 {"power_mw", limits.power_mw},
                 {"ram_bytes", limits.ram_bytes}}},
               {"requires", variant.requires_}};
  if (variant.golden) json["golden"] = to_json(*variant.golden);
  return json;
}

Json firmware_json(const Variant& variant) {
  Json provides = Json::array();
  for (const auto& runtime : variant.provides)
    provides.push_back({{"accelerator", runtime.accelerator}, {"versions", runtime.versions}});
  return {{"accelerator", variant.accelerator},
          {"file", variant.file.hex()},
          {"id", variant.id},
          {"provides", provides},
          {"requires", variant.requires_}};
}

Json to_json(const PostProcess& post) {
  return {{"decoder", post.decoder},
          {"iou_permille", post.iou_permille},
          {"max_detections", post.max_detections},
          {"score_permille", post.score_permille}};
}

Json to_json(const Watch& watch) {
  return {{"max_disagree_permille", watch.max_disagree_permille},
          {"max_restarts", watch.max_restarts},
          {"min_rate_millihz", watch.min_rate_millihz},
          {"probation_s", watch.probation_s},
          {"shadow_frames", watch.shadow_frames},
          {"shadow_one_in", watch.shadow_one_in}};
}

Json to_json(const AccuracyRow& row) {
  return {{"dataset", row.dataset},
          {"metric", row.metric},
          {"samples", row.samples},
          {"value_ppm", row.value_ppm},
          {"variant", row.variant}};
}

}  // namespace

std::string Manifest::serialize() const {
  Json json = {{"boards", boards},
               {"expires_unix_s", expires_unix_s},
               {"issued_unix_s", issued_unix_s},
               {"name", name},
               {"role", role},
               {"security_counter", security_counter},
               {"type", type()},
               {"version", version}};
  json["files"] = Json::object();
  for (const auto& [digest, size_bytes] : files) json["files"][digest.hex()] = size_bytes;
  json["variants"] = Json::array();
  for (const auto& variant : variants)
    json["variants"].push_back(is_firmware() ? firmware_json(variant) : to_json(variant));
  if (is_firmware()) return canonical(json);
  json["golden"] = to_json(golden);
  json["labels"] = labels;
  json["postprocess"] = to_json(postprocess);
  json["watch"] = to_json(watch);
  json["accuracy"] = Json::array();
  for (const auto& row : accuracy) json["accuracy"].push_back(to_json(row));
  if (card) json["card"] = card->hex();
  return canonical(json);
}

const Variant* Manifest::find_variant(std::string_view id) const {
  const auto found = std::ranges::find(variants, id, &Variant::id);
  return found == variants.end() ? nullptr : &*found;
}

std::set<Digest> Manifest::referenced() const {
  std::set<Digest> found;
  if (!is_firmware()) found = {golden.inputs, golden.outputs};
  for (const auto& variant : variants) {
    found.insert(variant.file);
    if (variant.golden) found.insert({variant.golden->inputs, variant.golden->outputs});
  }
  if (card) found.insert(*card);
  return found;
}

std::vector<Blob> Manifest::blobs_of(const Variant& variant) const {
  std::set<Digest> needed{variant.file};
  if (!is_firmware()) needed.insert({golden_of(variant).inputs, golden_of(variant).outputs});
  if (card) needed.insert(*card);
  std::vector<Blob> blobs;
  for (const Digest& digest : needed) {
    const auto file = files.find(digest);
    if (file != files.end()) blobs.push_back({digest, file->second});
  }
  return blobs;
}

std::uint64_t Manifest::total_bytes() const {
  std::uint64_t total = 0;
  for (const auto& [digest, size_bytes] : files) total += size_bytes;
  return total;
}

std::string_view claimed_type(std::string_view manifest) {
  return manifest.contains(R"("type":"wayside-firmware/1")") ? kFirmwareType : kManifestType;
}

}  // namespace wayside::ota
