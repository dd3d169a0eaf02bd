// SPDX-License-Identifier: Apache-2.0
// Firmware in the updater: the same states as a model, and the models that must run on the new system.
#include <gtest/gtest.h>

#include "tests/ota/updater/sim_device.h"

namespace wayside::ota {
namespace {

struct FirmwareUpdate : testing::Test {
  base::FaultyStorage storage{1};
  SimWorld world;
  SimClock clock;
  std::optional<BlobStore> store;
  std::optional<SimGates> gates;
  std::optional<Updater> updater;

  static std::vector<Runtime> installer_and(std::vector<Runtime> models) {
    models.push_back({.accelerator = "rauc", .versions = {{"compatible", "host"}}});
    return models;
  }
  base::Result<void> try_boot(std::vector<Runtime> models = {{.accelerator = "cpu-int8"}}) {
    auto options = sim_options(world);
    options.facts.runtimes = installer_and(std::move(models));
    WAYSIDE_TRY(store, BlobStore::open(storage));
    gates.emplace(world, *store);
    WAYSIDE_TRY(updater, Updater::open(storage, *store, *gates, clock, std::move(options)));
    return {};
  }
  void SetUp() override {
    ASSERT_TRUE(try_boot());
    world.publish(world.make("1.0.0"));
    ASSERT_TRUE(start("1.0.0"));
    finish();
    ASSERT_EQ(model(), "1.0.0");
  }
  Digest publish_firmware(const std::string& version, std::vector<Runtime> provides, std::uint64_t counter = 1) {
    Manifest manifest{.name = "system", .role = "firmware", .version = version, .security_counter = counter};
    manifest.issued_unix_s = kSimNow_s - 1000;
    manifest.expires_unix_s = kSimNow_s + 100'000;
    const Digest bundle = world.upload("bundle " + version + std::string(5000, 'b'));
    manifest.variants = {{.id = "host",
                          .accelerator = "rauc",
                          .file = bundle,
                          .requires_ = {{"compatible", "host"}},
                          .provides = std::move(provides)}};
    manifest.files[bundle] = world.cloud.at(bundle).size();
    world.publish(manifest);
    return bundle;
  }
  Checked<void> start(const std::string& version, const std::string& role = "detector") {
    const auto offered = updater->offer(world.envelopes.at(version));
    if (!offered) return std::unexpected(offered.error());
    auto command = world.command(version);
    command.role = role;
    return updater->command(command);
  }
  bool finish() {
    for (int i = 0; i < 100; ++i) {
      const auto changed = updater->poll();
      if (!changed) return false;
      if (!*changed) return true;
    }
    return false;
  }
  std::string model() {
    const auto active = updater->active("detector");
    return active ? updater->manifest_of(active->manifest).value().version : "configured";
  }
};

TEST_F(FirmwareUpdate, a_bundle_is_installed_committed_and_not_kept) {
  const Digest bundle = publish_firmware("2.0.0", {{.accelerator = "cpu-int8"}}, 5);
  gates->install_step = Step::working();
  const int swaps = gates->swaps;
  ASSERT_TRUE(start("2.0.0", "firmware"));
  ASSERT_TRUE(finish());
  EXPECT_EQ(updater->state(), State::activating);
  EXPECT_TRUE(store->has(bundle)) << "RAUC reads it from there";
  EXPECT_EQ(gates->swaps, swaps);
  for (int restarts = 0; restarts < 5; ++restarts) ASSERT_TRUE(try_boot());  // is what it is for
  ASSERT_TRUE(finish());
  EXPECT_TRUE(updater->outcome("cmd-2.0.0")->committed);
  EXPECT_EQ(gates->installs, 1);
  EXPECT_FALSE(store->has(bundle)) << "it lives in its slot now";
  EXPECT_EQ(model(), "1.0.0");
  EXPECT_EQ(check_loadable(*updater, *store, "detector"), "");
  EXPECT_EQ(updater->counter_floor("firmware"), 5U);
  EXPECT_EQ(updater->counter_floor("detector"), 1U);
  publish_firmware("1.9.0", {{.accelerator = "cpu-int8"}}, 4);
  EXPECT_EQ(start("1.9.0", "firmware").error().reason, Refusal::rollback);
}

TEST_F(FirmwareUpdate, a_system_without_a_fitting_variant_is_refused_before_a_byte_is_fetched) {
  publish_firmware("2.0.0", {{.accelerator = "hailo8", .versions = {{"hailort", "5.0"}}}});
  const int fetches = gates->fetches;
  const auto refused = start("2.0.0", "firmware");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Refusal::no_variant_for_runtime);
  EXPECT_EQ(gates->fetches, fetches);
  publish_firmware("2.1.0", {{.accelerator = "cpu-int8"}});
  EXPECT_EQ(start("2.1.0").error().reason, Refusal::wrong_role) << "a firmware is no detector";
}

TEST_F(FirmwareUpdate, the_variants_of_the_new_system_come_before_the_restart_and_are_selected_after_it) {
  Manifest both = world.make("1.1.0");
  const Digest npu = world.upload("model for the npu");
  both.variants.push_back({.id = "npu", .accelerator = "hailo8", .file = npu, .requires_ = {{"hailort", ">=5.0"}}});
  both.files[npu] = world.cloud.at(npu).size();
  world.publish(both);
  ASSERT_TRUE(start("1.1.0"));
  ASSERT_TRUE(finish());
  EXPECT_FALSE(store->has(npu)) << "no use for it here";
  const std::vector<Runtime> next = {{.accelerator = "hailo8", .versions = {{"hailort", "5.1"}}}};
  publish_firmware("2.0.0", next);
  gates->install_step = Step::working();
  ASSERT_TRUE(start("2.0.0", "firmware"));
  ASSERT_TRUE(finish());
  EXPECT_EQ(gates->installs, 1);
  EXPECT_TRUE(store->has(npu));
  ASSERT_TRUE(try_boot(next));
  EXPECT_EQ(updater->active("detector")->variant, "npu");
  EXPECT_EQ(check_loadable(*updater, *store, "detector"), "");
  // The loader goes back to the old system: its own variant again, without a byte.
  ASSERT_TRUE(try_boot());
  EXPECT_EQ(updater->active("detector")->variant, "cpu");
  EXPECT_EQ(check_loadable(*updater, *store, "detector"), "");
}

TEST_F(FirmwareUpdate, a_signature_for_a_model_is_none_for_a_firmware) {
  Manifest manifest = world.make("3.0.0");
  manifest.role = "firmware";  // serialises as a firmware
  Envelope envelope{.type = std::string(kFirmwareType), .body = manifest.serialize()};
  envelope.signatures = {sign_document(world.key, kManifestType, envelope.body).value()};
  EXPECT_EQ(updater->offer(envelope.serialize()).error().reason, Refusal::bad_signature);
  envelope.type = kManifestType;
  EXPECT_EQ(updater->offer(envelope.serialize()).error().reason, Refusal::unknown_type);
}

TEST_F(FirmwareUpdate, a_power_cut_at_any_operation_leaves_the_model_and_an_end) {
  publish_firmware("2.0.0", {{.accelerator = "cpu-int8"}});
  const base::FaultyStorage before = storage;
  std::uint64_t points = 0, committed = 0;
  for (bool cut = true; cut; ++points) {
    storage = before;
    storage.cut_at(storage.operation_count() + points);
    if (try_boot() && start("2.0.0", "firmware")) finish();
    cut = storage.is_cut();
    storage.power_cut();
    ASSERT_TRUE(try_boot()) << points;
    ASSERT_EQ(model(), "1.0.0") << points;
    ASSERT_EQ(check_loadable(*updater, *store, "detector"), "") << points;
    ASSERT_TRUE(finish()) << points;
    ASSERT_EQ(updater->state(), State::idle) << points;
    if (const auto* outcome = updater->outcome("cmd-2.0.0")) committed += outcome->committed ? 1 : 0;
  }
  EXPECT_GT(points, 40U);
  EXPECT_GT(committed, 10U) << "what had begun was ended";
}

}  // namespace
}  // namespace wayside::ota
