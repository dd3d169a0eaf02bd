// SPDX-License-Identifier: Apache-2.0
// parse_yaml over yaml-cpp (the only file that includes it): events into our own bounded tree.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <format>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "base/config.h"

namespace wayside::base {
namespace {

/// What our reader refuses although YAML allows it; carries the line through yaml-cpp's parser.
struct Refused : std::runtime_error {
  Refused(int at_line, const std::string& what) : std::runtime_error(what), line(at_line) {}
  int line;
};

/// Builds the tree from parser events; aliases are refused, so a small text cannot make a large tree.
class TreeBuilder final : public YAML::EventHandler {
 public:
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    add({.kind = YamlNode::Kind::null, .line = mark.line + 1});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused(mark.line + 1, "aliases (*name) are not supported; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    check_tag(mark, tag);
    YamlNode node{.kind = YamlNode::Kind::scalar, .line = mark.line + 1, .quoted = tag == "!"};
    node.scalar = value;
    const bool plain_null = !node.quoted && (value.empty() || value == "~" || value == "null");
    if (plain_null && !expecting_key()) node.kind = YamlNode::Kind::null;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, YamlNode::Kind::sequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(mark, tag, YamlNode::Kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    YamlNode node;
    std::string key;
    bool has_key = false;
  };

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag != "?" && tag != "!" && !tag.empty()) throw Refused(mark.line + 1, "tags (" + tag + ") are not supported");
  }
  [[nodiscard]] bool expecting_key() const {
    return !stack_.empty() && stack_.back().node.kind == YamlNode::Kind::map && !stack_.back().has_key;
  }
  void open(const YAML::Mark& mark, const std::string& tag, YamlNode::Kind kind) {
    check_tag(mark, tag);
    if (expecting_key()) throw Refused(mark.line + 1, "a key must be a plain word");
    if (stack_.size() >= static_cast<std::size_t>(kMaxYamlDepth)) {
      throw Refused(mark.line + 1, std::format("nested deeper than {} levels", kMaxYamlDepth));
    }
    stack_.push_back({.node = {.kind = kind, .line = mark.line + 1}});
  }
  void close() {
    YamlNode done = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(done));
  }
  void add(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& top = stack_.back();
    if (top.node.kind == YamlNode::Kind::sequence) {
      top.node.items.push_back(std::move(node));
    } else if (!top.has_key) {
      if (node.kind != YamlNode::Kind::scalar) throw Refused(node.line, "a key must be a plain word");
      if (top.node.find(node.scalar) != nullptr)
        throw Refused(node.line, "key '" + node.scalar + "' stands here twice");
      top.key = node.scalar;
      top.has_key = true;
    } else {
      top.node.members.emplace_back(std::move(top.key), std::move(node));
      top.has_key = false;
    }
  }

  YamlNode root_;
  std::vector<Level> stack_;
};

}  // namespace

Result<YamlNode> parse_yaml(std::string_view text, std::string_view file_name) {
  if (text.size() > kMaxYamlBytes) {
    return fail(Code::corrupt, std::format("{}: larger than {} bytes", file_name, kMaxYamlBytes));
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    parser.HandleNextDocument(builder);
    return builder.take();
  } catch (const Refused& refused) {
    return fail(Code::corrupt, printable(std::format("{}:{}: {}", file_name, refused.line, refused.what())));
  } catch (const YAML::Exception& error) {
    return fail(Code::corrupt, printable(std::format("{}:{}: {}", file_name, error.mark.line + 1, error.msg)));
  }
}

Result<YamlNode> load_yaml(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno(path.string());
  std::string text(kMaxYamlBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return fail(Code::io, path.string() + ": cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_yaml(text, path.string());
}

}  // namespace wayside::base
