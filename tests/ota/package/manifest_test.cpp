// SPDX-License-Identifier: Apache-2.0
// Manifests and packages that are right: there and back, chosen for this board, written and read.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/ota/package/package_kit.h"

namespace wayside::ota {
namespace {

TEST(ManifestTest, there_and_back_is_the_same_text) {
  PackageKit kit;
  kit.manifest.card = kit.add("card");
  const auto text = kit.manifest.serialize();
  const auto parsed = Manifest::parse(text);
  ASSERT_TRUE(parsed) << describe(parsed.error());
  EXPECT_EQ(parsed->serialize(), text);
  EXPECT_EQ(parsed->blobs_of(parsed->variants[0]).size(), 4U) << "model, card, golden inputs and outputs";
  EXPECT_EQ(parsed->labels, kit.manifest.labels);
}

TEST(ManifestTest, a_variant_may_have_a_golden_set_of_its_own) {
  PackageKit kit;
  const auto without = kit.manifest.serialize();
  EXPECT_EQ(without.find(R"("golden":)"), without.rfind(R"("golden":)")) << "older readers take it as before";
  const Digest inputs = kit.add("in for a Hailo"), outputs = kit.add("out of a Hailo");
  kit.manifest.variants[0].golden = Golden{.count = 3, .inputs = inputs, .outputs = outputs, .max_abs = 4};
  const auto text = kit.manifest.serialize();
  const auto parsed = Manifest::parse(text);
  ASSERT_TRUE(parsed) << describe(parsed.error());
  EXPECT_EQ(parsed->serialize(), text);
  EXPECT_EQ(parsed->golden_of(parsed->variants[0]).count, 3U);
  EXPECT_EQ(parsed->golden_of(parsed->variants[1]).count, 2U) << "the package's";
  const auto fetched = parsed->blobs_of(parsed->variants[0]);
  EXPECT_TRUE(std::ranges::contains(fetched, inputs, &Blob::digest));
  EXPECT_FALSE(std::ranges::contains(fetched, parsed->golden.inputs, &Blob::digest)) << "what others need stays there";
  kit.manifest.files.erase(outputs);
  EXPECT_EQ(Manifest::parse(kit.manifest.serialize()).error().reason, Refusal::file_not_listed);
}

TEST(ManifestTest, the_first_runtime_that_a_variant_fits_wins) {
  PackageKit kit;
  EXPECT_EQ(choose_variant(kit.manifest, kit.device).value()->id, "hailo8");
  kit.device.runtimes[0].versions["hailort"] = "4.21.0";
  EXPECT_EQ(choose_variant(kit.manifest, kit.device).value()->id, "cpu") << "the runtime changed, so does the variant";
  kit.manifest.boards.clear();
  kit.device.board = "anything";
  EXPECT_TRUE(choose_variant(kit.manifest, kit.device));
}

TEST(ManifestTest, a_written_package_is_installed_and_rewritten) {
  const PackageKit kit;
  base::FaultyStorage storage(1);
  auto store = BlobStore::open(storage).value();
  const auto text = kit.manifest.serialize();
  ASSERT_TRUE(storage.write("expected", kit.package()));
  const auto expected = read_head(storage, "expected").value();
  ASSERT_TRUE(write_container(storage, "out", text, expected.signatures, kit.manifest.files,
                              reader_of(storage, "expected", expected)));
  EXPECT_EQ(storage.read("out", 1 << 20).value(), kit.package()) << "two writers, one format";
  const auto installed = kit.install(storage, "out", store);
  ASSERT_TRUE(installed) << describe(installed.error());
  EXPECT_EQ(store.list().value().size(), 4U);
  ASSERT_TRUE(check_contents(storage, "out", read_head(storage, "out").value()));
  const auto before = storage.written_bytes();
  ASSERT_TRUE(kit.install(storage, "out", store));
  EXPECT_EQ(storage.written_bytes(), before) << "what is there is not written again";
}

TEST(ManifestTest, an_envelope_carries_the_same_trust) {
  const PackageKit kit;
  Envelope envelope{.type = std::string(kManifestType), .body = kit.manifest.serialize()};
  for (const auto* key : {&kit.first, &kit.second}) {
    envelope.signatures.push_back(sign_document(*key, envelope.type, envelope.body).value());
  }
  const auto parsed = Envelope::parse(envelope.serialize());
  ASSERT_TRUE(parsed) << describe(parsed.error());
  EXPECT_TRUE(verify_manifest(*parsed, kit.root, kit.now_s));
  EXPECT_FALSE(Envelope::parse(envelope.serialize() + " "));
}

}  // namespace
}  // namespace wayside::ota
