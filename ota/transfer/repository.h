// SPDX-License-Identifier: Apache-2.0
// Repository: the server's read-only folder of blobs ready to travel, their indexes, and the deltas between them.
#pragma once

#include <list>
#include <memory>
#include <span>

#include "base/storage.h"
#include "ota/transfer/messages.h"

namespace wayside::ota {

/// Layout below the storage's root: wire/<hash> (the chunks as they travel, one after the other), index/<hash> (chunk
/// index document), routes/<target hash> (deltas that make this file). Files appear whole (replace_file) and are never
/// changed, so any number of servers may read one folder while a publisher adds to it. One owner; the storage must
/// outlive it.
class Repository {
 public:
  explicit Repository(base::Storage& storage) : storage_(&storage) {}

  /// Makes a file fetchable; already there: nothing. Memory: the wire form of the file.
  base::Result<Digest> publish(const ByteSource& file);
  /// Makes and publishes patch and subtract deltas from `base` to `target` and notes those that are smaller than the
  /// whole. Both files in memory. Errors: exhausted when the target has kMaxBases * 2 deltas already.
  base::Result<void> publish_deltas(BytesView base, BytesView target);

  /// What it would cost a device that has `have`, to the byte: the price list of the device and of the operator's
  /// preview. Bases that are not published are passed over. Errors: not_found when `target` is not published.
  base::Result<Offer> offer(const Digest& target, std::span<const Digest> have);
  /// Errors: not_found (blob), invalid_argument (number).
  base::Result<Bytes> index_page(const Digest& blob, std::uint32_t page);
  base::Result<Bytes> chunk(const Digest& blob, std::uint32_t number);

 private:
  /// Indexes kept parsed.
  static constexpr std::size_t kMaxCached = 16;
  struct Served {
    Digest blob{};
    ChunkIndex index{};
    std::vector<std::uint64_t> wire_offsets{};
    Bytes document{};
    Digest document_hash{};
  };
  /// Shared with the cache, which may drop it while it is being read.
  using ServedPointer = std::shared_ptr<const Served>;
  base::Result<ServedPointer> served(const Digest& blob);
  base::Result<Route> whole_route(const Served& target, std::span<const Digest> have);
  base::Storage* storage_;
  std::list<ServedPointer> cache_;  ///< newest first
};

}  // namespace wayside::ota
