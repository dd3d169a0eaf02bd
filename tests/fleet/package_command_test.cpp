// SPDX-License-Identifier: Apache-2.0
// The whole way of an operator with the real program: keys, root, package, signatures, check, rotation; and wrong
// turns.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/shell.h"

namespace wayside::fleet {
namespace {

struct PackageCommandTest : testing::Test {
  std::filesystem::path folder;

  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) / ("package_command." + std::to_string(::getpid()));
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    for (const char* name : {"model.tflite", "in.bin", "out.bin"})
      std::ofstream(folder / name) << "contents of " << name;
    std::ofstream(folder / "recipe.json")
        << R"({"name":"street","role":"detector","version":"1.2.0","security_counter":5,
      "boards":["host"],"labels":["person"],
      "variants":[{"id":"cpu","accelerator":"cpu-int8","file":"model.tflite","limits":{"p99_us":33000}}],
      "golden":{"count":1,"inputs":"in.bin","outputs":"out.bin","max_abs":1,"mean_abs_milli":100}})";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  /// Runs wayside in the folder; output (both streams) and exit status.
  std::pair<std::string, int> run(const std::string& arguments) {
    const auto line = "cd '" + folder.string() + "' && '" WAYSIDE_PROGRAM "' " + arguments + " 2>&1";
    return testing_support::shell(line);
  }
  void good(const std::string& arguments) {
    const auto [out, status] = run(arguments);
    ASSERT_EQ(status, 0) << arguments << "\n" << out;
  }
  void refused(const std::string& arguments, const std::string& name) {
    const auto [out, status] = run(arguments);
    EXPECT_EQ(status, 1) << arguments << "\n" << out;
    EXPECT_NE(out.find(name), std::string::npos) << arguments << "\n" << out;
  }
  void make_signed() {
    for (const char* key : {"r1", "r2", "p1", "p2"}) good(std::string("keys new ") + key);
    good(
        "keys root -o root.1.json --root r1.pub.pem r2.pub.pem --root-threshold 2 --packages p1.pub.pem p2.pub.pem "
        "--packages-threshold 2 --rollouts p1.pub.pem --rollouts-threshold 1 --sign r1.key.pem r2.key.pem");
    good("package make recipe.json -o street.wmp");
    good("package sign street.wmp --key p1.key.pem --key p2.key.pem");
  }
};

TEST_F(PackageCommandTest, a_compiled_model_becomes_the_first_variant) {
  make_signed();
  std::ofstream(folder / "street.hef") << "\x01HEF and what follows";
  std::ofstream(folder / "street.rknn") << "RKNN and what follows";
  good("package add street.wmp --accelerator hailo8 --file street.hef --requires 'hailort=>=4.20 <5' --p99-us 20000");
  refused("package verify street.wmp --root root.1.json", "no_signatures");
  good("package sign street.wmp --key p1.key.pem --key p2.key.pem");
  const auto [chosen, status] = run(
      "package verify street.wmp --root root.1.json --board host --runtime hailo8:hailort=4.23.0 --runtime cpu-int8");
  EXPECT_EQ(status, 0);
  EXPECT_NE(chosen.find("variant hailo8"), std::string::npos) << chosen;
  const auto [fallback, other] = run("package verify street.wmp --root root.1.json --board host --runtime cpu-int8");
  EXPECT_NE(fallback.find("variant cpu"), std::string::npos) << fallback;
  // The same again with another file replaces it: nothing of the old one stays.
  std::ofstream(folder / "newer.hef") << "\x01HEF of another release";
  good("package add street.wmp --accelerator hailo8 --file newer.hef --requires 'hailort=>=4.20 <5'");
  const auto shown = nlohmann::json::parse(run("package show street.wmp --json").first);
  EXPECT_EQ(shown["manifest"]["variants"].size(), 2U);
  EXPECT_EQ(shown["manifest"]["files"].size(), 4U);
}

