// SPDX-License-Identifier: Apache-2.0
// Fields: typed reading of a YAML map with ranges, unknown keys and "did you mean".
#include "base/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <format>

namespace wayside::base {
namespace {

/// Levenshtein distance; both words are short keys.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

template <class T>
std::string range_text(T min, T max) {
  const bool low = min != std::numeric_limits<T>::lowest();
  const bool high = max != std::numeric_limits<T>::max();
  if (low && high) return std::format("between {} and {}", min, max);
  if (low) return std::format("at least {}", min);
  return std::format("at most {}", max);
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto found = std::ranges::find(members, key, &YamlMember::name);
  return found == members.end() ? nullptr : &found->node;
}

std::string printable(std::string text) {
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return text;
}

std::string_view nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
  // Two swapped letters are two edits, so words of four letters and more may differ by two.
  const std::size_t limit = std::max<std::size_t>(word.size() < 4 ? 1 : 2, word.size() / 3);
  std::string_view best;
  std::size_t best_distance = limit + 1;
  for (const auto& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

Fields::Fields(const YamlNode& node, std::string_view file_name, std::string_view path)
    : node_(&node), file_name_(file_name), path_(path) {
  if (node.kind != YamlNode::Kind::map && node.kind != YamlNode::Kind::null) {
    report(node.line, "", "must be a map of keys and values");
  }
}

std::string Fields::path_of(std::string_view key) const {
  if (path_.empty()) return std::string(key);
  return key.empty() ? path_ : path_ + "." + std::string(key);
}

void Fields::report(int line, std::string_view key, std::string_view what) {
  if (!error_.empty()) return;
  const std::string path = path_of(key);
  error_ = printable(path.empty() ? std::format("{}:{}: {}", file_name_, line, what)
                                  : std::format("{}:{}: {}: {}", file_name_, line, path, what));
}

const YamlNode* Fields::child(std::string_view key) {
  known_.emplace_back(key);
  const YamlNode* found = node_->find(key);
  return found != nullptr && found->kind != YamlNode::Kind::null ? found : nullptr;
}

const YamlNode* Fields::scalar(std::string_view key) {
  const YamlNode* found = child(key);
  if (found == nullptr) return nullptr;
  if (found->kind == YamlNode::Kind::scalar) return found;
  report(found->line, key, "must be a single value, not a list or a map");
  return nullptr;
}

void Fields::require(std::string_view key) {
  if (child(key) == nullptr) report(node_->line, key, "is required");
}

void Fields::reject(std::string_view key, std::string_view why) {
  const YamlNode* found = node_->find(key);
  report(found != nullptr ? found->line : node_->line, key, why);
}

bool Fields::read(std::string_view key, std::string& value) {
  const YamlNode* found = scalar(key);
  if (found == nullptr) return false;
  value = found->scalar;
  return true;
}

bool Fields::read(std::string_view key, bool& value) {
  const YamlNode* found = scalar(key);
  if (found == nullptr) return false;
  if (found->quoted || (found->scalar != "true" && found->scalar != "false")) {
    report(found->line, key, std::format("must be true or false, not '{}'", found->scalar));
    return false;
  }
  value = found->scalar == "true";
  return true;
}

bool Fields::read(std::string_view key, std::int64_t& value, Range<std::int64_t> range) {
  const YamlNode* found = scalar(key);
  if (found == nullptr) return false;
  std::int64_t number = 0;
  if (found->quoted || !parse_number(found->scalar, number)) {
    report(found->line, key, std::format("must be a whole number, not '{}'", found->scalar));
    return false;
  }
  if (number < range.min || number > range.max) {
    report(found->line, key, std::format("must be {}, not {}", range_text(range.min, range.max), number));
    return false;
  }
  value = number;
  return true;
}

bool Fields::read(std::string_view key, std::uint32_t& value, Range<std::uint32_t> range) {
  std::int64_t wide = value;
  if (!read(key, wide, Range<std::int64_t>{range.min, range.max})) return false;
  value = static_cast<std::uint32_t>(wide);
  return true;
}

bool Fields::read(std::string_view key, double& value, Range<double> range) {
  const YamlNode* found = scalar(key);
  if (found == nullptr) return false;
  double number = 0;
  if (found->quoted || !parse_number(found->scalar, number) || !std::isfinite(number)) {
    report(found->line, key, std::format("must be a number, not '{}'", found->scalar));
    return false;
  }
  if (number < range.min || number > range.max) {
    report(found->line, key, std::format("must be {}, not {}", range_text(range.min, range.max), number));
    return false;
  }
  value = number;
  return true;
}

bool Fields::read(std::string_view key, std::vector<std::string>& value) {
  const YamlNode* found = child(key);
  if (found == nullptr) return false;
  std::vector<std::string> list;
  for (const auto& item : found->items) {
    if (item.kind != YamlNode::Kind::scalar) break;
    list.push_back(item.scalar);
  }
  if (found->kind != YamlNode::Kind::sequence || list.size() != found->items.size()) {
    report(found->line, key, "must be a list of words");
    return false;
  }
  value = std::move(list);
  return true;
}

bool Fields::read(std::string_view key, std::vector<double>& value) {
  const YamlNode* found = child(key);
  if (found == nullptr) return false;
  std::vector<double> list;
  for (const auto& item : found->items) {
    double number = 0;
    if (item.kind != YamlNode::Kind::scalar || !parse_number(item.scalar, number) || !std::isfinite(number)) break;
    list.push_back(number);
  }
  if (found->kind != YamlNode::Kind::sequence || list.size() != found->items.size()) {
    report(found->line, key, "must be a list of numbers");
    return false;
  }
  value = std::move(list);
  return true;
}

bool Fields::read_choice(std::string_view key, std::size_t& value, const std::vector<std::string_view>& choices) {
  const YamlNode* found = scalar(key);
  if (found == nullptr) return false;
  const auto match = std::ranges::find(choices, std::string_view(found->scalar));
  if (match == choices.end()) {
    std::string list;
    for (const auto choice : choices) list += (list.empty() ? "" : ", ") + std::string(choice);
    report(found->line, key, std::format("must be one of {}, not '{}'", list, found->scalar));
    return false;
  }
  value = static_cast<std::size_t>(match - choices.begin());
  return true;
}

Result<void> Fields::finish() {
  if (error_.empty()) {
    for (const auto& [key, member] : node_->members) {
      if (std::ranges::find(known_, key) != known_.end()) continue;
      const std::string_view near = nearest_word(key, known_);
      report(member.line, key,
             near.empty() ? std::string("unknown key") : std::format("unknown key; did you mean '{}'?", near));
      break;
    }
  }
  if (error_.empty()) return {};
  return fail(Code::invalid_argument, error_);
}

}  // namespace wayside::base
