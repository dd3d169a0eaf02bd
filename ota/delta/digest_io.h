// SPDX-License-Identifier: Apache-2.0
// Digests in binary documents.
#pragma once

#include <algorithm>

#include "ota/delta/wire.h"
#include "ota/store/digest.h"

namespace wayside::ota {

inline base::Result<Digest> read_digest(ByteReader& reader, std::string_view what) {
  WAYSIDE_TRY(const BytesView bytes, reader.bytes(kDigestBytes, what));
  Digest digest;
  std::ranges::copy(bytes, digest.bytes.begin());
  return digest;
}

}  // namespace wayside::ota
