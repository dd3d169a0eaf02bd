// SPDX-License-Identifier: Apache-2.0
// Reading of pairs, and the angle between two embeddings.
#include "optimizer/report/pairs.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <string_view>

#include "optimizer/data/lines.h"
#include "optimizer/data/picture.h"

namespace wayside::optimizer {
namespace {

std::size_t index_of(std::vector<std::string>& files, std::string_view name) {
  const auto found = std::ranges::find(files, name);
  if (found != files.end()) return static_cast<std::size_t>(found - files.begin());
  files.emplace_back(name);
  return files.size() - 1;
}

}  // namespace

base::Result<PairList> read_pairs(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto bytes, read_bytes(path));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  PairList out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    const auto first = line.find(','), second = line.find(',', first + 1);
    const auto answer = second == std::string_view::npos ? std::string_view() : line.substr(second + 1);
    if (number == 1 && answer != "0" && answer != "1") continue;
    const auto a = line.substr(0, first), b = line.substr(first + 1, second - first - 1);
    if ((answer != "0" && answer != "1") || a.empty() || b.empty() || line.contains('/'))
      return base::fail(base::Code::corrupt,
                        std::format("{}: line {} is not FILE,FILE,0 or FILE,FILE,1", path.string(), number));
    const std::size_t left = index_of(out.files, a), right = index_of(out.files, b);
    out.pairs.push_back({.a = left, .b = right, .same = answer == "1"});
  }
  return out;
}

double cosine(const ir::Values& a, const ir::Values& b) {
  double product = 0, left = 0, right = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    product += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    left += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    right += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return left > 0 && right > 0 ? product / std::sqrt(left * right) : 0;
}

}  // namespace wayside::optimizer
