// SPDX-License-Identifier: Apache-2.0
// The reading visitor over base::Fields, and overrides put into the node tree before it reads.
#include "agent/config_reader.h"

#include <charconv>
#include <format>

#include "agent/config_fields.h"
#include "base/config.h"

namespace wayside::agent {
namespace {

using base::Code;
using base::YamlNode;

/// Nodes that come from the command line have no line.
constexpr int kOverrideLine = 0;

class Reader final : public FieldVisitor {
 public:
  Reader(const YamlNode& node, const std::filesystem::path& file, std::string_view path, std::string& first_error)
      : node_(node), file_(file), fields_(node, file.string(), path), first_error_(first_error) {}

  /// Reports unknown keys and whatever was wrong; call once, after all fields were visited.
  void finish() {
    auto done = fields_.finish();
    if (!done && first_error_.empty()) first_error_ = done.error().message;
  }

  void text(Key key, std::string& value, TextKind kind) override {
    require(key);
    if (!fields_.read(key.name, value)) return;
    if (kind == TextKind::path) value = resolved(key, value);
    constexpr std::string_view kReplay = "replay:";
    if (kind == TextKind::camera && value.starts_with(kReplay)) {
      value = std::string(kReplay) + resolved(key, value.substr(kReplay.size()));
    }
  }
  void choice(Key key, std::string& value, std::span<const std::string_view> choices) override {
    require(key);
    std::size_t index = 0;
    if (fields_.read_choice(key.name, index, {choices.begin(), choices.end()})) value = choices[index];
  }
  void integer(Key key, std::int64_t& value, Range<std::int64_t> range) override {
    require(key);
    fields_.read(key.name, value, {range.lowest, range.highest});
  }
  void number(Key key, double& value, Range<double> range) override {
    require(key);
    fields_.read(key.name, value, {range.lowest, range.highest});
  }
  void optional_number(Key key, std::optional<double>& value, Range<double> range) override {
    double given = 0;
    if (fields_.read(key.name, given, {range.lowest, range.highest})) value = given;
  }
  void flag(Key key, bool& value) override { fields_.read(key.name, value); }
  void texts(Key key, std::vector<std::string>& value) override {
    require(key);
    fields_.read(key.name, value);
  }
  void section(Key key, const Body& body) override {
    require(key);
    static const YamlNode kAbsent;
    const YamlNode* child = fields_.child(key.name);
    Reader inner(child != nullptr ? *child : kAbsent, file_, fields_.path_of(key.name), first_error_);
    body(inner);
    inner.finish();
  }
  void items(Key key, std::size_t, std::size_t max_count, const std::function<void(std::size_t)>& resize,
             const std::function<void(std::size_t, FieldVisitor&)>& item) override {
    require(key);
    const YamlNode* child = fields_.child(key.name);
    if (child == nullptr) return;
    if (child->kind != YamlNode::Kind::sequence) {
      fields_.reject(key.name, "must be a list, each item beginning with '-'");
      return;
    }
    if (child->items.size() > max_count) {
      fields_.reject(key.name, std::format("has {} items; at most {} are possible", child->items.size(), max_count));
      return;
    }
    resize(child->items.size());
    for (std::size_t index = 0; index < child->items.size(); ++index) {
      Reader inner(child->items[index], file_, std::format("{}.{}", fields_.path_of(key.name), index), first_error_);
      item(index, inner);
      inner.finish();
    }
  }

 private:
  void require(Key key) {
    if (key.required) fields_.require(key.name);
  }
  std::string resolved(Key key, const std::string& value) const {
    if (value.empty() || value.starts_with('/')) return value;
    const YamlNode* given = node_.find(key.name);
    if (given == nullptr || given->line == kOverrideLine) return value;  // from the working directory
    return (file_.parent_path() / value).lexically_normal().string();
  }

  const YamlNode& node_;
  const std::filesystem::path& file_;
  base::Fields fields_;
  std::string& first_error_;
};

/// The member `name` of a map or the item of a sequence by index; made where it is missing.
base::Result<YamlNode*> descend(YamlNode& node, const std::string& name, const Override& from) {
  if (node.kind == YamlNode::Kind::sequence) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (error != std::errc{} || end != name.data() + name.size() || index >= node.items.size()) {
      return base::fail(Code::invalid_argument, std::format("--set {}: \"{}\" is not an index of a list with {} items",
                                                            from.path, name, node.items.size()));
    }
    return &node.items[index];
  }
  if (node.kind == YamlNode::Kind::null) node.kind = YamlNode::Kind::map;
  if (node.kind != YamlNode::Kind::map) {
    return base::fail(Code::invalid_argument, std::format("--set {}: \"{}\" is below a single value", from.path, name));
  }
  for (auto& [key, member] : node.members) {
    if (key == name) return &member;
  }
  node.members.emplace_back(name, YamlNode{});
  return &node.members.back().node;
}

base::Result<void> apply(YamlNode& root, const Override& change) {
  YamlNode* node = &root;
  std::size_t start = 0;
  while (start <= change.path.size()) {
    const auto dot = std::min(change.path.find('.', start), change.path.size());
    WAYSIDE_TRY(node, descend(*node, change.path.substr(start, dot - start), change));
    start = dot + 1;
  }
  // The value may be any YAML, so that lists can be set: labels=[car, person].
  WAYSIDE_TRY(*node, base::parse_yaml(change.value, "--set " + change.path));
  node->line = kOverrideLine;
  return {};
}

}  // namespace

base::Result<Override> parse_override(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return base::fail(Code::invalid_argument, std::format("--set {}: write KEY=VALUE, e.g. mqtt.port=1884", text));
  }
  return Override{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

base::Result<Config> read_config(const std::filesystem::path& file, const std::vector<Override>& overrides) {
  auto root = base::load_yaml(file);
  if (!root) {
    if (root.error().code == Code::not_found) root.error().message += "; name an existing file with --config";
    return std::unexpected(std::move(root).error());
  }
  for (const auto& change : overrides) WAYSIDE_CHECK(apply(*root, change));
  Config config;
  std::string first_error;
  Reader reader(*root, file, "", first_error);
  config.visit(reader);
  reader.finish();
  if (first_error.empty()) return config;
  const std::string override_prefix = std::format("{}:{}: ", file.string(), kOverrideLine);
  if (first_error.starts_with(override_prefix)) first_error.replace(0, override_prefix.size(), "--set ");
  return base::fail(Code::invalid_argument, first_error);
}

}  // namespace wayside::agent
