// SPDX-License-Identifier: Apache-2.0
// A package of the optimiser passes what a device does with it: signatures, hashes, the golden set on the engine.
#include "optimizer/report/package.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/storage.h"
#include "optimizer/ir/assembler.h"
#include "optimizer/quantize/ptq.h"
#include "optimizer/report/engine_runner.h"
#include "optimizer/tflite/writer.h"
#include "ota/package/container.h"
#include "ota/package/keys.h"
#include "ota/package/signatures.h"

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;

class Package : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder);
    ir::Assembler assembler;
    ir::Op op{.kind = ir::OpKind::fully_connected, .inputs = {assembler.input("in", {1, 3})}};
    op.weight = {1, -2, 3, 4, 5, -6};
    op.bias = {0.5F, -0.5F};
    assembler.output(*assembler.append(std::move(op), "out"));
    std::vector<ir::Values> calibration;
    for (int i = 0; i < 100; ++i)
      calibration.push_back({static_cast<float>(i % 7), static_cast<float>(i % 5), static_cast<float>(i % 3)});
    for (int i = 0; i < 12; ++i) samples.push_back({.input = calibration[static_cast<std::size_t>(i)]});
    const auto quantized = quantize_after_training(assembler.take(), calibration, {0, 0}, {}, {});
    ASSERT_TRUE(quantized) << quantized.error().message;
    ASSERT_TRUE(save_file(folder / "m.tflite", *write_tflite(quantized->integer, "test")));
    report.variants = {{.name = "mse", .file = "m.tflite", .float_score = 0.913, .engine_score = 0.9125}};
    report.metric = "top-1";
    report.evaluation_samples = 12;
    report.chosen = 0;
  }
  void TearDown() override { fs::remove_all(folder); }
  base::Result<ota::ContainerHead> read() {
    auto head = ota::read_head(storage, options.out.filename());
    if (!head) return base::fail(base::Code::corrupt, head.error().message);
    return std::move(*head);
  }

  fs::path folder = fs::path(testing::TempDir()) / ("optimizer_package." + std::to_string(::getpid()));
  base::DiskStorage storage = *base::DiskStorage::open(folder);
  std::vector<TaskSample> samples;
  Report report;
  PackageOptions options{.name = "gate",
                         .role = "classifier",
                         .issued_unix_s = 1'800'000'000,
                         .labels = {"shut", "open"},
                         .dataset = "gates",
                         .out = folder / "gate.wmp"};
};

TEST_F(Package, SaysWhatWasMeasuredAndWhatIsAllowed) {
  const auto done = write_package(options, report, *parse_budget("latency<20ms"), folder, samples, nullptr);
  ASSERT_TRUE(done) << done.error().message;
  const auto head = read();
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->signatures, "[]");
  const auto manifest = ota::Manifest::parse(head->manifest);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_TRUE(ota::check_table(*head, *manifest));
  EXPECT_TRUE(ota::check_contents(storage, options.out.filename(), *head));
  EXPECT_EQ(manifest->variants[0].limits.p50_us, 20'000U);
  ASSERT_EQ(manifest->accuracy.size(), 2U);
  EXPECT_EQ(manifest->accuracy[0].value_ppm, 913'000);
  EXPECT_EQ(manifest->accuracy[1].value_ppm, 912'500);
  EXPECT_EQ(manifest->accuracy[1].samples, 12);
  EXPECT_EQ(manifest->golden.count, kGoldenSamples);
  EXPECT_EQ(manifest->labels[1], "open");
}

TEST_F(Package, GoldenOutputsAreWhatTheEngineAnswers) {
  ASSERT_TRUE(write_package(options, report, {}, folder, samples, nullptr));
  const auto head = read();
  ASSERT_TRUE(head);
  const auto manifest = ota::Manifest::parse(head->manifest);
  ASSERT_TRUE(manifest);
  const auto bytes_of = [&](const ota::Digest& digest) {
    std::vector<std::byte> bytes;
    EXPECT_TRUE(ota::reader_of(storage, options.out.filename(), *head)(digest, [&](std::span<const std::byte> part) {
      bytes.insert(bytes.end(), part.begin(), part.end());
      return base::Result<void>{};
    }));
    return bytes;
  };
  const auto inputs = bytes_of(manifest->golden.inputs), outputs = bytes_of(manifest->golden.outputs);
  ASSERT_EQ(inputs.size(), 3 * kGoldenSamples);
  ASSERT_EQ(outputs.size(), 2 * kGoldenSamples);
  const auto engine = accel::make_cpu_accelerator();
  const auto session = engine->load(folder / "m.tflite", {});
  ASSERT_TRUE(session);
  for (std::size_t i = 0; i < kGoldenSamples; ++i) {
    std::memcpy((*session)->input(0).data(), inputs.data() + 3 * i, 3);
    ASSERT_TRUE((*session)->run());
    EXPECT_EQ(std::memcmp((*session)->output(0).data(), outputs.data() + 2 * i, 2), 0) << i;
  }
}

TEST_F(Package, IsSignedByTheGivenKey) {
  const auto key = ota::SecretKey::generate();
  ASSERT_TRUE(key);
  std::ofstream(folder / "pack.key.pem") << *key->pem();
  options.key = folder / "pack.key.pem";
  ASSERT_TRUE(write_package(options, report, {}, folder, samples, nullptr));
  const auto head = read();
  ASSERT_TRUE(head);
  const auto signatures = ota::parse_signatures(head->signatures);
  ASSERT_TRUE(signatures);
  const auto known = *key->public_key();
  const std::map<ota::Digest, ota::PublicKey> keys{{known.id(), known}};
  EXPECT_TRUE(ota::verify_document(ota::kManifestType, head->manifest, *signatures, keys, {.keys = keys}));
  std::ofstream(folder / "pack.key.pem") << "no key";
  const auto refused = write_package(options, report, {}, folder, samples, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("pack.key.pem"), std::string::npos) << refused.error().message;
}

TEST_F(Package, RefusesWhatNoDeviceWouldTake) {
  options.version = "latest";
  const auto version = write_package(options, report, {}, folder, samples, nullptr);
  ASSERT_FALSE(version);
  EXPECT_NE(version.error().message.find("version"), std::string::npos) << version.error().message;
  report.chosen = -1;
  EXPECT_EQ(write_package(options, report, {}, folder, samples, nullptr).error().code, base::Code::bad_state);
}

}  // namespace
}  // namespace wayside::optimizer
