// SPDX-License-Identifier: Apache-2.0
// Bad models through the real updater and the real engine: none is committed; a good one is never sent back.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "agent/ota/session_gate.h"
#include "base/log.h"
#include "tests/accel/model_builder.h"
#include "tests/ota/updater/sim_device.h"
#include "tests/support/figures.h"

namespace wayside::agent {
namespace {

using accel::cpu::OpCode;
using accel::cpu::testing::ModelBuilder;
namespace schema = accel::cpu::schema;
using ota::Step;
using Bytes = std::vector<std::byte>;

constexpr unsigned kCases = 8;
constexpr std::size_t kInputBytes = 4 * 4 * 2;
constexpr std::size_t kOutputBytes = 3;

/// Tensors: 0 input, 1 conv weights [4,3,3,2], 2 bias, 3 conv out, 4 pooled, 6 flat, 7 dense weights [3,16], 8 logits
/// (the output: a softmax would hide differences).
ModelBuilder good_model() {
  auto model = accel::cpu::testing::small_model();
  model.ops.pop_back();
  model.outputs = {8};
  return model;
}

struct BadModel {
  std::string name;
  std::function<Bytes(ModelBuilder)> make;
  bool in_probation = false;  ///< passes the self-test, shows at work (played by the gate)
};

BadModel bent(std::string name, std::function<void(ModelBuilder&)> bend) {
  return {std::move(name), [bend](ModelBuilder model) {
            bend(model);
            return model.build();
          }};
}

std::vector<BadModel> damaged_numbers() {
  std::vector<BadModel> all;
  all.push_back(bent("NaN scale of the output", [](auto& m) { m.tensors[8].scales = {std::nanf("")}; }));
  all.push_back(bent("NaN scale of the weights", [](auto& m) { m.tensors[1].scales[2] = std::nanf(""); }));
  all.push_back(bent("infinite scale", [](auto& m) { m.tensors[3].scales = {INFINITY}; }));
  all.push_back(bent("scale of zero", [](auto& m) { m.tensors[0].scales = {0.0F}; }));
  all.push_back(bent("negative scale", [](auto& m) { m.tensors[7].scales = {-0.01F}; }));
  all.push_back(bent("wrong zero point of the input", [](auto& m) { m.tensors[0].zero_points = {40}; }));
  all.push_back(bent("wrong zero point of the output", [](auto& m) { m.tensors[8].zero_points = {20}; }));
  all.push_back(bent("input scale of another mean and deviation", [](auto& m) { m.tensors[0].scales = {0.06F}; }));
  all.push_back(bent("output scale twice", [](auto& m) { m.tensors[8].scales = {0.2F}; }));
  all.push_back(bent("per-channel scales in another order",
                     [](auto& m) { std::swap(m.tensors[1].scales[0], m.tensors[1].scales[1]); }));
  all.push_back(bent("bias lost", [](auto& m) { m.tensors[2].data.assign(16, 0); }));
  all.push_back(bent("weights of zero", [](auto& m) { m.tensors[7].data.assign(48, 0); }));
  all.push_back(bent("weights with the sign turned", [](auto& m) {
    for (auto& byte : m.tensors[7].data) byte = static_cast<std::uint8_t>(byte == 128 ? 127 : -byte);
  }));
  all.push_back(bent("weights moved by one",
                     [](auto& m) { std::ranges::rotate(m.tensors[1].data, m.tensors[1].data.begin() + 1); }));
  return all;
}

std::vector<BadModel> damaged_meaning() {
  std::vector<BadModel> all;
  all.push_back(bent("classes permuted",
                     [](auto& m) { std::ranges::rotate(m.tensors[7].data, m.tensors[7].data.begin() + 16); }));
  all.push_back(bent("colour channels swapped", [](auto& m) {
    for (std::size_t i = 0; i + 1 < m.tensors[1].data.size(); i += 2)
      std::swap(m.tensors[1].data[i], m.tensors[1].data[i + 1]);
  }));
  all.push_back(bent("another architecture: no activation", [](auto& m) {
    m.ops[0].options = [](auto& fbb) { return schema::CreateConv2DOptions(fbb, schema::Padding::SAME, 1, 1).Union(); };
  }));
  all.push_back(bent("another input size", [](auto& m) { m.tensors[0].shape = {1, 8, 8, 2}; }));
  all.push_back(bent("the untrained one", [](auto& m) {
    unsigned seed = 7;
    for (auto& byte : m.tensors[7].data)
      byte = static_cast<std::uint8_t>((seed = seed * 1664525U + 1013904223U) >> 24U);
  }));
  all.push_back(bent("an unknown operator", [](auto& m) { m.ops[1].code = 9999; }));
  all.push_back(bent("the output is an inner tensor", [](auto& m) { m.outputs = {4}; }));
  all.push_back({"cut in the middle", [](const ModelBuilder& m) {
                   auto bytes = m.build();
                   bytes.resize(bytes.size() / 2);
                   return bytes;
                 }});
  all.push_back({"no model at all", [](const ModelBuilder&) { return Bytes(500, std::byte{0x5a}); }});
  all.push_back(bent("needs more memory than was signed", [](auto& m) {
    // A second branch that the answer does not need: the golden set passes, the signed limits do not.
    const auto weights = m.tensor({.name = "big",
                                   .shape = {200'000, 16},
                                   .scales = {0.01F},
                                   .zero_points = {0},
                                   .data = std::vector<std::uint8_t>(200'000UL * 16, 1)});
    const auto out = m.activation({1, 200'000}, 0.1F, 0);
    // (an output of its own would change the golden file, so nothing reads it)
    m.op(OpCode::fully_connected, {6, weights, -1}, {out}, schema::BuiltinOptions::FullyConnectedOptions,
         [](auto& fbb) { return schema::CreateFullyConnectedOptions(fbb); });
  }));
  for (const char* name : {"ends the process after a while", "leaks memory", "halves the frame rate"}) {
    all.push_back({name, [](const ModelBuilder& m) { return m.build(); }, true});
  }
  return all;
}

/// The golden gate is real; transfer, pipeline and probation are played.
class RealSelfTest final : public ota::Gates {
 public:
  RealSelfTest(const ota::SimWorld& world, ota::BlobStore& store, std::filesystem::path root)
      : played_(world, store), store_(&store), options_{.store_root = std::move(root), .bench_runs = 5} {}

  Step fetch(const ota::Task& task, const std::vector<ota::Blob>& missing) override {
    return played_.fetch(task, missing);
  }
  Step compile(const ota::Task& task) override { return played_.compile(task); }
  Step self_test(const ota::Task& task) override {
    auto report = test_model(*accelerator_, *store_, task, options_, base::Clock::real());
    if (report.verdict.kind == Step::Kind::model_failed) ++caught;
    return report.verdict;
  }
  Step shadow(const ota::Task& task) override { return played_.shadow(task); }
  Step swap(const std::string& role, const std::optional<ota::Installed>& to) override {
    return played_.swap(role, to);
  }
  Step watch(const ota::Task& task) override { return played_.watch(task); }
  void forget(const ota::Job& job) override { played_.forget(job); }

  ota::SimGates& played() { return played_; }
  unsigned caught = 0;

 private:
  ota::SimGates played_;
  ota::BlobStore* store_;
  SessionGateOptions options_;
  std::unique_ptr<accel::Accelerator> accelerator_ = accel::make_cpu_accelerator();
};

struct BadModelsTest : testing::Test {
  ota::SimWorld world;
  ota::SimClock clock;
  std::filesystem::path root;
  std::optional<base::DiskStorage> disk;
  std::optional<ota::BlobStore> store;
  std::optional<RealSelfTest> gates;
  std::optional<ota::Updater> updater;
  Bytes inputs, outputs;
  unsigned made = 0;

  void SetUp() override {
    base::init_logging(base::LogLevel::error);
    const std::filesystem::path place = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir();
    root = place / ("wayside_bad_models." + std::to_string(::getpid()));
    std::filesystem::remove_all(root);
    disk.emplace(base::DiskStorage::open(root).value());
    store.emplace(ota::BlobStore::open(*disk).value());
    gates.emplace(world, *store, root);
    updater.emplace(ota::Updater::open(*disk, *store, *gates, clock, ota::sim_options(world)).value());
    make_golden();
  }
  void TearDown() override { std::filesystem::remove_all(root); }

  /// Expected outputs by the engine itself from the good model: the package's maker measured them so.
  void make_golden() {
    unsigned seed = 1;
    inputs.resize(kCases * kInputBytes);
    for (auto& byte : inputs) byte = static_cast<std::byte>((seed = seed * 1664525U + 1013904223U) >> 24U);
    const auto file = root / "good.tflite";
    const auto model = good_model().build();
    ASSERT_TRUE(disk->write("good.tflite", model));
    const auto accelerator = accel::make_cpu_accelerator();
    const auto session = accelerator->load(file, {.thread_count = 1});
    ASSERT_TRUE(session) << session.error().message;
    for (unsigned i = 0; i < kCases; ++i) {
      std::ranges::copy(std::span(inputs).subspan(i * kInputBytes, kInputBytes), (*session)->input(0).begin());
      ASSERT_TRUE((*session)->run());
      const auto out = (*session)->output(0);
      ASSERT_EQ(out.size(), kOutputBytes);
      outputs.insert(outputs.end(), out.begin(), out.end());
    }
  }

  ota::Digest upload(Bytes bytes) {
    const auto digest = ota::sha256_of(bytes).value();
    world.cloud[digest] = std::move(bytes);
    return digest;
  }
  /// Installs a model in a package of its own; true when it was committed.
  bool install(const Bytes& model, bool in_probation = false) {
    const auto version = std::to_string(++made) + ".0.0";
    auto manifest = world.make(version);
    manifest.variants = {
        {.id = "cpu", .accelerator = "cpu-int8", .file = upload(model), .limits = {.ram_bytes = 1 << 20}}};
    manifest.golden = {
        .count = kCases, .inputs = upload(inputs), .outputs = upload(outputs), .max_abs = 1, .mean_abs_milli = 50};
    manifest.files.clear();
    for (const auto& digest : manifest.referenced()) manifest.files[digest] = world.cloud.at(digest).size();
    world.publish(manifest);
    if (in_probation) gates->played().bad_watch.insert(version);
    EXPECT_TRUE(updater->offer(world.envelopes.at(version)));
    const auto started = updater->command(world.command(version));
    EXPECT_TRUE(started) << describe(started.error());
    while (updater->poll().value()) {
    }
    const auto* outcome = updater->outcome("cmd-" + version);
    EXPECT_NE(outcome, nullptr);
    if (outcome != nullptr) last_reason = outcome->reason;
    return outcome != nullptr && outcome->committed;
  }
  std::string last_reason;
};

TEST_F(BadModelsTest, none_is_committed_and_the_good_one_stays) {
  ASSERT_TRUE(install(good_model().build())) << last_reason;
  const auto good = updater->active("detector");
  auto all = damaged_numbers();
  for (auto& more : damaged_meaning()) all.push_back(std::move(more));
  unsigned committed = 0;
  for (const auto& bad : all) {
    const auto before = gates->caught;
    const bool accepted = install(bad.make(good_model()), bad.in_probation);
    committed += accepted ? 1 : 0;
    EXPECT_FALSE(accepted) << bad.name;
    EXPECT_EQ(gates->caught, before + (bad.in_probation ? 0 : 1)) << bad.name << ": " << last_reason;
    EXPECT_EQ(updater->active("detector"), good) << bad.name;
  }
  EXPECT_GE(all.size(), 20U);
  testing_support::figure("bad_models", all.size());
  testing_support::figure("bad_models_committed", committed);
}

TEST_F(BadModelsTest, a_good_model_is_never_sent_back) {
  const auto trials = testing_support::tries<unsigned>({.test = 50, .quick = 200, .ci = 1000, .full = 1000});
  unsigned reverts = 0;
  for (unsigned i = 0; i < trials; ++i) {
    auto model = good_model();
    model.tensors[0].name = "input of build " + std::to_string(i);  // other bytes, the same answers
    reverts += install(model.build()) ? 0 : 1;
    ASSERT_EQ(reverts, 0U) << "trial " << i << ": " << last_reason;
  }
  testing_support::figure("good_model_trials", trials);
  testing_support::figure("false_reverts", reverts);
}

}  // namespace
}  // namespace wayside::agent
