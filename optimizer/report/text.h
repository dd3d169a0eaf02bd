// SPDX-License-Identifier: Apache-2.0
// Charset: what a text recogniser's classes spell, and the greedy reading of its scores.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/interpreter.h"

namespace wayside::optimizer {

/// One symbol a line in UTF-8, in the order of the network's classes; the last one is the blank of CTC.
class Charset {
 public:
  /// Errors: not_found, corrupt (an empty line, a symbol twice, fewer than two symbols).
  static base::Result<Charset> read(const std::filesystem::path& path);

  [[nodiscard]] std::size_t size() const { return symbols_.size(); }
  /// The classes that spell `text`, the longest symbol first. Errors: invalid_argument (names text and place).
  [[nodiscard]] base::Result<std::vector<int>> encode(std::string_view text) const;

 private:
  std::vector<std::string> symbols_;
};

/// Where the scores of a step lie: class c of step t at c * class_stride + t * step_stride.
struct TextLayout {
  std::size_t classes = 0, steps = 0, class_stride = 0, step_stride = 0;
};
/// Of an output [1,classes,steps] or [1,steps,classes] (ones anywhere). Errors: unsupported (no dimension of
/// `classes`).
[[nodiscard]] base::Result<TextLayout> text_layout(const ir::Shape& shape, std::size_t classes);

/// The best class of each step; repeated ones count once, the last class (blank) is left out.
/// Source: Graves et al., Connectionist Temporal Classification (2006), section 3.2, best path decoding.
[[nodiscard]] std::vector<int> read_text(const ir::Values& scores, const TextLayout& layout);

}  // namespace wayside::optimizer
