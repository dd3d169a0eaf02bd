// SPDX-License-Identifier: Apache-2.0
// Deltas through the real wayside-fetch: good ones make the file, every damaged one is refused, nothing is written too
// much.
#include "agent/sandbox/jailed_delta.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "tests/base/mqtt/test_broker.h"

namespace wayside::agent {
namespace {

struct Memory final : ota::ByteSink {
  ota::Bytes bytes;
  base::Result<void> write(ota::BytesView more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
};

struct JailedDeltaTest : testing::Test {
  test::TempDir folder;
  ota::Bytes old_file = ota::Bytes(300'000), new_file;
  ota::Bytes delta;
  ota::DeltaExpectation expected;

  void SetUp() override {
    std::mt19937 random(7);
    for (auto& byte : old_file) byte = static_cast<std::byte>(random());
    new_file = old_file;
    for (std::size_t i = 0; i < new_file.size(); i += 997)
      new_file[i] = static_cast<std::byte>(std::to_integer<int>(new_file[i]) + 1);
    new_file.insert(new_file.begin() + 1000, old_file.begin(), old_file.begin() + 77);
    delta = ota::encode_delta(old_file, new_file, ota::plan_patch(old_file, new_file)).value();
    expected = {.base_hash = ota::sha256_of(old_file).value(),
                .target_hash = ota::sha256_of(new_file).value(),
                .target_bytes = new_file.size()};
  }
  std::filesystem::path put(const char* name, const ota::Bytes& bytes) const {
    std::ofstream(folder.path() / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return folder.path() / name;
  }
  base::Result<ota::Bytes> make(const ota::Bytes& with, const std::filesystem::path& program = WAYSIDE_FETCH_PROGRAM) {
    WAYSIDE_TRY(auto maker, JailedDelta::open(program, put("delta", with), put("old", old_file), expected));
    Memory made;
    for (int i = 0; i < 3000; ++i) {
      WAYSIDE_TRY(const bool done, maker->step(made, 100'000));
      if (done) return made.bytes;
    }
    return base::fail(base::Code::timeout, "it does not end");
  }
};

TEST_F(JailedDeltaTest, MakesTheFile) {
  const auto made = make(delta);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(*made, new_file);
}

TEST_F(JailedDeltaTest, WhatIsDamagedCutOrForAnotherFileIsRefused) {
  std::mt19937 random(11);
  for (int i = 0; i < 40; ++i) {
    auto bad = delta;
    if (i % 2 == 0) {
      bad[random() % bad.size()] ^= static_cast<std::byte>(1U << (random() % 8U));
    } else {
      bad.resize(random() % bad.size());
    }
    const auto made = make(bad);
    ASSERT_FALSE(made) << i;
    EXPECT_EQ(made.error().code, base::Code::corrupt) << made.error().message;
  }
  old_file[5] ^= std::byte{1};  // the hash of the old file is the delta's word, checked against what the store says
  expected.base_hash = ota::sha256_of(old_file).value();
  EXPECT_FALSE(make(delta));
}

TEST_F(JailedDeltaTest, AProgramThatIsNotThereOrMakesTooMuchIsAnError) {
  EXPECT_FALSE(make(delta, "/nowhere/wayside-fetch"));
  const auto endless = folder.path() / "endless";
  std::ofstream(endless) << "#!/bin/sh\nexec cat /dev/zero\n";
  std::filesystem::permissions(endless, std::filesystem::perms::owner_all);
  const auto made = make(delta, endless);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, base::Code::corrupt);
}

}  // namespace
}  // namespace wayside::agent
