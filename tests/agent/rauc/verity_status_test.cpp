// SPDX-License-Identifier: Apache-2.0
// What is cut from a status of the device mapper, and what is not.
#include "agent/rauc/verity_status.h"

#include <gtest/gtest.h>

#include <string>

namespace wayside::agent {
namespace {

struct Answer {
  dm_ioctl header{};
  dm_target_spec spec{};
  char text[16]{};
};

std::string after(const char* type, const char* text, std::uint32_t flags = 0,
                  std::uint32_t data_size = sizeof(Answer)) {
  Answer answer;
  answer.header.data_size = data_size;
  answer.header.data_start = offsetof(Answer, spec);
  answer.header.target_count = 1;
  answer.header.flags = flags;
  std::strncpy(answer.spec.target_type, type, sizeof(answer.spec.target_type) - 1);
  std::strncpy(answer.text, text, sizeof(answer.text) - 1);
  trim_verity_status(answer.header);
  return answer.text;
}

TEST(VerityStatus, TheSecondWordOfAGoodOneGoes) {
  EXPECT_EQ(after("verity", "V -"), "V");
  EXPECT_EQ(after("verity", "V 12"), "V");
  EXPECT_EQ(after("verity", "V"), "V");
}

TEST(VerityStatus, CorruptionAndEverythingElseStays) {
  EXPECT_EQ(after("verity", "C -"), "C -");
  EXPECT_EQ(after("crypt", "V -"), "V -");
  EXPECT_EQ(after("verity", "V -", DM_STATUS_TABLE_FLAG), "V -");
  EXPECT_EQ(after("verity", "V -", DM_BUFFER_FULL_FLAG), "V -");
  EXPECT_EQ(after("verity", "V -", 0, offsetof(Answer, text) + 1), "V -");
  EXPECT_EQ(after("verity", "V -", 0, 0), "V -");
}

}  // namespace
}  // namespace wayside::agent
