// SPDX-License-Identifier: Apache-2.0
// The local work of a Fetcher in bounded steps: looking for chunks on the device, decoding a delta, keeping the plan.
#pragma once

#include <memory>
#include <optional>

#include "ota/delta/delta.h"
#include "ota/store/blob_store.h"
#include "ota/transfer/fetcher.h"

namespace wayside::ota {

/// First verifies what an older process left in the staging file, then copies chunks out of older versions.
class LocalScan {
 public:
  std::vector<Digest> bases{};           ///< blobs of the store still to be looked through
  std::uint32_t resumed = 0;             ///< chunks found in the staging file
  std::uint64_t resumed_wire_bytes = 0;  ///< what fetching them had cost

  /// At most kChunksPerStep chunks. False when there is nothing more to do; what was copied is synced then.
  base::Result<bool> step(base::Storage& storage, StagingFile& staging);

 private:
  static constexpr int kChunksPerStep = 16;
  base::Result<bool> copy_next(base::Storage& storage, StagingFile& staging);
  bool verified_ = false;
  std::unique_ptr<StorageSource> base_;
  std::unique_ptr<FileCutter> cutter_;
};

/// Decodes the fetched delta into the target's staging file.
class Assembly {
 public:
  static base::Result<std::unique_ptr<Assembly>> open(base::Storage& storage, const FetchGoal& goal, const Route& route,
                                                      const DeltaOpener& opener);
  /// True when the target is complete; the store compares its hash.
  base::Result<bool> step();

 private:
  static constexpr std::size_t kStepBytes = 256 * 1024;
  struct Output final : ByteSink {
    base::Storage* storage = nullptr;
    std::filesystem::path path{};
    std::uint64_t at = 0;
    base::Result<void> write(BytesView bytes) override;
  };
  explicit Assembly(std::unique_ptr<DeltaMaker> maker) : maker_(std::move(maker)) {}
  std::unique_ptr<DeltaMaker> maker_;
  Output output_;
};

/// The bytes of a chunk as they travel, unpacked by the parser and checked here. Errors: corrupt, those of the parser.
base::Result<Bytes> unpack_chunk(PieceParser& parser, const Chunk& chunk, BytesView wire);

/// Whether this device can take the route: its base is in the store and its sizes are sane.
[[nodiscard]] bool route_is_usable(const Route& route, const FetchGoal& goal, const BlobStore& store);

/// The chosen route on disk, so that a restart goes on with it instead of asking again.
base::Result<void> keep_route(base::Storage& storage, const std::filesystem::path& path, const Route& route);
std::optional<Route> read_kept_route(base::Storage& storage, const std::filesystem::path& path);

}  // namespace wayside::ota
