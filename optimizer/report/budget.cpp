// SPDX-License-Identifier: Apache-2.0
// Reading and judging of budgets.
#include "optimizer/report/budget.h"

#include <array>
#include <charconv>
#include <cmath>
#include <format>

namespace wayside::optimizer {
namespace {

struct Unit {
  std::string_view limit, name;
  double factor;  ///< to the unit of Budget
};
constexpr std::array<Unit, 7> kUnits{{{"latency", "us", 1e-3},
                                      {"latency", "ms", 1},
                                      {"latency", "s", 1e3},
                                      {"size", "B", 1},
                                      {"size", "kB", 1e3},
                                      {"size", "MB", 1e6},
                                      {"drop", "%", 1}}};

std::optional<double>& place(Budget& budget, std::string_view limit) {
  if (limit == "latency") return budget.latency_ms;
  return limit == "size" ? budget.size_bytes : budget.drop_points;
}

}  // namespace

base::Result<Budget> parse_budget(std::string_view text) {
  Budget budget;
  while (!text.empty()) {
    const auto part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    const auto wrong = [&](std::string_view what) {
      return base::fail(base::Code::invalid_argument,
                        std::format("budget \"{}\": {}; write it like latency<20ms,size<2MB,drop<1%", part, what));
    };
    const auto less = part.find('<');
    if (less == std::string_view::npos) return wrong("no \"<\"");
    const auto limit = part.substr(0, less), amount = part.substr(less + 1);
    double value = 0;
    const auto [end, error] = std::from_chars(amount.data(), amount.data() + amount.size(), value);
    if (error != std::errc() || !std::isfinite(value) || value <= 0) return wrong("no positive number after \"<\"");
    const std::string_view unit(end, static_cast<std::size_t>(amount.data() + amount.size() - end));
    const Unit* found = nullptr;
    for (const Unit& one : kUnits) {
      if (one.limit == limit && one.name == unit) found = &one;
    }
    if (found == nullptr) return wrong("not latency (us, ms, s), size (B, kB, MB) or drop (%)");
    auto& entry = place(budget, limit);
    if (entry) return wrong("given twice");
    entry = value * found->factor;
  }
  return budget;
}

std::vector<std::string> misses(const Budget& budget, const Figures& figures) {
  std::vector<std::string> out;
  if (budget.latency_ms && figures.latency_ms >= *budget.latency_ms)
    out.push_back(std::format("latency {:.2f} ms, not below {:.2f} ms", figures.latency_ms, *budget.latency_ms));
  if (budget.size_bytes && figures.size_bytes >= *budget.size_bytes)
    out.push_back(std::format("size {:.0f} B, not below {:.0f} B", figures.size_bytes, *budget.size_bytes));
  if (budget.drop_points && figures.drop_points >= *budget.drop_points)
    out.push_back(std::format("drop {:.2f} points, not below {:.2f}", figures.drop_points, *budget.drop_points));
  return out;
}

}  // namespace wayside::optimizer
