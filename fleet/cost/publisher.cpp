// SPDX-License-Identifier: Apache-2.0
// Files to chunks and deltas.
#include "fleet/cost/publisher.h"

#include <algorithm>
#include <map>

#include "ota/delta/deflate.h"

namespace wayside::fleet {
namespace {

using base::Result;
using ota::Bytes;
using ota::Digest;

Result<Bytes> read_blob(const ota::BlobReader& read, const Digest& digest) {
  Bytes bytes;
  WAYSIDE_CHECK(read(digest, [&](std::span<const std::byte> more) -> Result<void> {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }));
  return bytes;
}

/// For each variant: the models that its devices run now, the most common first.
std::map<std::string, std::vector<Digest>> models_in_the_field(const ota::Manifest& manifest,
                                                               std::span<const KnownDevice> devices) {
  std::map<std::string, std::map<Digest, std::uint64_t>> counts;
  for (const auto& device : devices) {
    if (!device.inventory) continue;
    const auto variant = ota::choose_variant(manifest, device.inventory->facts(manifest.role));
    if (!variant) continue;
    for (const auto& base : ota::choose_bases(device.inventory->blobs, (*variant)->file)) {
      if (!manifest.files.contains(base)) ++counts[(*variant)->id][base];
    }
  }
  std::map<std::string, std::vector<Digest>> models;
  for (const auto& [variant, count] : counts) {
    std::vector<std::pair<std::uint64_t, Digest>> sorted;
    for (const auto& [digest, number] : count) sorted.emplace_back(number, digest);
    std::ranges::sort(sorted, std::greater());
    for (const auto& [number, digest] : sorted) models[variant].push_back(digest);
  }
  return models;
}

}  // namespace

Result<Bytes> read_published(ota::Repository& repository, const Digest& blob) {
  Bytes document;
  for (std::uint32_t page = 0; document.size() == std::size_t{page} * ota::kIndexPageBytes; ++page) {
    auto more = repository.index_page(blob, page);
    if (!more && page > 0) break;  // the document ended with the page before
    if (!more) return std::unexpected(more.error());
    document.insert(document.end(), more->begin(), more->end());
  }
  WAYSIDE_TRY(const auto index, ota::ChunkIndex::parse(document));
  Bytes bytes;
  bytes.reserve(static_cast<std::size_t>(index.file_bytes));
  for (std::uint32_t number = 0; number < index.chunks.size(); ++number) {
    const auto& chunk = index.chunks[number];
    WAYSIDE_TRY(auto wire, repository.chunk(blob, number));
    if (chunk.wire_bytes != chunk.raw_bytes) {
      WAYSIDE_TRY(wire, ota::inflate_chunk(wire, chunk.raw_bytes));
    }
    bytes.insert(bytes.end(), wire.begin(), wire.end());
  }
  WAYSIDE_TRY(const auto digest, ota::sha256_of(bytes));
  if (digest != blob) return base::fail(base::Code::corrupt, "a file of the repository is damaged: " + blob.hex());
  return bytes;
}

Result<void> publish_package(const ota::ContainerHead& head, const ota::Manifest& manifest, const ota::BlobReader& read,
                             std::span<const KnownDevice> devices, ota::Repository& repository) {
  for (const auto& entry : head.entries) {
    WAYSIDE_TRY(const auto bytes, read_blob(read, entry.blob.digest));
    WAYSIDE_CHECK(repository.publish(ota::SpanSource(bytes)));
  }
  const auto models = models_in_the_field(manifest, devices);
  for (const auto& variant : manifest.variants) {
    const auto found = models.find(variant.id);
    if (found == models.end()) continue;
    WAYSIDE_TRY(const auto target, read_blob(read, variant.file));
    std::size_t taken = 0;
    for (const auto& digest : found->second) {
      if (taken == ota::kMaxBases) break;
      const auto base = read_published(repository, digest);
      if (!base && base.error().code == base::Code::not_found) continue;  // not ours, or a manifest
      if (!base) return std::unexpected(base.error());
      if (base->size() * 4 < target.size()) continue;  // a card, a golden set
      ++taken;
      WAYSIDE_CHECK(repository.publish_deltas(*base, target));
    }
  }
  return {};
}

}  // namespace wayside::fleet
