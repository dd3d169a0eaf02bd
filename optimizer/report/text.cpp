// SPDX-License-Identifier: Apache-2.0
// Symbols to classes, scores to symbols.
#include "optimizer/report/text.h"

#include <algorithm>
#include <format>
#include <utility>

#include "optimizer/data/lines.h"
#include "optimizer/data/picture.h"

namespace wayside::optimizer {

using base::Code;
using base::fail;
using base::Result;

Result<Charset> Charset::read(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto bytes, read_bytes(path));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Charset charset;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.empty() || std::ranges::contains(charset.symbols_, line))
      return fail(Code::corrupt, std::format("{}: line {} is empty or a symbol that was there already", path.string(),
                                             charset.symbols_.size() + 1));
    charset.symbols_.emplace_back(line);
  }
  if (charset.size() < 2)
    return fail(Code::corrupt, std::format("{}: no symbols; write one a line, the blank last", path.string()));
  return charset;
}

Result<std::vector<int>> Charset::encode(std::string_view text) const {
  std::vector<int> out;
  for (std::string_view rest = text; !rest.empty();) {
    std::size_t best = symbols_.size();
    for (std::size_t i = 0; i + 1 < symbols_.size(); ++i) {
      if (rest.starts_with(symbols_[i]) && (best == symbols_.size() || symbols_[i].size() > symbols_[best].size()))
        best = i;
    }
    if (best == symbols_.size())
      return fail(Code::invalid_argument,
                  std::format("\"{}\": byte {} begins no symbol of the charset", text, text.size() - rest.size()));
    out.push_back(static_cast<int>(best));
    rest.remove_prefix(symbols_[best].size());
  }
  return out;
}

Result<TextLayout> text_layout(const ir::Shape& shape, std::size_t classes) {
  ir::Shape plain = shape;
  std::erase(plain, 1);
  const auto is_class = [&](std::size_t axis) { return static_cast<std::size_t>(plain[axis]) == classes; };
  if (plain.size() != 2 || (!is_class(0) && !is_class(1)))
    return fail(
        Code::unsupported,
        std::format("output {}; supported is [1,{},steps] or [1,steps,{}], one class for each line of the charset",
                    ir::to_string(shape), classes, classes));
  const auto rows = static_cast<std::size_t>(plain[0]), columns = static_cast<std::size_t>(plain[1]);
  if (is_class(0)) return TextLayout{.classes = rows, .steps = columns, .class_stride = columns, .step_stride = 1};
  return TextLayout{.classes = columns, .steps = rows, .class_stride = 1, .step_stride = columns};
}

std::vector<int> read_text(const ir::Values& scores, const TextLayout& layout) {
  std::vector<int> out;
  const std::size_t blank = layout.classes - 1;
  std::size_t last = blank;
  for (std::size_t t = 0; t < layout.steps; ++t) {
    std::size_t best = 0;
    const auto score = [&](std::size_t c) { return scores[c * layout.class_stride + t * layout.step_stride]; };
    for (std::size_t c = 1; c < layout.classes; ++c) best = score(c) > score(best) ? c : best;
    if (best != blank && best != last) out.push_back(static_cast<int>(best));
    last = best;
  }
  return out;
}

}  // namespace wayside::optimizer
