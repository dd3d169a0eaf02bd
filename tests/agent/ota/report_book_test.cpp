// SPDX-License-Identifier: Apache-2.0
// What was said is on disk, bounded, and survives damage.
#include "agent/ota/report_book.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "fleet/rollout/wire.h"

namespace wayside::agent {
namespace {

struct ReportBookTest : testing::Test {
  base::FaultyStorage storage{1};
  ReportBook book = ReportBook::load(storage).value();

  static UpdateReport report(const std::string& id, const std::string& status) {
    return {.command_id = id,
            .manifest = ota::sha256_of({}).value(),
            .status = status,
            .step = "shadow",
            .bytes = 7,
            .compared = 10,
            .disagreed = 3,
            .swap_dropped_frames = 0};
  }
};

TEST_F(ReportBookTest, ReportsAreNumberedAndReadBackAfterAPowerCut) {
  ASSERT_TRUE(book.put(report("r1", "download")));
  ASSERT_TRUE(book.put(report("r1", "successful")));
  EXPECT_EQ(book.find("r1")->seq, 2U);
  ASSERT_TRUE(book.confirm("r1"));
  storage.power_cut();
  const auto again = ReportBook::load(storage).value();
  ASSERT_EQ(again.all().size(), 1U);
  EXPECT_EQ(again.all().front(), *book.find("r1"));
  EXPECT_TRUE(again.all().front().confirmed);
}

TEST_F(ReportBookTest, OnlyAnEndIsConfirmed) {
  ASSERT_TRUE(book.put(report("r1", "download")));
  ASSERT_TRUE(book.confirm("r1"));
  ASSERT_TRUE(book.confirm("unknown"));
  EXPECT_FALSE(book.find("r1")->confirmed);
}

TEST_F(ReportBookTest, TheOldestConfirmedIsForgottenFirst) {
  for (std::size_t i = 0; i < ReportBook::kMaxReports; ++i)
    ASSERT_TRUE(book.put(report("r" + std::to_string(i), "failed")));
  ASSERT_TRUE(book.confirm("r5"));
  ASSERT_TRUE(book.put(report("one-more", "failed")));
  EXPECT_EQ(book.all().size(), ReportBook::kMaxReports);
  EXPECT_EQ(book.find("r5"), nullptr);
  EXPECT_NE(book.find("r0"), nullptr);
}

TEST_F(ReportBookTest, EveryDamagedByteIsAnEmptyBookAndNoCrash) {
  ASSERT_TRUE(book.put(report("r1", "failed")));
  const auto bytes = storage.read("reports", 65536).value();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto bent = bytes;
    bent[i] ^= std::byte{0x20};
    ASSERT_TRUE(storage.write("reports", bent));
    EXPECT_TRUE(ReportBook::load(storage).value().all().empty()) << "byte " << i;
  }
}

TEST_F(ReportBookTest, TheOperatorsToolReadsWhatTheDeviceSays) {
  auto said = report("r1", "failed");
  said.seq = 14;
  said.code = "E-GATE-SHADOW";
  said.reason = "3 of 10 objects differ";
  said.rollback_ms = 120;
  const auto heard = fleet::parse_report(report_json(said, "2026-09-01T00:00:00Z"));
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(heard->status, "failed");
  EXPECT_EQ(heard->seq, 14);
  EXPECT_EQ(heard->code, said.code);
  EXPECT_EQ(heard->reason, said.reason);
  EXPECT_EQ(heard->manifest_sha256, said.manifest.hex());
  EXPECT_EQ(heard->compared, 10U);
  EXPECT_EQ(heard->disagreed, 3U);
  EXPECT_EQ(heard->bytes, 7U);
}

}  // namespace
}  // namespace wayside::agent
