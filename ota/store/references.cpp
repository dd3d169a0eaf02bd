// SPDX-License-Identifier: Apache-2.0
// Counting by walking the manifests.
#include "ota/store/references.h"

namespace wayside::ota {

base::Result<std::map<Digest, unsigned>> count_references(std::span<const Digest> pinned, const Closure& closure) {
  std::map<Digest, unsigned> counts;
  const std::set<Digest> distinct(pinned.begin(), pinned.end());
  for (const Digest& manifest : distinct) {
    auto blobs = closure(manifest);
    if (!blobs) return std::unexpected(std::move(blobs.error().context("references of " + manifest.hex())));
    const std::set<Digest> needed(blobs->begin(), blobs->end());
    ++counts[manifest];
    for (const Digest& digest : needed) {
      if (digest != manifest) ++counts[digest];
    }
  }
  return counts;
}

base::Result<std::set<Digest>> live_blobs(std::span<const Digest> pinned, const Closure& closure) {
  WAYSIDE_TRY(const auto counts, count_references(pinned, closure));
  std::set<Digest> live;
  for (const auto& [digest, count] : counts) live.insert(digest);
  return live;
}

}  // namespace wayside::ota
