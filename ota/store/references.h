// SPDX-License-Identifier: Apache-2.0
// Reference counts, derived from the manifests of pinned versions whenever they are wanted and kept nowhere.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "base/result.h"
#include "ota/store/digest.h"

namespace wayside::ota {

/// All blobs that one pinned version needs, its manifest and signatures included.
using Closure = std::function<base::Result<std::vector<Digest>>(const Digest& manifest)>;

/// How many pinned versions need each blob. An error of `closure` is an error here: then nothing may be collected.
[[nodiscard]] base::Result<std::map<Digest, unsigned>> count_references(std::span<const Digest> pinned,
                                                                        const Closure& closure);
/// The keys of count_references(): what BlobStore::collect() must keep.
[[nodiscard]] base::Result<std::set<Digest>> live_blobs(std::span<const Digest> pinned, const Closure& closure);

}  // namespace wayside::ota
