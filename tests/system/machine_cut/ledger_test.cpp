// SPDX-License-Identifier: Apache-2.0
#include "tests/system/machine_cut/ledger.h"

#include <gtest/gtest.h>

namespace wayside::test {
namespace {

class LedgerTest : public testing::Test {
 protected:
  void hear(const std::vector<const char*>& lines) {
    for (const char* line : lines) ledger_.hear(line, now_ += std::chrono::seconds(1));
  }
  /// A device that has committed A by u0 and was told to take B by u1.
  void begin() {
    ledger_.power_on();
    hear({"state none", "frames", "runs none committed", "push u0 1.0.0", "at u0 download", "runs A trial",
          "end u0 successful", "push u1 2.0.0"});
    EXPECT_TRUE(ledger_.findings().empty());
    ledger_.power_on();
  }
  Ledger ledger_{{{"1.0.0", "A"}, {"2.0.0", "B"}}};
  Ledger::Time now_{};
};

TEST_F(LedgerTest, OldOrNewIsRightAndTheEndIsAwaited) {
  begin();
  EXPECT_EQ(ledger_.orders(), "version 1.0.0 A\nversion 2.0.0 B\npending u1 2.0.0\nnext 2\n");
  hear({"outcome u0 committed", "state downloading committed A active A", "push u1 2.0.0", "frames",
        "runs A committed"});
  EXPECT_TRUE(ledger_.healthy());
  ledger_.power_on();
  EXPECT_FALSE(ledger_.healthy());
  hear({"outcome u0 committed", "state probation committed A active B", "push u1 2.0.0", "runs B trial"});
  ledger_.power_on();
  hear({"outcome u0 committed", "outcome u1 committed", "state idle committed B active B", "push u1 2.0.0",
        "end u1 successful", "push u2 1.0.0", "end u2 failed because of this"});
  EXPECT_TRUE(ledger_.findings().empty()) << ledger_.findings().front();
  EXPECT_EQ(ledger_.commits, 2);
  EXPECT_EQ(ledger_.failures, 1);
  EXPECT_EQ(ledger_.failed_because.begin()->first, " because of this");
  EXPECT_EQ(ledger_.update_seconds.size(), 2) << "u1 was cut";
}

TEST_F(LedgerTest, WhatMustNotBeIsFound) {
  const std::vector<std::vector<const char*>> lives = {
      {"state none"},                                                  // the whole state is gone
      {"outcome u0 committed", "state idle committed none active A"},  // the commit is gone
      {"state idle committed A active A"},                             // the end is forgotten
      {"outcome u0 committed", "outcome u1 committed", "state idle committed A active A"},
      {"outcome u0 committed", "state idle committed A active C"},
      {"outcome u0 committed", "state idle committed A active A", "runs none committed"},
      {"outcome u0 committed", "state idle committed A active A", "end u0 successful"},  // a second time
      {"torn blob 1234"},
      {"unreadable the journal"},
  };
  for (const auto& life : lives) {
    ledger_ = Ledger({{"1.0.0", "A"}, {"2.0.0", "B"}});
    begin();
    hear(life);
    EXPECT_FALSE(ledger_.findings().empty()) << life.back();
  }
}

}  // namespace
}  // namespace wayside::test
