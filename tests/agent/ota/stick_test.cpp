// SPDX-License-Identifier: Apache-2.0
// Sticks: what is seen of a hostile folder, and that a file comes into the store whole or not at all.
#include "agent/ota/stick.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "ota/package/signatures.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::agent {
namespace {

using ota::Digest;
using ota::Step;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A file of three pieces of StickCopy and a bit.
std::string large_text() {
  std::string text;
  for (unsigned i = 0; text.size() < 3 * StickCopy::kStepBytes + 17; ++i) text += std::to_string(i * 2'654'435'761U);
  return text;
}

struct StickTest : testing::Test {
  test::TempDir dir;
  std::filesystem::path folder = dir.path() / "stick";
  Stick stick{folder};
  base::FaultyStorage medium{1};
  ota::BlobStore store = ota::BlobStore::open(medium).value();
  const std::string large = large_text();

  static std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
  static ota::Blob blob_of(const std::string& text) { return {ota::sha256_of(bytes_of(text)).value(), text.size()}; }
  void put(const std::string& name, const std::string& text = "x") const {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / name, std::ios::binary) << text;
  }
  void write_package(const std::string& name, const std::string& manifest, const std::vector<std::string>& files) {
    std::filesystem::create_directories(folder);
    auto place = base::DiskStorage::open(folder).value();
    std::map<Digest, std::uint64_t> sizes;
    for (const auto& text : files) sizes[blob_of(text).digest] = text.size();
    const auto read = [&](const Digest& digest, const ota::BlobSink& sink) -> base::Result<void> {
      for (const auto& text : files) {
        if (blob_of(text).digest == digest) return sink(bytes_of(text));
      }
      return base::fail(base::Code::not_found, "no such file");
    };
    ASSERT_TRUE(ota::write_container(place, name, manifest, "[]", sizes, read));
  }
  StickCopy copy_of(const std::string& name) { return {stick, stick.open(name).value(), store}; }
  static Step run(StickCopy& copy, const ota::Blob& blob) {
    Step step = Step::working();
    for (int i = 0; i < 100 && step.kind == Step::Kind::working; ++i) step = copy.step(blob);
    return step;
  }
};

TEST_F(StickTest, OnlyPlainFilesWithPlainNamesAreSeenInOrderAndNotTooMany) {
  EXPECT_THAT(stick.packages(), IsEmpty()) << "there is none";
  EXPECT_FALSE(std::filesystem::exists(folder)) << "looking makes none";
  for (const char* name : {"b.wmp", "a.wmp", ".hidden.wmp", ".wmp", "update.raucb", "with space.wmp", "A.WMP"})
    put(name);
  put(std::string(61, 'x') + ".wmp");  // 65 characters
  std::filesystem::create_symlink("/etc/passwd", folder / "link.wmp");
  std::filesystem::create_directories(folder / "folder.wmp");
  ASSERT_EQ(::mkfifo((folder / "pipe.wmp").c_str(), 0600), 0);
  EXPECT_THAT(stick.packages(), ElementsAre("a.wmp", "b.wmp"));
  for (int i = 0; i < 40; ++i) put("many-" + std::to_string(i) + ".wmp");
  EXPECT_EQ(stick.packages().size(), Stick::kMaxPackages);
}

TEST_F(StickTest, APackageIsFoundByItsManifest) {
  put("0-garbage.wmp", "no package");
  write_package("a.wmp", "one", {"x"});
  write_package("b.wmp", "two", {"x"});
  EXPECT_EQ(stick.open("0-garbage.wmp").error().reason, ota::Refusal::truncated);
  const auto found = stick.find(blob_of("two").digest);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "b.wmp");
  EXPECT_FALSE(stick.find(blob_of("three").digest));
}

TEST_F(StickTest, APolicyIsTakenFromBesideItsPackageAndBounded) {
  put("a.wmp");
  EXPECT_EQ(stick.policy_beside("a.wmp"), "");
  put("a.policy.json", "{}");
  EXPECT_EQ(stick.policy_beside("a.wmp"), "{}");
  put("a.policy.json", std::string(Stick::kMaxPolicyBytes + 1, ' '));
  EXPECT_EQ(stick.policy_beside("a.wmp"), "");
  std::filesystem::remove(folder / "a.policy.json");
  std::filesystem::create_symlink("/etc/passwd", folder / "a.policy.json");
  EXPECT_EQ(stick.policy_beside("a.wmp"), "");
}

