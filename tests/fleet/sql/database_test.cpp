// SPDX-License-Identifier: Apache-2.0
// The SQLite shim: transactions are all or nothing, also when the process is killed inside one; versions are heeded.
#include "fleet/sql/database.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "fleet/sql/schema.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::fleet::sql {
namespace {

std::int64_t count(Database& database) {
  auto* query = database.prepare("SELECT count(*) FROM t").value();
  EXPECT_TRUE(query->bind({}).step().value());
  const auto rows = query->integer(0);
  query->bind({});
  return rows;
}

TEST(Database, AFailedTransactionLeavesNothing) {
  test::TempDir dir;
  auto database = Database::open(dir.path() / "x.db").value();
  ASSERT_TRUE(database.execute("CREATE TABLE t(a TEXT)"));
  const auto failed = database.transaction([&]() -> base::Result<void> {
    WAYSIDE_CHECK(database.execute("INSERT INTO t VALUES('x')"));
    return base::fail(base::Code::invalid_argument, "no");
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(count(database), 0);
  ASSERT_TRUE(database.transaction([&] { return database.execute("INSERT INTO t VALUES('x')"); }));
  EXPECT_EQ(count(database), 1);
}

TEST(Database, TextIsBoundNotPasted) {
  test::TempDir dir;
  auto database = Database::open(dir.path() / "x.db").value();
  ASSERT_TRUE(database.execute("CREATE TABLE t(a TEXT)"));
  const std::string hostile = std::string("'); DROP TABLE t; --") + '\0' + "after";
  ASSERT_TRUE(database.prepare("INSERT INTO t VALUES(?1)").value()->bind({hostile}).run());
  auto* query = database.prepare("SELECT a FROM t").value();
  ASSERT_TRUE(query->bind({}).step().value());
  EXPECT_EQ(query->text(0), hostile);
}

// Made by the first schema (position_ppm), as far as the second touches it.
TEST(Database, AnOlderFleetDatabaseIsUpgraded) {
  test::TempDir dir;
  const auto file = dir.path() / "fleet.db";
  {
    auto old = Database::open(file).value();
    ASSERT_TRUE(
        old.execute("CREATE TABLE target(rollout TEXT, device TEXT, position_ppm INTEGER, wave INTEGER, state INTEGER);"
                    "CREATE INDEX target_by_state ON target(rollout, state, wave, position_ppm);"
                    "INSERT INTO target VALUES('r1', 'gate-1', 799829, 1, 0); PRAGMA user_version = 1"));
  }
  auto database = open_fleet_database(file);
  ASSERT_TRUE(database) << database.error().message;
  auto* query = database->prepare("SELECT position FROM target").value();
  ASSERT_TRUE(query->bind({}).step().value());
  EXPECT_EQ(query->integer(0), 799829);
}

TEST(Database, WhatWasCommittedSurvivesKillInsideTheNextTransaction) {
  test::TempDir dir;
  const auto file = dir.path() / "x.db";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto database = Database::open(file).value();
    (void)database.execute("CREATE TABLE t(a TEXT); INSERT INTO t VALUES('kept')");
    (void)database.transaction([&]() -> base::Result<void> {
      WAYSIDE_CHECK(database.execute("INSERT INTO t VALUES('lost')"));
      ::kill(::getpid(), SIGKILL);
      return {};
    });
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  auto database = Database::open(file).value();
  EXPECT_EQ(count(database), 1);
}

TEST(Database, DamagedAndForeignFilesAreRefusedWithAReason) {
  test::TempDir dir;
  std::ofstream(dir.path() / "text.db") << std::string(4096, 'x');
  const auto text = open_fleet_database(dir.path() / "text.db");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, base::Code::corrupt) << text.error().message;
  EXPECT_FALSE(open_fleet_database(dir.path() / "absent/fleet.db"));
  {
    auto newer = Database::open(dir.path() / "newer.db").value();
    ASSERT_TRUE(newer.execute("PRAGMA user_version = 99"));
  }
  const auto newer = open_fleet_database(dir.path() / "newer.db");
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, base::Code::unsupported);
  EXPECT_NE(newer.error().message.find("update this program"), std::string::npos);
}

TEST(Database, OpeningTwiceKeepsTheTables) {
  test::TempDir dir;
  for (int i = 0; i < 2; ++i) {
    auto database = open_fleet_database(dir.path() / "fleet.db");
    ASSERT_TRUE(database) << database.error().message;
    ASSERT_TRUE(
        database->execute("INSERT INTO device VALUES('d" + std::to_string(i) + "', 'allowed', '{}', '', 0, NULL)"));
  }
}

}  // namespace
}  // namespace wayside::fleet::sql
