// SPDX-License-Identifier: Apache-2.0
// FieldVisitor: how the reader, the printer, the schema and the overrides walk over the fields of Config.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wayside::agent {

struct Key {
  std::string_view name;
  std::string_view help;  ///< one sentence
  bool required = false;
};

/// path: relative ones start at the folder of the configuration file. camera: the same for the path in "replay:PATH".
enum class TextKind { plain, path, camera };

template <class T>
struct Range {
  T lowest;
  T highest;
};

class FieldVisitor {
 public:
  using Body = std::function<void(FieldVisitor&)>;

  virtual ~FieldVisitor() = default;
  virtual void text(Key key, std::string& value, TextKind kind = TextKind::plain) = 0;
  virtual void choice(Key key, std::string& value, std::span<const std::string_view> choices) = 0;
  virtual void integer(Key key, std::int64_t& value, Range<std::int64_t> range) = 0;
  virtual void number(Key key, double& value, Range<double> range) = 0;
  virtual void optional_number(Key key, std::optional<double>& value, Range<double> range) = 0;
  virtual void flag(Key key, bool& value) = 0;
  virtual void texts(Key key, std::vector<std::string>& value) = 0;
  /// A map inside the map.
  virtual void section(Key key, const Body& body) = 0;
  /// A list of maps: at most `max_count`; `resize` sets their number, `item` visits one.
  virtual void items(Key key, std::size_t count, std::size_t max_count, const std::function<void(std::size_t)>& resize,
                     const std::function<void(std::size_t, FieldVisitor&)>& item) = 0;
};

}  // namespace wayside::agent