TEST_F(StickTest, TheEnvelopeIsWhatTheStrictReaderTakes) {
  const auto key = ota::SecretKey::generate().value();
  const std::string body = "{\"type\":\"wayside-model/1\",\"name\":\"\\\"\"}";
  const auto signature = ota::sign_document(key, ota::kManifestType, body).value();
  const auto envelope = ota::Envelope::parse(
      envelope_text({.manifest = body, .signatures = ota::serialize_signatures({signature}), .entries = {}}));
  ASSERT_TRUE(envelope) << envelope.error().message;
  EXPECT_EQ(envelope->body, body);
  EXPECT_EQ(envelope->type, ota::kManifestType);
  for (const char* signatures : {"[],\"type\":\"wayside-root/1\"", "", "[]}", "[],\"body\":\"other\""})
    EXPECT_FALSE(ota::Envelope::parse(envelope_text({.manifest = body, .signatures = signatures, .entries = {}})));
}

TEST_F(StickTest, FilesComeWholeInBoundedPieces) {
  write_package("a.wmp", "m", {large, "small", ""});
  auto copy = copy_of("a.wmp");
  const auto first = copy.step(blob_of(large));
  EXPECT_EQ(first.kind, Step::Kind::working);
  EXPECT_EQ(copy.copied_bytes(), StickCopy::kStepBytes);
  EXPECT_FALSE(store.has(blob_of(large).digest));
  for (const auto& text : {large, std::string("small"), std::string()}) {
    EXPECT_EQ(run(copy, blob_of(text)).reason, "");
    EXPECT_TRUE(store.verify(blob_of(text).digest));
  }
  EXPECT_EQ(copy.copied_bytes(), large.size() + 5);
  EXPECT_THAT(copy.step(blob_of("another")).reason, HasSubstr("has no file"));
}

TEST_F(StickTest, AStickPulledOutInTheMiddleLeavesNothingThatCounts) {
  write_package("a.wmp", "m", {large});
  auto copy = copy_of("a.wmp");
  ASSERT_EQ(copy.step(blob_of(large)).kind, Step::Kind::working);
  std::filesystem::rename(folder, dir.path() / "gone");
  const auto step = copy.step(blob_of(large));
  EXPECT_EQ(step.kind, Step::Kind::failed) << "which may be tried again";
  EXPECT_THAT(step.reason, HasSubstr("plug the stick in again"));
  EXPECT_THAT(store.list().value(), IsEmpty());
  std::filesystem::rename(dir.path() / "gone", folder);
  auto again = copy_of("a.wmp");
  EXPECT_EQ(run(again, blob_of(large)).kind, Step::Kind::done) << "from its start";
  EXPECT_TRUE(store.verify(blob_of(large).digest));
}

TEST_F(StickTest, OtherBytesThanTheTableSaysAreRefused) {
  write_package("a.wmp", "m", {large});
  auto copy = copy_of("a.wmp");
  ASSERT_EQ(copy.step(blob_of(large)).kind, Step::Kind::working);
  {  // exchanged while it is read
    std::fstream file(folder / "a.wmp", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end) << '!';
  }
  EXPECT_THAT(run(copy, blob_of(large)).reason, HasSubstr("other contents"));
  EXPECT_THAT(store.list().value(), IsEmpty());
  std::filesystem::resize_file(folder / "a.wmp", StickCopy::kStepBytes);
  EXPECT_THAT(run(copy, blob_of(large)).reason, HasSubstr("cannot be read to its end"));
  EXPECT_THAT(store.list().value(), IsEmpty());
}

TEST_F(StickTest, AFullMediumFailsTheCopyAndNothingElse) {
  write_package("a.wmp", "m", {large});
  medium.set_capacity(2 * StickCopy::kStepBytes);
  auto copy = copy_of("a.wmp");
  EXPECT_EQ(run(copy, blob_of(large)).kind, Step::Kind::failed);
  EXPECT_THAT(store.list().value(), IsEmpty());
}

}  // namespace
}  // namespace wayside::agent
