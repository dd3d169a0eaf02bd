// SPDX-License-Identifier: Apache-2.0
// BlockMap: which blocks of a disk image hold data (a .bmap file), so that only these are written and each can be
// checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ota/store/digest.h"

namespace wayside::fleet {

inline constexpr std::size_t kMaxBlockMapBytes = std::size_t{8} << 20U;

/// Blocks first..last, both included, in units of BlockMap::block_bytes.
struct BlockRange {
  std::uint64_t first = 0, last = 0;
  std::optional<ota::Digest> sha256;  ///< of the range's bytes; the image's end cuts the last block short
};

/// Source of the format: bmap-tools, "bmap file format" versions 1.3 to 2.0.
struct BlockMap {
  std::uint64_t image_bytes = 0;
  std::uint64_t block_bytes = 4096;
  std::vector<BlockRange> ranges;  ///< ascending, disjoint, within the image

  /// Checks everything that the format promises, the file's own checksum included. Errors: corrupt (with the element
  /// that is wrong), unsupported (another major version, another checksum than SHA-256).
  static base::Result<BlockMap> parse(std::string_view xml);

  [[nodiscard]] std::uint64_t begin_bytes(const BlockRange& range) const { return range.first * block_bytes; }
  [[nodiscard]] std::uint64_t end_bytes(const BlockRange& range) const;
  [[nodiscard]] std::uint64_t mapped_bytes() const;
};

}  // namespace wayside::fleet