TEST_F(PackageCommandTest, a_variant_brings_its_own_golden_set) {
  make_signed();
  std::ofstream(folder / "street.engine") << "ptrt and what follows";
  std::filesystem::create_directories(folder / "float");
  std::ofstream(folder / "float/golden.in") << "floats";
  const std::string add = "package add street.wmp --accelerator tensorrt --file street.engine --golden float";
  refused(add, "golden.out");
  std::ofstream(folder / "float/golden.out") << "other floats";
  good(add + " --golden-cases 3 --golden-max-abs 20 --golden-mean-abs-milli 2000");
  const auto shown = nlohmann::json::parse(run("package show street.wmp --json").first)["manifest"];
  EXPECT_EQ(shown["files"].size(), 6U);
  EXPECT_EQ(shown["variants"][0]["golden"]["count"], 3);
  EXPECT_EQ(shown["variants"][0]["golden"]["max_abs"], 20);
  EXPECT_FALSE(shown["variants"][1].contains("golden"));
  good("package sign street.wmp --key p1.key.pem --key p2.key.pem");
  good("package verify street.wmp --root root.1.json --board host --runtime tensorrt");
}

TEST_F(PackageCommandTest, a_recipe_names_golden_sets_of_variants) {
  std::ofstream(folder / "recipe.json") << R"({"name":"street","role":"detector","version":"1.2.0","security_counter":5,
      "variants":[{"id":"cpu","accelerator":"cpu-int8","file":"model.tflite",
                   "golden":{"count":2,"inputs":"out.bin","outputs":"in.bin"}}],
      "golden":{"count":1,"inputs":"in.bin","outputs":"out.bin"}})";
  good("package make recipe.json -o street.wmp");
  const auto shown = nlohmann::json::parse(run("package show street.wmp --json").first)["manifest"];
  EXPECT_EQ(shown["variants"][0]["golden"]["inputs"], shown["golden"]["outputs"]);
  EXPECT_EQ(shown["variants"][0]["golden"]["count"], 2);
}

TEST_F(PackageCommandTest, a_file_of_another_tool_is_no_compiled_model) {
  make_signed();
  std::ofstream(folder / "street.rknn") << "RKNN and what follows";
  std::ofstream(folder / "short.hef") << "\x01HE";
  std::ofstream(folder / "street.engine") << "ptrt and what follows";
  refused("package add street.wmp --accelerator hailo8 --file street.rknn", "not a Hailo executable (.hef)");
  refused("package add street.wmp --accelerator hailo8 --file short.hef", "not a Hailo executable (.hef)");
  refused("package add street.wmp --accelerator tensorrt --file street.rknn", "not a TensorRT engine");
  refused("package add street.wmp --accelerator tensorrt --compile --file street.engine", "not a .onnx file");
  refused("package add street.wmp --accelerator rk3588 --file street.rknn --requires librknnrt", "bad_requirement");
  refused("package add street.wmp --accelerator rk3588 --file absent.rknn", "absent.rknn");
  good("package verify street.wmp --root root.1.json");  // untouched by all of them
  good("package add street.wmp --accelerator rk3588 --file street.rknn --requires 'librknnrt=>=1.6'");
  good("package add street.wmp --accelerator tensorrt --file street.engine --requires 'tensorrt=>=8.2 <8.3'");
}

TEST_F(PackageCommandTest, a_firmware_is_a_package_of_its_own_type) {
  make_signed();
  std::ofstream(folder / "os.raucb") << "a bundle";
  const auto recipe = [&](const std::string& accelerator) {
    std::ofstream(folder / "os.json") << R"({"role":"firmware","name":"os","version":"1.4.0+g12","security_counter":1,
      "boards":[],"variants":[{"id":"i5","accelerator":")" +
                                             accelerator +
                                             R"(","file":"os.raucb","requires":{"compatible":"wayside-core-i5"},
      "provides":[{"accelerator":"cpu-int8","versions":{}}]}]})";
  };
  recipe("cpu-int8");
  refused("package make os.json -o os.wmp", "out_of_range");  // a model's runtime installs no firmware
  recipe("rauc");
  good("package make os.json -o os.wmp");
  good("package sign os.wmp --key p1.key.pem --key p2.key.pem");
  const std::string verify =
      "package verify os.wmp --root root.1.json --board any --json --runtime rauc:compatible=wayside-";
  const auto [out, status] = run(verify + "core-i5");
  ASSERT_EQ(status, 0) << out;
  EXPECT_EQ(nlohmann::json::parse(out)["variant"], "i5");
  refused(verify + "pi5", "no_variant_for_runtime");
  const auto [shown, shown_status] = run("package show os.wmp --envelope os.envelope.json --json");
  ASSERT_EQ(shown_status, 0) << shown;
  EXPECT_EQ(nlohmann::json::parse(shown)["manifest"]["type"], "wayside-firmware/1");
}

