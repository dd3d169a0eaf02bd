// SPDX-License-Identifier: Apache-2.0
// YAML parsing with bounds, and the typed reader's messages.
#include "base/config.h"

#include <gtest/gtest.h>

namespace wayside::base {
namespace {

YamlNode parse(std::string_view text) {
  auto parsed = parse_yaml(text, "t.yaml");
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? *parsed : YamlNode{};
}

std::string parse_error(std::string_view text) {
  const auto parsed = parse_yaml(text, "t.yaml");
  return parsed ? "no error" : parsed.error().message;
}

TEST(YamlTest, builds_a_tree_with_lines) {
  const YamlNode root = parse("a: 1\nb:\n  - x\n  - {c: 'd'}\n");
  ASSERT_EQ(root.kind, YamlNode::Kind::map);
  EXPECT_EQ(root.find("a")->scalar, "1");
  EXPECT_EQ(root.find("a")->line, 1);
  const YamlNode* list = root.find("b");
  ASSERT_EQ(list->items.size(), 2U);
  EXPECT_EQ(list->items[1].find("c")->scalar, "d");
  EXPECT_TRUE(list->items[1].find("c")->quoted);
  EXPECT_EQ(list->items[1].line, 4);
}

TEST(YamlTest, refuses_what_is_dangerous_or_unclear) {
  EXPECT_EQ(parse_error("a: 1\na: 2\n"), "t.yaml:2: key 'a' stands here twice");
  EXPECT_EQ(parse_error("a: &x 1\nb: *x\n"), "t.yaml:2: aliases (*name) are not supported; write the value out");
  EXPECT_EQ(parse_error("a: !!binary x\n").rfind("t.yaml:1: tags", 0), 0U);
  EXPECT_EQ(parse_error("a: [1, 2\nb: 3\n").rfind("t.yaml:", 0), 0U);
  EXPECT_NE(parse_error(std::string(40, '[')), "no error");
  EXPECT_NE(parse_error(std::string(kMaxYamlBytes + 1, ' ')), "no error");
  EXPECT_EQ(parse("").kind, YamlNode::Kind::null);
}

struct Sample {
  std::string host = "localhost";
  std::uint32_t port = 1883;
  double rate_hz = 0;
  bool tls = false;
  std::size_t mode = 0;
  std::vector<std::string> names;
};

Result<Sample> read_sample(std::string_view text) {
  WAYSIDE_TRY(const YamlNode root, parse_yaml(text, "t.yaml"));
  Sample sample;
  Fields fields(root, "t.yaml", "mqtt");
  fields.read("host", sample.host);
  fields.read("port", sample.port, {1, 65535});
  fields.read("rate_hz", sample.rate_hz, {0, 240});
  fields.read("tls", sample.tls);
  fields.read_choice("mode", sample.mode, {"fast", "safe"});
  fields.read("names", sample.names);
  WAYSIDE_CHECK(fields.finish());
  return sample;
}

std::string sample_error(std::string_view text) {
  const auto sample = read_sample(text);
  return sample ? "no error" : sample.error().message;
}

TEST(FieldsTest, reads_values_and_keeps_defaults) {
  const auto sample = read_sample("host: b\nrate_hz: 12.5\ntls: true\nmode: safe\nnames: [x, y]\n");
  ASSERT_TRUE(sample) << sample.error().message;
  EXPECT_EQ(sample->host, "b");
  EXPECT_EQ(sample->port, 1883U);
  EXPECT_DOUBLE_EQ(sample->rate_hz, 12.5);
  EXPECT_TRUE(sample->tls);
  EXPECT_EQ(sample->mode, 1U);
  EXPECT_EQ(sample->names, (std::vector<std::string>{"x", "y"}));
}

TEST(FieldsTest, every_mistake_names_line_key_and_remedy) {
  EXPECT_EQ(sample_error("host: b\nprot: 1\n"), "t.yaml:2: mqtt.prot: unknown key; did you mean 'port'?");
  EXPECT_EQ(sample_error("zzzzzz: 1\n"), "t.yaml:1: mqtt.zzzzzz: unknown key");
  EXPECT_EQ(sample_error("port: 70000\n"), "t.yaml:1: mqtt.port: must be between 1 and 65535, not 70000");
  EXPECT_EQ(sample_error("port: '80'\n"), "t.yaml:1: mqtt.port: must be a whole number, not '80'");
  EXPECT_EQ(sample_error("port: -1\n"), "t.yaml:1: mqtt.port: must be between 1 and 65535, not -1");
  EXPECT_EQ(sample_error("rate_hz: nan\n"), "t.yaml:1: mqtt.rate_hz: must be a number, not 'nan'");
  EXPECT_EQ(sample_error("tls: yes\n"), "t.yaml:1: mqtt.tls: must be true or false, not 'yes'");
  EXPECT_EQ(sample_error("mode: slow\n"), "t.yaml:1: mqtt.mode: must be one of fast, safe, not 'slow'");
  EXPECT_EQ(sample_error("host: [a]\n"), "t.yaml:1: mqtt.host: must be a single value, not a list or a map");
  EXPECT_EQ(sample_error("names: x\n"), "t.yaml:1: mqtt.names: must be a list of words");
  EXPECT_EQ(sample_error("- a\n"), "t.yaml:1: mqtt: must be a map of keys and values");
}

TEST(FieldsTest, messages_are_one_line_whatever_the_file_says) {
  EXPECT_EQ(parse_error("a: \"\\\x01\"\n"), "t.yaml:1: unknown escape character: ?");
  EXPECT_EQ(parse_error("\"a\\n\": 1\n\"a\\n\": 2\n"), "t.yaml:2: key 'a?' stands here twice");
  const YamlNode root = parse("flag: \"yes\\x1b[1m\\nno\"\n");
  Fields fields(root, "t.yaml", "");
  bool flag = false;
  EXPECT_FALSE(fields.read("flag", flag));
  EXPECT_EQ(fields.finish().error().message, "t.yaml:1: flag: must be true or false, not 'yes?[1m?no'");
}

TEST(FieldsTest, required_keys) {
  const YamlNode root = parse("a: 1\n");
  Fields fields(root, "t.yaml", "");
  fields.require("b");
  EXPECT_EQ(fields.finish().error().message, "t.yaml:1: b: is required");
}

TEST(NearestWordTest, only_near_words_are_offered) {
  EXPECT_EQ(nearest_word("widht_px", {"width_px", "height_px"}), "width_px");
  EXPECT_EQ(nearest_word("banana", {"width_px", "height_px"}), "");
}

}  // namespace
}  // namespace wayside::base
