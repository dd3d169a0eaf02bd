// SPDX-License-Identifier: Apache-2.0
// Pairs of pictures that show the same or not, to judge embeddings by.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {

struct PicturePair {
  std::size_t a = 0, b = 0;  ///< indices into PairList::files
  bool same = false;
};
struct PairList {
  std::vector<std::string> files;  ///< each once, in the order of their first mention
  std::vector<PicturePair> pairs;
};
/// Lines "FILE,FILE,1" (the same) or "FILE,FILE,0"; a first line without 0 or 1 at its end is skipped. File names
/// without folders. Errors: not_found, corrupt (names the line).
[[nodiscard]] base::Result<PairList> read_pairs(const std::filesystem::path& path);

/// -1..1; 0 where one of them is all zeros.
[[nodiscard]] double cosine(const ir::Values& a, const ir::Values& b);

}  // namespace wayside::optimizer
