// SPDX-License-Identifier: Apache-2.0
// YAML configuration: a node tree with line numbers, and a typed reader that rejects unknown keys with the nearest
// known one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wayside::base {

struct YamlMember;

/// One value of a parsed document. Plain data; strings are kept as written.
struct YamlNode {
  enum class Kind { null, scalar, sequence, map };
  Kind kind = Kind::null;
  int line = 0;         ///< 1-based
  bool quoted = false;  ///< a quoted scalar is a string even when it looks like a number
  std::string scalar;
  std::vector<YamlNode> items;      ///< of a sequence
  std::vector<YamlMember> members;  ///< of a map, in order
  [[nodiscard]] const YamlNode* find(std::string_view key) const;
};

/// Not a std::pair: clang cannot use one that holds a type of which it is itself a part.
struct YamlMember {
  std::string name;
  YamlNode node;
};

/// Bounds of an untrusted document.
inline constexpr std::size_t kMaxYamlBytes = 1U << 20;
inline constexpr int kMaxYamlDepth = 16;

/// Parses one document. Errors (Code::corrupt): "FILE:LINE: what". Duplicate keys, aliases and tags are refused.
Result<YamlNode> parse_yaml(std::string_view text, std::string_view file_name);
/// Reads and parses a file; not_found, io, corrupt.
Result<YamlNode> load_yaml(const std::filesystem::path& path);

/// Inclusive bounds of a number; open by default.
template <class T>
struct Range {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
};

/// Reads the members of one map, each by name, type and range; keys that nobody asked for are errors at finish().
/// The first error is kept; later reads are then harmless, so a caller reads everything and checks once:
///   Fields fields(node, "agent.yaml", "mqtt");
///   fields.read("host", config.host);
///   fields.read("port", config.port, {1, 65535});
///   WAYSIDE_CHECK(fields.finish());
/// Error text: "agent.yaml:7: mqtt.prot: unknown key; did you mean 'port'?".
class Fields {
 public:
  /// `node` must outlive this object; a null node reads as an empty map. `path` is "" for the document itself.
  Fields(const YamlNode& node, std::string_view file_name, std::string_view path);

  // Each leaves `value` (the default) alone when the key is absent; returns true when it was there and good.
  bool read(std::string_view key, std::string& value);
  bool read(std::string_view key, bool& value);  ///< true/false only
  bool read(std::string_view key, std::int64_t& value, Range<std::int64_t> range = {});
  bool read(std::string_view key, std::uint32_t& value, Range<std::uint32_t> range = {});
  bool read(std::string_view key, double& value, Range<double> range = {});
  bool read(std::string_view key, std::vector<std::string>& value);
  bool read(std::string_view key, std::vector<double>& value);
  /// A string out of a closed list; `value` becomes its index.
  bool read_choice(std::string_view key, std::size_t& value, const std::vector<std::string_view>& choices);
  /// A nested map or sequence (any kind); nullptr when absent.
  const YamlNode* child(std::string_view key);
  /// Makes the absence of `key` an error.
  void require(std::string_view key);
  /// Lets a caller report its own finding at a key's line.
  void reject(std::string_view key, std::string_view why);

  /// "mqtt.port" style path of a key, for nested readers and messages.
  [[nodiscard]] std::string path_of(std::string_view key) const;
  /// ok, or the first error: wrong type, out of range, missing, unknown key.
  Result<void> finish();

 private:
  const YamlNode* scalar(std::string_view key);
  void report(int line, std::string_view key, std::string_view what);

  const YamlNode* node_;
  std::string file_name_;
  std::string path_;
  std::vector<std::string> known_;
  std::string error_;
};

/// As it may stand in a message of one line: control characters become '?'.
[[nodiscard]] std::string printable(std::string text);

/// The candidate nearest to `word` by edit distance (at most a third of its length, at least 1, edits); empty if none
/// is near.
[[nodiscard]] std::string_view nearest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace wayside::base
