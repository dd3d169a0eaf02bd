// SPDX-License-Identifier: Apache-2.0
// The order of checks: signatures, contents, time, this device.
#include "ota/package/trust.h"

#include <algorithm>
#include <format>

namespace wayside::ota {
namespace {

Checked<Manifest> verify(std::string_view text, std::span<const KeySignature> signatures, const Root& root,
                         std::int64_t now_unix_s, bool clock_plausible) {
  if (root.packages.keys.empty()) {
    return refuse(Refusal::no_root, "there is no root document, so nothing can be trusted; provision the device");
  }
  if (now_unix_s >= root.expires_unix_s) {
    return refuse(Refusal::root_expired, "the root document has expired; send the next root first");
  }
  const auto signed_by = verify_document(claimed_type(text), text, signatures, root.known_keys(), root.packages);
  if (!signed_by) return std::unexpected(signed_by.error());
  auto manifest = Manifest::parse(text);
  if (!manifest) return manifest;
  if (now_unix_s >= manifest->expires_unix_s) {
    return refuse(Refusal::expired, std::format("{} {} has expired; sign it again", manifest->name, manifest->version));
  }
  if (clock_plausible && manifest->issued_unix_s > now_unix_s + kClockTolerance_s) {
    return refuse(Refusal::issued_in_future,
                  std::format("{} {} was issued in the future; is a clock wrong?", manifest->name, manifest->version));
  }
  return manifest;
}

}  // namespace

Checked<Manifest> verify_manifest(std::string_view manifest, std::string_view signatures, const Root& root,
                                  std::int64_t now_unix_s, bool clock_plausible) {
  if (manifest.size() > kMaxManifestBytes) {
    return refuse(Refusal::manifest_too_large, std::format("the manifest exceeds {} bytes", kMaxManifestBytes));
  }
  const auto parsed = parse_signatures(signatures);
  if (!parsed) return std::unexpected(parsed.error());
  return verify(manifest, *parsed, root, now_unix_s, clock_plausible);
}

Checked<Manifest> verify_manifest(const Envelope& envelope, const Root& root, std::int64_t now_unix_s,
                                  bool clock_plausible) {
  if (envelope.type != claimed_type(envelope.body)) {
    return refuse(Refusal::unknown_type,
                  std::format("not a {} or {}; update the device first", kManifestType, kFirmwareType));
  }
  return verify(envelope.body, envelope.signatures, root, now_unix_s, clock_plausible);
}

Checked<const Variant*> choose_variant(const Manifest& manifest, const DeviceFacts& device) {
  if (manifest.security_counter < device.counter_floor) {
    return refuse(Refusal::rollback, std::format("security counter {} is below {}, which this device has committed",
                                                 manifest.security_counter, device.counter_floor));
  }
  if (manifest.security_counter - device.counter_floor > kMaxCounterStep) {
    return refuse(Refusal::fast_forward, std::format("security counter {} is more than {} ahead of {}",
                                                     manifest.security_counter, kMaxCounterStep, device.counter_floor));
  }
  if (!manifest.boards.empty() && std::ranges::find(manifest.boards, device.board) == manifest.boards.end()) {
    return refuse(Refusal::foreign_board,
                  std::format("{} {} is not for board {}", manifest.name, manifest.version, device.board));
  }
  for (const auto& runtime : device.runtimes) {
    const auto found = std::ranges::find_if(manifest.variants, [&](const Variant& variant) {
      return variant.accelerator == runtime.accelerator && fits(variant.requires_, runtime);
    });
    if (found != manifest.variants.end()) return &*found;
  }
  return refuse(Refusal::no_variant_for_runtime,
                std::format("{} {} has no variant for the accelerators and runtime versions of this board",
                            manifest.name, manifest.version));
}

}  // namespace wayside::ota
