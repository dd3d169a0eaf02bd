// SPDX-License-Identifier: Apache-2.0
// Configuration: defaults, errors with line and nearest key, overrides, printing and schema.
#include "agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/base/mqtt/test_broker.h"

namespace wayside::agent {
namespace {

using testing::HasSubstr;

class ConfigFile : public testing::Test {
 protected:
  base::Result<Config> load(std::string_view text, const std::vector<Override>& overrides = {}) {
    std::ofstream(path()) << text;
    return load_config(path(), overrides);
  }
  std::string error_of(std::string_view text, const std::vector<Override>& overrides = {}) {
    const auto config = load(text, overrides);
    return config ? "no error" : config.error().message;
  }
  std::filesystem::path path() const { return dir_.path() / "a.yaml"; }

  test::TempDir dir_;
};

constexpr std::string_view kMinimal =
    "version: 1\n"
    "device: {id: gate-1}\n"
    "mqtt: {host: broker.lan}\n"
    "camera: {source: \"synthetic:\"}\n"
    "models: [{file: street.tflite}]\n";

TEST_F(ConfigFile, UpdatesAreOffAndWantARoot) {
  EXPECT_FALSE(load(kMinimal)->ota.enable);
  const std::string base(kMinimal);
  EXPECT_THAT(error_of(base + "ota: {enable: true}\n"), HasSubstr("ota.root: is missing"));
  EXPECT_THAT(error_of(base + "ota: {enabel: true}\n"), HasSubstr(":6: "));
  EXPECT_THAT(error_of(base + "ota: {enabel: true}\n"), HasSubstr("enable"));
  EXPECT_THAT(error_of(base + "ota: {windows: [nine to five]}\n"), HasSubstr("ota.windows"));
  EXPECT_THAT(error_of(base + "ota: {shadow_one_in: 0}\n"), HasSubstr(":6: "));
  EXPECT_THAT(error_of(base + "ota: {site: a/b}\n"), HasSubstr("ota.site"));
  const auto config = load(base + "ota: {enable: true, root: root.json, windows: [22:00-05:00]}\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ota.root, (dir_.path() / "root.json").string());
  EXPECT_EQ(config->ota.dir, config->state_dir + "/ota");
}

TEST_F(ConfigFile, FiveLinesAreEnough) {
  const auto config = load(kMinimal);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->device.id, "gate-1");
  EXPECT_EQ(config->device.name, "gate-1");
  EXPECT_EQ(config->mqtt.port, 1883);
  EXPECT_EQ(config->mqtt.root, "te");
  EXPECT_EQ(config->models.at(0).role, "detector");
  EXPECT_EQ(config->models.at(0).file, (dir_.path() / "street.tflite").string());
  EXPECT_EQ(config->models.at(0).accelerator, std::vector<std::string>{"cpu-int8"});
  EXPECT_FALSE(config->models.at(0).score_threshold);
  EXPECT_FALSE(config->state_dir.empty());
}

TEST_F(ConfigFile, UnknownKeyNamesLineAndNearestKey) {
  EXPECT_THAT(error_of("version: 1\nmqtt:\n  host: a\n  prot: 1884\nmodels: [{file: x}]\n"),
              HasSubstr("a.yaml:4: mqtt.prot: unknown key; did you mean 'port'?"));
  EXPECT_THAT(error_of("version: 1\nmodels:\n  - fiel: x\n    role: detector\n"), HasSubstr("a.yaml:3: models.0"));
}

TEST_F(ConfigFile, RangesTypesAndMissingKeysAreNamed) {
  EXPECT_THAT(error_of("version: 1\nmqtt: {port: 70000}\nmodels: [{file: x}]\n"),
              HasSubstr(":2: mqtt.port: must be between 1 and 65535, not 70000"));
  EXPECT_THAT(error_of("version: 1\nmodels: [{file: x, threads: many}]\n"),
              HasSubstr("models.0.threads: must be a whole"));
  EXPECT_THAT(error_of("models: [{file: x}]\n"), HasSubstr("version: is required"));
  EXPECT_THAT(error_of("version: 2\nmodels: [{file: x}]\n"), HasSubstr("version: must be between 1 and 1, not 2"));
  EXPECT_THAT(error_of("version: 1\nmodels: [{role: detector}]\n"), HasSubstr("models.0.file: is required"));
  EXPECT_THAT(error_of("version: 1\n"), HasSubstr("models: is required"));
  EXPECT_THAT(error_of("version: 1\nmodels: []\n"), HasSubstr("models: is empty"));
  EXPECT_THAT(error_of("version: 1\nmodels: {file: x}\n"), HasSubstr("models: must be a list"));
  EXPECT_THAT(error_of("version: 1\nlog: {level: loud}\nmodels: [{file: x}]\n"),
              HasSubstr("log.level: must be one of debug, info, warn, error, not 'loud'"));
}

TEST_F(ConfigFile, ThreadsOfAModelHaveRangesAndNames) {
  const auto config = load(kMinimal, {{"models.0.threads", "4"}, {"models.0.spin_us", "0"}, {"models.0.cores", "big"}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->models[0].threads, 4);
  EXPECT_EQ(config->models[0].spin_us, 0);
  EXPECT_EQ(config->models[0].cores, "big");
  EXPECT_THAT(error_of(kMinimal, {{"models.0.spin_us", "10001"}}),
              HasSubstr("models.0.spin_us: must be between 0 and 10000, not 10001"));
  EXPECT_THAT(error_of(kMinimal, {{"models.0.cores", "huge"}}),
              HasSubstr("models.0.cores: must be one of any, big, little, not 'huge'"));
  EXPECT_THAT(error_of(kMinimal, {{"models.0.core", "big"}}), HasSubstr("did you mean 'cores'?"));
  EXPECT_THAT(error_of(kMinimal, {{"models.0.spin_ms", "5"}}), HasSubstr("did you mean 'spin_us'?"));
}

TEST_F(ConfigFile, IdsThatWouldEscapeTheirTopicAreRefused) {
  EXPECT_THAT(error_of("version: 1\ndevice: {id: \"a/b\"}\nmodels: [{file: x}]\n"), HasSubstr("device.id \"a/b\""));
  EXPECT_THAT(error_of("version: 1\nmodels: [{file: x}, {file: y}]\n"),
              HasSubstr("models: has 2 items; at most 1 are possible"));
}

TEST_F(ConfigFile, MissingFileSaysWhatToDo) {
  const auto config = load_config("/nonexistent/x.yaml");
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().message, HasSubstr("/nonexistent/x.yaml"));
  EXPECT_THAT(config.error().message, HasSubstr("--config"));
}

TEST_F(ConfigFile, RelativePathsStartAtTheFile) {
  const auto config = load(
      "version: 1\nmqtt: {password_file: secret}\ncamera: {source: \"replay:v.mjpeg?loop=1\"}\nmodels: [{file: "
      "../m/x.tflite}]\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->mqtt.password_file, (dir_.path() / "secret").string());
  EXPECT_EQ(config->camera.source, "replay:" + (dir_.path() / "v.mjpeg?loop=1").string());
  EXPECT_EQ(config->models[0].file, (dir_.path().parent_path() / "m/x.tflite").string());
}

TEST_F(ConfigFile, OverridesReplaceAndAdd) {
  const auto config = load(kMinimal, {{"mqtt.port", "1999"},
                                      {"models.0.file", "rel.tflite"},
                                      {"models.0.labels", "[car, person]"},
                                      {"telemetry.interval_s", "0.5"}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->mqtt.port, 1999);
  EXPECT_EQ(config->models[0].file, "rel.tflite");  // from the working directory
  EXPECT_EQ(config->models[0].labels, (std::vector<std::string>{"car", "person"}));
  EXPECT_DOUBLE_EQ(config->telemetry.interval_s, 0.5);
}

TEST_F(ConfigFile, BadOverridesAreNamedAsSuch) {
  EXPECT_THAT(error_of(kMinimal, {{"mqtt.prot", "1"}}),
              HasSubstr("--set mqtt.prot: unknown key; did you mean 'port'?"));
  EXPECT_THAT(error_of(kMinimal, {{"models.3.file", "x"}}), HasSubstr("not an index"));
  EXPECT_THAT(error_of(kMinimal, {{"mqtt.host.x", "x"}}), HasSubstr("below a single value"));
  EXPECT_FALSE(parse_override("novalue"));
  EXPECT_EQ(parse_override("a.b=c=d")->value, "c=d");
}

TEST_F(ConfigFile, PrintedConfigReadsBackTheSame) {
  const auto config =
      load(kMinimal, {{"models.0.score_threshold", "0.25"}, {"device.name", "\"Gate: north, \\\"1\\\"\""}});
  ASSERT_TRUE(config) << config.error().message;
  const std::string printed = to_yaml(*config);
  const auto again = load(printed);
  ASSERT_TRUE(again) << again.error().message << "\n" << printed;
  EXPECT_EQ(to_yaml(*again), printed);
  EXPECT_EQ(again->device.name, "Gate: north, \"1\"");
  EXPECT_EQ(again->models[0].score_threshold, 0.25);
}

TEST(ConfigSchema, NamesEverySectionAndItsDefaults) {
  const std::string schema = config_schema();
  for (const char* part : {"\"mqtt\"", "\"port\"", "\"maximum\": 65535", "\"additionalProperties\": false",
                           "\"models\"", "\"required\"", "\"enum\"", "draft/2020-12"}) {
    EXPECT_THAT(schema, HasSubstr(part));
  }
}

}  // namespace
}  // namespace wayside::agent
