// SPDX-License-Identifier: Apache-2.0
// Content-defined chunker: cuts a file where its content says so, so that an insertion moves few cuts.
#pragma once

#include "ota/delta/wire.h"

namespace wayside::ota {

/// FastCDC with a gear hash and normalised cutting (Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking
/// Approach for Data Deduplication", USENIX ATC 2016): before kNormalChunkBytes a cut needs 16 zero bits of the hash,
/// after it 12, which brings the sizes near to kNormalChunkBytes. The numbers and the gear table are part of the
/// format: two versions of a file share chunks only if both were cut with the same.
inline constexpr std::size_t kMinChunkBytes = 4 * 1024;
inline constexpr std::size_t kNormalChunkBytes = 16 * 1024;
inline constexpr std::size_t kMaxChunkBytes = 64 * 1024;

/// Size of the first chunk of `data`, which is the rest of the file or at least kMaxChunkBytes of it. 0 for no data.
[[nodiscard]] std::size_t first_chunk_bytes(BytesView data);

}  // namespace wayside::ota
