// SPDX-License-Identifier: Apache-2.0
// Canonical JSON: sorted keys, no white space, integers only, one spelling for each document; and a reader that is
// strict.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ota/package/refusal.h"
#include "ota/store/digest.h"

namespace wayside::ota {

/// Deepest nesting of any document of ours is 5.
inline constexpr std::size_t kMaxJsonDepth = 8;
/// Longest single text.
inline constexpr std::size_t kMaxTextBytes = 256;

/// The one spelling of a value: sorted keys, no white space.
[[nodiscard]] std::string canonical(const nlohmann::json& value);
/// Untrusted text -> JSON. Refuses what is not exactly canonical(): so repeated keys, other spellings, fractions and
/// trailing bytes are refused too. Refusals: not_json, too_deep, not_an_integer, not_canonical.
[[nodiscard]] Checked<nlohmann::json> parse_canonical(std::string_view text);

/// Untrusted JSON in any spelling, for messages that are not signed. Refusals: not_json, too_deep.
[[nodiscard]] Checked<nlohmann::json> parse_bounded(std::string_view text);

/// Reads the fields of one object; the first problem is kept and all later reads do nothing. Call finish() at the end.
class ObjectReader {
 public:
  /// `where` starts every message ("variants[2]").
  ObjectReader(const nlohmann::json& object, std::string where);
  /// Printable ASCII without '/' and '\', not starting with '.': also safe where somebody makes a name of it.
  std::string name(const char* key);
  /// UTF-8 without control characters, at most kMaxTextBytes.
  std::string text(const char* key);
  std::int64_t integer(const char* key, std::int64_t min, std::int64_t max);
  bool boolean(const char* key);
  Digest digest(const char* key);
  /// The array, at most `max_items` long; null when wrong.
  const nlohmann::json* list(const char* key, std::size_t max_items);
  const nlohmann::json* object(const char* key, std::size_t max_items);
  std::vector<std::string> names(const char* key, std::size_t max_items);
  std::vector<std::string> texts(const char* key, std::size_t max_items);
  [[nodiscard]] bool has(const char* key) const;
  /// Takes over a refusal from elsewhere.
  void note(Refusal reason, const std::string& what);
  void note(const Refused& refused);
  [[nodiscard]] bool good() const { return !problem_; }
  /// Refuses fields that nobody asked for: what is signed must be understood.
  [[nodiscard]] Checked<void> finish();

 private:
  const nlohmann::json* find(const char* key, nlohmann::json::value_t type);
  std::string checked_text(const nlohmann::json& value, const std::string& what, bool as_name);
  const nlohmann::json& object_;
  std::string where_;
  std::vector<std::string> asked_;
  std::optional<Refused> problem_;
};

}  // namespace wayside::ota
