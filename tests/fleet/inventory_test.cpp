// SPDX-License-Identifier: Apache-2.0
// Devices, groups, labels, selections.
#include "fleet/inventory.h"

#include <gtest/gtest.h>

#include "fleet/sql/schema.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::fleet {
namespace {

class InventoryTest : public testing::Test {
 protected:
  test::TempDir dir_;
  sql::Database database_ = open_fleet_database(dir_.path() / "fleet.db").value();
  Inventory inventory_{database_};

  void add(std::string id, Labels labels, std::vector<std::string> groups) {
    const auto put = inventory_.put({.id = std::move(id), .labels = std::move(labels), .groups = std::move(groups)});
    ASSERT_TRUE(put) << put.error().message;
  }
  std::vector<std::string> select(const Selection& selection) {
    std::vector<std::string> ids;
    const auto devices = inventory_.select(selection).value();
    for (const auto& device : devices) ids.push_back(device.id);
    return ids;
  }
};

using Ids = std::vector<std::string>;

TEST_F(InventoryTest, SelectsByGroupAndLabels) {
  add("b", {{"board", "pi5"}, {"site", "lab"}}, {"canary"});
  add("a", {{"board", "pi5"}, {"site", "north"}}, {"canary", "all-cams"});
  add("c", {{"board", "rock5"}}, {});
  EXPECT_EQ(select({}), (Ids{"a", "b", "c"}));
  EXPECT_EQ(select({.group = "canary"}), (Ids{"a", "b"}));
  EXPECT_EQ(select({.group = "all", .condition = "board=pi5,site!=lab"}), (Ids{"a"}));
  EXPECT_EQ(select({.condition = "site!=lab"}), (Ids{"a", "c"}));
  EXPECT_EQ(inventory_.find("a")->groups, (Ids{"all-cams", "canary"}));
  EXPECT_EQ(inventory_.select({.group = "none"}).error().code, base::Code::not_found);
  for (const char* bad : {"board", "=x", "a=b,c"}) EXPECT_FALSE(inventory_.select({.condition = bad})) << bad;
}

TEST_F(InventoryTest, BadNamesAreRefused) {
  for (const char* bad : {"", "a/b", "a+b", "#", "a b", "..\n"}) {
    EXPECT_FALSE(inventory_.put({.id = bad})) << bad;
    EXPECT_FALSE(inventory_.put({.id = "ok", .groups = {bad}})) << bad;
    EXPECT_FALSE(inventory_.put({.id = "ok", .labels = {{bad, "x"}}})) << bad;
  }
  EXPECT_FALSE(inventory_.put({.id = "wayside-operator"})) << "its name would open everything";
  EXPECT_TRUE(inventory_.select({})->empty());
}

TEST_F(InventoryTest, RevokedIsFinal) {
  add("a", {}, {});
  ASSERT_TRUE(inventory_.revoke("a"));
  EXPECT_EQ(inventory_.find("a")->state, DeviceState::revoked);
  EXPECT_EQ(inventory_.put({.id = "a", .state = DeviceState::enrolled}).error().code, base::Code::bad_state);
  EXPECT_EQ(inventory_.revoke("b").error().code, base::Code::not_found);
  EXPECT_EQ(inventory_.find("b").error().code, base::Code::not_found);
}

}  // namespace
}  // namespace wayside::fleet
