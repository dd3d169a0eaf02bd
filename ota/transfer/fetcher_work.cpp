// SPDX-License-Identifier: Apache-2.0
// Local work in bounded steps.
#include "ota/transfer/fetcher_work.h"

#include <algorithm>

namespace wayside::ota {
namespace {

constexpr std::string_view kRouteMagic = "WRT1";
constexpr std::size_t kMaxRouteDocument = 256;

/// In this process, behind the storage seam.
class LocalMaker final : public DeltaMaker {
 public:
  static base::Result<std::unique_ptr<DeltaMaker>> open(base::Storage& storage, const std::filesystem::path& delta,
                                                        const std::filesystem::path& old_file,
                                                        const DeltaExpectation& expected) {
    WAYSIDE_TRY(StorageSource source, StorageSource::open(storage, delta));
    WAYSIDE_TRY(StorageSource old, StorageSource::open(storage, old_file));
    std::unique_ptr<LocalMaker> maker(new LocalMaker(std::move(source), std::move(old)));
    WAYSIDE_TRY(DeltaDecoder decoder, DeltaDecoder::open(maker->delta_, maker->old_, expected));
    maker->decoder_.emplace(std::move(decoder));
    return maker;
  }
  base::Result<bool> step(ByteSink& sink, std::size_t max_bytes) override { return decoder_->step(sink, max_bytes); }

 private:
  LocalMaker(StorageSource delta, StorageSource old) : delta_(std::move(delta)), old_(std::move(old)) {}
  StorageSource delta_, old_;
  std::optional<DeltaDecoder> decoder_;
};

}  // namespace

base::Result<bool> LocalScan::step(base::Storage& storage, StagingFile& staging) {
  for (int i = 0; i < kChunksPerStep; ++i) {
    if (!verified_) {
      WAYSIDE_TRY(const bool more, staging.verify_next());
      if (more) continue;
      verified_ = true;
      resumed = staging.done();
      resumed_wire_bytes = staging.wire_bytes_done();
    }
    WAYSIDE_TRY(const bool more, copy_next(storage, staging));
    if (more) continue;
    WAYSIDE_CHECK(staging.sync());
    return false;
  }
  return true;
}

base::Result<bool> LocalScan::copy_next(base::Storage& storage, StagingFile& staging) {
  if (staging.complete()) return false;
  if (!cutter_) {
    if (bases.empty()) return false;
    auto opened = StorageSource::open(storage, BlobStore::blob_path(bases.back()));
    bases.pop_back();
    if (!opened) return true;  // gone meanwhile: its chunks are fetched
    base_ = std::make_unique<StorageSource>(std::move(*opened));
    cutter_ = std::make_unique<FileCutter>(*base_);
  }
  WAYSIDE_TRY(const auto cut, cutter_->next());
  if (cut.raw.empty()) {
    cutter_.reset();
    return true;
  }
  WAYSIDE_TRY(const ChunkId id, chunk_id(cut.raw));
  WAYSIDE_CHECK(staging.put(id, cut.raw, false));
  return true;
}

base::Result<void> Assembly::Output::write(BytesView bytes) {
  WAYSIDE_CHECK(storage->write_at(path, at, bytes));
  at += bytes.size();
  return {};
}

base::Result<std::unique_ptr<Assembly>> Assembly::open(base::Storage& storage, const FetchGoal& goal,
                                                       const Route& route, const DeltaOpener& opener) {
  const auto delta = BlobStore::staging_path(route.blob), old = BlobStore::blob_path(route.base);
  const DeltaExpectation expected{
      .base_hash = route.base, .target_hash = goal.target, .target_bytes = goal.target_bytes};
  std::unique_ptr<DeltaMaker> maker;
  if (opener) {
    WAYSIDE_TRY(maker, opener(delta, old, expected));
  } else {
    WAYSIDE_TRY(maker, LocalMaker::open(storage, delta, old, expected));
  }
  std::unique_ptr<Assembly> assembly(new Assembly(std::move(maker)));
  assembly->output_.storage = &storage;
  assembly->output_.path = BlobStore::staging_path(goal.target);
  WAYSIDE_CHECK(storage.write(assembly->output_.path, {}));  // what an earlier try left is overwritten
  return assembly;
}

base::Result<bool> Assembly::step() { return maker_->step(output_, kStepBytes); }

base::Result<Bytes> unpack_chunk(PieceParser& parser, const Chunk& chunk, BytesView wire) {
  if (wire.size() != chunk.wire_bytes) return base::fail(base::Code::corrupt, "the chunk has another size");
  Bytes raw(wire.begin(), wire.end());
  if (chunk.wire_bytes != chunk.raw_bytes) {
    WAYSIDE_TRY(raw, parser.inflate(wire, chunk.raw_bytes));
  }
  WAYSIDE_TRY(const ChunkId id, chunk_id(raw));
  if (id != chunk.id) return base::fail(base::Code::corrupt, "the chunk has another hash");
  return raw;
}

bool route_is_usable(const Route& route, const FetchGoal& goal, const BlobStore& store) {
  if (route.index_bytes == 0 || route.index_bytes > kMaxIndexBytes) return false;
  if (!route.is_delta()) return route.blob == goal.target && route.blob_bytes == goal.target_bytes;
  return std::ranges::find(goal.bases, route.base) != goal.bases.end() && store.has(route.base) &&
         route.blob != goal.target && route.blob_bytes <= goal.target_bytes;
}

base::Result<void> keep_route(base::Storage& storage, const std::filesystem::path& path, const Route& route) {
  ByteWriter writer;
  writer.text(kRouteMagic);
  write_route(writer, route);
  return base::replace_file(storage, path, writer.take());
}

std::optional<Route> read_kept_route(base::Storage& storage, const std::filesystem::path& path) {
  const auto bytes = storage.read(path, kMaxRouteDocument);
  if (!bytes) return std::nullopt;
  ByteReader reader(*bytes);
  const auto magic = reader.bytes(kRouteMagic.size(), "kept route");
  if (!magic || text_of(*magic) != kRouteMagic) return std::nullopt;
  const auto route = read_route(reader);
  if (!route || !reader.end("kept route")) return std::nullopt;
  return *route;
}

}  // namespace wayside::ota
