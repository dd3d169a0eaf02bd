// SPDX-License-Identifier: Apache-2.0
// Publishing and pricing.
#include "ota/transfer/repository.h"

#include <format>
#include <set>

#include "ota/delta/delta.h"

namespace wayside::ota {
namespace {

using base::Code;
using base::fail;

constexpr std::size_t kRouteBytes = 1 + 2 * kDigestBytes;
constexpr std::size_t kMaxDeltas = 2 * kMaxBases;

std::filesystem::path wire_path(const Digest& blob) { return std::filesystem::path("wire") / blob.hex(); }
std::filesystem::path index_path(const Digest& blob) { return std::filesystem::path("index") / blob.hex(); }
std::filesystem::path routes_path(const Digest& target) { return std::filesystem::path("routes") / target.hex(); }

struct Memory final : ByteSink {
  Bytes bytes;
  base::Result<void> write(BytesView more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
};

struct DeltaEntry {
  RouteKind kind{};
  Digest base{}, blob{};
};

base::Result<std::vector<DeltaEntry>> read_deltas(base::Storage& storage, const Digest& target) {
  std::vector<DeltaEntry> entries;
  const auto bytes = storage.read(routes_path(target), kMaxDeltas * kRouteBytes);
  if (!bytes && bytes.error().code == Code::not_found) return entries;
  if (!bytes) return std::unexpected(bytes.error());
  ByteReader reader(*bytes);
  while (reader.left() > 0) {
    DeltaEntry entry;
    WAYSIDE_TRY(const std::uint8_t kind, reader.u8("deltas of a blob: kind"));
    entry.kind = kind == static_cast<std::uint8_t>(RouteKind::subtract) ? RouteKind::subtract : RouteKind::patch;
    WAYSIDE_TRY(entry.base, read_digest(reader, "deltas of a blob: base"));
    WAYSIDE_TRY(entry.blob, read_digest(reader, "deltas of a blob: delta"));
    entries.push_back(entry);
  }
  return entries;
}

base::Result<void> write_deltas(base::Storage& storage, const Digest& target, const std::vector<DeltaEntry>& entries) {
  ByteWriter writer;
  for (const DeltaEntry& entry : entries) {
    writer.u8(static_cast<std::uint8_t>(entry.kind));
    writer.bytes(entry.base.bytes);
    writer.bytes(entry.blob.bytes);
  }
  WAYSIDE_CHECK(storage.make_directory("routes"));
  return base::replace_file(storage, routes_path(target), writer.take());
}

}  // namespace

base::Result<Digest> Repository::publish(const ByteSource& file) {
  Memory wire;
  WAYSIDE_TRY(const ChunkIndex index, index_file(file, &wire));
  if (storage_->file_bytes(index_path(index.file_hash))) return index.file_hash;
  WAYSIDE_CHECK(storage_->make_directory("wire"));
  WAYSIDE_CHECK(storage_->make_directory("index"));
  // The index last: what has an index is complete.
  WAYSIDE_CHECK(base::replace_file(*storage_, wire_path(index.file_hash), wire.bytes));
  WAYSIDE_CHECK(base::replace_file(*storage_, index_path(index.file_hash), index.serialize()));
  return index.file_hash;
}

base::Result<void> Repository::publish_deltas(BytesView base, BytesView target) {
  WAYSIDE_TRY(const Digest base_hash, publish(SpanSource(base)));
  WAYSIDE_TRY(const Digest target_hash, publish(SpanSource(target)));
  WAYSIDE_TRY(const ServedPointer whole, served(target_hash));
  const std::uint64_t whole_bytes = whole->index.wire_bytes();
  WAYSIDE_TRY(std::vector<DeltaEntry> entries, read_deltas(*storage_, target_hash));
  for (const RouteKind kind : {RouteKind::patch, RouteKind::subtract}) {
    const auto same = [&](const DeltaEntry& entry) { return entry.kind == kind && entry.base == base_hash; };
    if (std::ranges::any_of(entries, same)) continue;
    const auto steps = kind == RouteKind::patch ? plan_patch(base, target) : plan_subtract(base, target);
    WAYSIDE_TRY(const Bytes delta, encode_delta(base, target, steps));
    if (delta.size() >= whole_bytes) continue;
    if (entries.size() >= kMaxDeltas) return fail(Code::exhausted, "this file has deltas from 8 versions already");
    WAYSIDE_TRY(const Digest blob, publish(SpanSource(delta)));
    entries.push_back({.kind = kind, .base = base_hash, .blob = blob});
  }
  return write_deltas(*storage_, target_hash, entries);
}

base::Result<Repository::ServedPointer> Repository::served(const Digest& blob) {
  const auto known = std::ranges::find_if(cache_, [&](const ServedPointer& entry) { return entry->blob == blob; });
  if (known != cache_.end()) {
    cache_.splice(cache_.begin(), cache_, known);
    return cache_.front();
  }
  Served fresh{.blob = blob};
  auto document = storage_->read(index_path(blob), kMaxIndexBytes);
  if (!document) return fail(document.error().code, std::format("blob {}: not published", blob.hex()));
  WAYSIDE_TRY(fresh.index, ChunkIndex::parse(*document));
  WAYSIDE_TRY(fresh.document_hash, sha256_of(*document));
  fresh.document = std::move(*document);
  std::uint64_t offset = 0;
  for (const Chunk& chunk : fresh.index.chunks) {
    fresh.wire_offsets.push_back(offset);
    offset += chunk.wire_bytes;
  }
  cache_.push_front(std::make_shared<const Served>(std::move(fresh)));
  if (cache_.size() > kMaxCached) cache_.pop_back();
  return cache_.front();
}

/// The file itself, less the chunks that are in one of the bases.
base::Result<Route> Repository::whole_route(const Served& target, std::span<const Digest> have) {
  std::set<ChunkId> known;
  for (const Digest& base : have) {
    if (!storage_->file_bytes(index_path(base))) continue;
    WAYSIDE_TRY(const ServedPointer old, served(base));
    for (const Chunk& chunk : old->index.chunks) known.insert(chunk.id);
  }
  Route route{.kind = RouteKind::full,
              .blob = target.blob,
              .blob_bytes = target.index.file_bytes,
              .index_hash = target.document_hash,
              .index_bytes = static_cast<std::uint32_t>(target.document.size())};
  std::set<ChunkId> counted;
  for (const Chunk& chunk : target.index.chunks) {
    if (known.contains(chunk.id)) {
      route.kind = RouteKind::chunks;
    } else if (counted.insert(chunk.id).second) {
      route.chunk_bytes += chunk.wire_bytes;
    }
  }
  return route;
}

base::Result<Offer> Repository::offer(const Digest& target, std::span<const Digest> have) {
  WAYSIDE_TRY(const ServedPointer whole, served(target));
  Offer offer{.target = target, .target_bytes = whole->index.file_bytes};
  WAYSIDE_TRY(const Route route, whole_route(*whole, have));
  offer.routes.push_back(route);
  WAYSIDE_TRY(const std::vector<DeltaEntry> deltas, read_deltas(*storage_, target));
  for (const DeltaEntry& delta : deltas) {
    if (std::ranges::find(have, delta.base) == have.end()) continue;
    WAYSIDE_TRY(const ServedPointer blob, served(delta.blob));
    WAYSIDE_TRY(Route through, whole_route(*blob, {}));
    through.kind = delta.kind;
    through.base = delta.base;
    offer.routes.push_back(through);
  }
  return offer;
}

base::Result<Bytes> Repository::index_page(const Digest& blob, std::uint32_t page) {
  WAYSIDE_TRY(const ServedPointer found, served(blob));
  const std::uint64_t offset = std::uint64_t{page} * kIndexPageBytes;
  if (offset >= found->document.size()) return fail(Code::invalid_argument, "index page beyond the end");
  const auto rest = BytesView(found->document).subspan(static_cast<std::size_t>(offset));
  const auto bytes = rest.first(std::min(rest.size(), kIndexPageBytes));
  return Bytes(bytes.begin(), bytes.end());
}

base::Result<Bytes> Repository::chunk(const Digest& blob, std::uint32_t number) {
  WAYSIDE_TRY(const ServedPointer found, served(blob));
  if (number >= found->index.chunks.size()) return fail(Code::invalid_argument, "chunk beyond the end");
  Bytes bytes(found->index.chunks[number].wire_bytes);
  WAYSIDE_CHECK(storage_->read_at(wire_path(blob), found->wire_offsets[number], bytes));
  return bytes;
}

}  // namespace wayside::ota
