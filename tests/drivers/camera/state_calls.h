// SPDX-License-Identifier: Apache-2.0
// Every call of Camera in every state, for any kind of camera.
#pragma once

#include <gtest/gtest.h>

#include "drivers/camera/camera.h"

namespace wayside::drivers::test {

/// `camera` is freshly opened and endless, or has at least 8 pictures; `limit` is enough for one picture.
inline void expect_states_kept(Camera& camera, std::chrono::milliseconds limit) {
  using base::Code;
  const auto refuses = [](const auto& result, const char* call) {
    ASSERT_FALSE(result) << call;
    EXPECT_EQ(result.error().code, Code::bad_state) << call << ": " << result.error().message;
    EXPECT_NE(result.error().message.find(call), std::string::npos) << result.error().message;
  };
  // opened
  EXPECT_FALSE(camera.describe().empty());
  refuses(camera.start(), "start");
  refuses(camera.next(limit), "next");
  camera.stop();
  refuses(camera.start(), "start");
  ASSERT_TRUE(camera.configure({}));
  // configured
  EXPECT_FALSE(camera.describe().empty());
  refuses(camera.next(limit), "next");
  ASSERT_TRUE(camera.configure({}));
  camera.stop();
  ASSERT_TRUE(camera.start());
  // streaming
  EXPECT_FALSE(camera.describe().empty());
  refuses(camera.configure({}), "configure");
  refuses(camera.start(), "start");
  {
    const auto frame = camera.next(limit);
    ASSERT_TRUE(frame) << frame.error().message;
    EXPECT_TRUE(frame->valid());
  }
  camera.interrupt();
  {
    const auto interrupted = camera.next(limit);
    if (!interrupted) {
      EXPECT_EQ(interrupted.error().code, Code::timeout) << interrupted.error().message;
    }
  }
  EXPECT_TRUE(camera.next(limit));
  camera.stop();
  // configured again
  camera.stop();
  refuses(camera.next(limit), "next");
  ASSERT_TRUE(camera.configure({}));
  ASSERT_TRUE(camera.start());
  const auto frame = camera.next(limit);
  EXPECT_TRUE(frame) << frame.error().message;
  // Destroyed while streaming, as when a program ends early; the lease goes first.
}

}  // namespace wayside::drivers::test
