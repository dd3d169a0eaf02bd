// SPDX-License-Identifier: Apache-2.0
// The printing visitors: the effective configuration as YAML, and the JSON Schema of the file.
#include <format>
#include <nlohmann/json.hpp>

#include "agent/config.h"
#include "agent/config_fields.h"

namespace wayside::agent {
namespace {

using Json = nlohmann::ordered_json;

/// JSON strings are valid YAML strings; plain words need no quotes.
std::string yaml_text(const std::string& value) {
  const bool plain =
      !value.empty() &&
      value.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/") == std::string::npos;
  const bool keyword = value == "true" || value == "false" || value == "null" || value == "yes" || value == "no";
  return plain && !keyword ? value : Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

class YamlPrinter final : public FieldVisitor {
 public:
  explicit YamlPrinter(std::string& out, int depth) : out_(out), depth_(depth) {}

  void text(Key key, std::string& value, TextKind) override { line(key, yaml_text(value)); }
  void choice(Key key, std::string& value, std::span<const std::string_view>) override { line(key, yaml_text(value)); }
  void integer(Key key, std::int64_t& value, Range<std::int64_t>) override { line(key, std::to_string(value)); }
  void number(Key key, double& value, Range<double>) override { line(key, std::format("{}", value)); }
  void optional_number(Key key, std::optional<double>& value, Range<double>) override {
    if (value) line(key, std::format("{}", *value));
  }
  void flag(Key key, bool& value) override { line(key, value ? "true" : "false"); }
  void texts(Key key, std::vector<std::string>& value) override {
    std::string list;
    for (const auto& item : value) list += (list.empty() ? "" : ", ") + yaml_text(item);
    line(key, "[" + list + "]");
  }
  void section(Key key, const Body& body) override {
    line(key, "");
    YamlPrinter inner(out_, depth_ + 1);
    body(inner);
  }
  void items(Key key, std::size_t count, std::size_t, const std::function<void(std::size_t)>&,
             const std::function<void(std::size_t, FieldVisitor&)>& item) override {
    line(key, "");
    for (std::size_t index = 0; index < count; ++index) {
      const auto start = out_.size();
      YamlPrinter inner(out_, depth_ + 2);
      item(index, inner);
      out_[start + static_cast<std::size_t>(2 * (depth_ + 1))] = '-';  // the two spaces before the first key
    }
  }

 private:
  void line(Key key, const std::string& value) {
    out_ += std::format("{:{}}{}:{}{}\n", "", 2 * depth_, key.name, value.empty() ? "" : " ", value);
  }
  std::string& out_;
  int depth_;
};

class LinePrinter final : public FieldVisitor {
 public:
  LinePrinter(std::string& out, std::string path) : out_(out), path_(std::move(path)) {}

  void text(Key key, std::string& value, TextKind) override { field(key, yaml_text(value)); }
  void choice(Key key, std::string& value, std::span<const std::string_view>) override { field(key, value); }
  void integer(Key key, std::int64_t& value, Range<std::int64_t>) override { field(key, std::to_string(value)); }
  void number(Key key, double& value, Range<double>) override { field(key, std::format("{}", value)); }
  void optional_number(Key key, std::optional<double>& value, Range<double>) override {
    if (value) field(key, std::format("{}", *value));
  }
  void flag(Key key, bool& value) override { field(key, value ? "true" : "false"); }
  void texts(Key key, std::vector<std::string>& value) override { field(key, Json(value).dump()); }
  void section(Key key, const Body& body) override {
    LinePrinter inner(out_, path_ + std::string(key.name) + ".");
    body(inner);
  }
  void items(Key key, std::size_t count, std::size_t, const std::function<void(std::size_t)>&,
             const std::function<void(std::size_t, FieldVisitor&)>& item) override {
    for (std::size_t index = 0; index < count; ++index) {
      LinePrinter inner(out_, std::format("{}{}.{}.", path_, key.name, index));
      item(index, inner);
    }
  }

 private:
  void field(Key key, const std::string& value) {
    out_ += std::format("{}{}{}={}", out_.empty() ? "" : " ", path_, key.name, value);
  }
  std::string& out_;
  std::string path_;
};

class SchemaPrinter final : public FieldVisitor {
 public:
  Json schema = {{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};

  void text(Key key, std::string& value, TextKind) override { add(key, {{"type", "string"}, {"default", value}}); }
  void choice(Key key, std::string& value, std::span<const std::string_view> choices) override {
    add(key, {{"enum", std::vector<std::string>(choices.begin(), choices.end())}, {"default", value}});
  }
  void integer(Key key, std::int64_t& value, Range<std::int64_t> range) override {
    add(key, {{"type", "integer"}, {"minimum", range.lowest}, {"maximum", range.highest}, {"default", value}});
  }
  void number(Key key, double& value, Range<double> range) override {
    add(key, {{"type", "number"}, {"minimum", range.lowest}, {"maximum", range.highest}, {"default", value}});
  }
  void optional_number(Key key, std::optional<double>&, Range<double> range) override {
    add(key, {{"type", "number"}, {"minimum", range.lowest}, {"maximum", range.highest}});
  }
  void flag(Key key, bool& value) override { add(key, {{"type", "boolean"}, {"default", value}}); }
  void texts(Key key, std::vector<std::string>& value) override {
    add(key, {{"type", "array"}, {"items", {{"type", "string"}}}, {"default", value}});
  }
  void section(Key key, const Body& body) override {
    SchemaPrinter inner;
    body(inner);
    add(key, std::move(inner.schema));
  }
  void items(Key key, std::size_t, std::size_t max_count, const std::function<void(std::size_t)>& resize,
             const std::function<void(std::size_t, FieldVisitor&)>& item) override {
    resize(1);  // the defaults of one item tell the schema of all
    SchemaPrinter inner;
    item(0, inner);
    add(key, {{"type", "array"}, {"minItems", 1}, {"maxItems", max_count}, {"items", std::move(inner.schema)}});
  }

 private:
  void add(Key key, Json field) {
    field["description"] = key.help;
    schema["properties"][std::string(key.name)] = std::move(field);
    if (key.required) schema["required"].push_back(key.name);
  }
};

}  // namespace

std::string to_yaml(const Config& config) {
  std::string out;
  Config copy = config;
  YamlPrinter printer(out, 0);
  copy.visit(printer);
  return out;
}

std::string to_one_line(const Config& config) {
  std::string out;
  Config copy = config;
  LinePrinter printer(out, "");
  copy.visit(printer);
  return out;
}

std::string config_schema() {
  Config defaults;
  SchemaPrinter printer;
  defaults.visit(printer);
  printer.schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  printer.schema["title"] = "Wayside device configuration, version 1";
  return printer.schema.dump(2);
}

}  // namespace wayside::agent