TEST_F(PackageCommandTest, from_keys_to_a_checked_package) {
  make_signed();
  const auto [out, status] = run("package verify street.wmp --root root.1.json --board host --runtime cpu-int8 --json");
  ASSERT_EQ(status, 0) << out;
  const auto json = nlohmann::json::parse(out);
  EXPECT_EQ(json["variant"], "cpu");
  EXPECT_EQ(json["security_counter"], 5);
  good("package show street.wmp --envelope street.envelope.json");
  EXPECT_TRUE(std::filesystem::exists(folder / "street.envelope.json"));
  EXPECT_EQ(std::filesystem::status(folder / "p1.key.pem").permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(PackageCommandTest, wrong_turns_end_with_their_code) {
  make_signed();
  const std::string verify = "package verify street.wmp --root root.1.json ";
  refused(verify + "--board other --runtime cpu-int8", "foreign_board");
  refused(verify + "--board host --runtime hailo8:hailort=4.20.0", "no_variant_for_runtime");
  refused(verify + "--board host --runtime cpu-int8 --counter 6", "rollback");
  refused(verify + "--now 4000000000", "root_expired");
  refused("package verify nothing.wmp --root root.1.json", "E-OTA-0001");
  refused("keys new p1", "E-OTA-0001");
  good("package make recipe.json -o half.wmp");
  refused("package verify half.wmp --root root.1.json", "no_signatures");
  good("package sign half.wmp --key p1.key.pem");
  refused("package verify half.wmp --root root.1.json --json", "threshold_not_met");
  good("keys new stranger");
  good("package sign half.wmp --key stranger.key.pem");
  refused("package verify half.wmp --root root.1.json", "unknown_key");
  std::filesystem::resize_file(folder / "street.wmp", std::filesystem::file_size(folder / "street.wmp") - 1);
  refused(verify, "truncated");
  refused("package sign street.wmp --key p1.key.pem", "truncated");
}

TEST_F(PackageCommandTest, rotation_needs_old_and_new_holders) {
  make_signed();
  good("keys new r3");
  const std::string rotate = "keys rotate --current root.1.json -o root.2.json --root r1.pub.pem r3.pub.pem ";
  refused(rotate + "--sign r1.key.pem r3.key.pem", "root_threshold_old");
  EXPECT_FALSE(std::filesystem::exists(folder / "root.2.json")) << "what no device would follow is not written";
  good(rotate + "--sign r1.key.pem r2.key.pem r3.key.pem");
  good("package verify street.wmp --root root.1.json root.2.json");
  refused("package verify street.wmp --root root.2.json", "E-OTA-");
}

TEST_F(PackageCommandTest, a_recipe_that_lacks_something_says_what) {
  std::ofstream(folder / "bad.json") << R"({"name":"street","role":"detector","version":"1.2.0","security_counter":5,
      "variants":[{"id":"cpu","accelerator":"cpu-int8","file":"missing.tflite"}]})";
  refused("package make bad.json -o bad.wmp", "missing.tflite");
  std::ofstream(folder / "bad.json") << R"({"name":"a/b","role":"detector","version":"1.2.0","security_counter":5,
      "variants":[{"id":"cpu","accelerator":"cpu-int8","file":"model.tflite"}],
      "golden":{"count":1,"inputs":"in.bin","outputs":"out.bin"}})";
  refused("package make bad.json -o bad.wmp", "bad_text");
}

}  // namespace
}  // namespace wayside::fleet
