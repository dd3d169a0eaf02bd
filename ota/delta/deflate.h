// SPDX-License-Identifier: Apache-2.0
// Raw deflate of one chunk, by zlib, with the size of the result known in advance.
#pragma once

#include "ota/delta/wire.h"

namespace wayside::ota {

/// The deflated bytes, or nothing where that would not be smaller: then the chunk travels as it is.
[[nodiscard]] base::Result<Bytes> deflate_chunk(BytesView raw);

/// Inflates untrusted bytes into exactly `raw_bytes`; never writes more. Memory: the result and about 40 KiB.
/// Errors: corrupt when the stream is damaged, has another size, or goes on after its end.
[[nodiscard]] base::Result<Bytes> inflate_chunk(BytesView deflated, std::size_t raw_bytes);

}  // namespace wayside::ota
