// SPDX-License-Identifier: Apache-2.0
// Version numbers, ranges and the match against a probed runtime.
#include "ota/package/variant.h"

#include <algorithm>
#include <charconv>
#include <format>

namespace wayside::ota {
namespace {

// Longer symbols first, so that ">=" is not taken for ">".
constexpr std::array<std::string_view, 5> kSymbols = {">=", "<=", ">", "<", "="};

bool is_range(std::string_view text) { return !text.empty() && std::string_view("<>=").contains(text.front()); }

}  // namespace

Checked<RuntimeVersion> RuntimeVersion::parse(std::string_view text) {
  RuntimeVersion version;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (auto& part : version.part) {
    const auto [next, error] = std::from_chars(at, end, part);
    if (error != std::errc{} || (next != end && *next != '.')) break;
    if (next == end) return version;
    at = next + 1;
  }
  return refuse(Refusal::bad_requirement, std::format("\"{}\" is no version of up to four dotted numbers", text));
}

Checked<VersionRange> VersionRange::parse(std::string_view text) {
  VersionRange range;
  while (!text.empty() && range.all_.size() < kMaxComparisons) {
    const auto* symbol = std::ranges::find_if(kSymbols, [&](auto each) { return text.starts_with(each); });
    if (symbol == kSymbols.end()) break;
    text.remove_prefix(symbol->size());
    const auto length = std::min(text.find(' '), text.size());
    const auto bound = RuntimeVersion::parse(text.substr(0, length));
    if (!bound) return std::unexpected(bound.error());
    range.all_.push_back({*symbol, *bound});
    text.remove_prefix(length);
    if (text.empty()) return range;
    text.remove_prefix(1);
  }
  return refuse(Refusal::bad_requirement, "a version range looks like: >=4.20 <4.21");
}

bool VersionRange::holds(const RuntimeVersion& version) const {
  return std::ranges::all_of(all_, [&](const Comparison& comparison) {
    if (comparison.symbol == ">=") return version >= comparison.bound;
    if (comparison.symbol == "<=") return version <= comparison.bound;
    if (comparison.symbol == ">") return version > comparison.bound;
    if (comparison.symbol == "<") return version < comparison.bound;
    return version == comparison.bound;
  });
}

Checked<void> check_requirements(const Requirements& requirements) {
  for (const auto& [name, value] : requirements) {
    if (!is_range(value)) continue;
    if (const auto range = VersionRange::parse(value); !range) {
      return refuse(Refusal::bad_requirement, std::format("requirement {}: {}", name, range.error().message));
    }
  }
  return {};
}

bool fits(const Requirements& requirements, const Runtime& runtime) {
  return std::ranges::all_of(requirements, [&](const auto& requirement) {
    const auto& [name, value] = requirement;
    const auto probed = runtime.versions.find(name);
    if (probed == runtime.versions.end()) return false;
    if (!is_range(value)) return probed->second == value;
    const auto range = VersionRange::parse(value);
    const auto version = RuntimeVersion::parse(probed->second);
    return range && version && range->holds(*version);
  });
}

}  // namespace wayside::ota
