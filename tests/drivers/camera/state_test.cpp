// SPDX-License-Identifier: Apache-2.0
// Every call in every state of the cameras that need no hardware; tests/system/vivid does the same for V4L2.
#include <gtest/gtest.h>

#include "tests/drivers/camera/replay/recordings.h"
#include "tests/drivers/camera/state_calls.h"

namespace wayside::drivers {
namespace {

class CameraStates : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kinds, CameraStates,
                         testing::Values("replay:FILE?rate=20", "replay:FILE?rate=fast", "replay:FILE?loop=1",
                                         "synthetic:", "synthetic:pace=fast"),
                         [](const auto& kind) {
                           std::string name = kind.param;
                           std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
                           return name;
                         });

TEST_P(CameraStates, EveryCallInEveryState) {
  const test::TempFolder folder;
  std::string uri = GetParam();
  if (const auto at = uri.find("FILE"); at != std::string::npos) {
    uri.replace(at, 4, folder.write("video.mjpeg", test::mjpeg(10)).string());
  }
  base::ManualClock clock;
  const auto camera = open_camera(uri, clock);
  ASSERT_TRUE(camera) << camera.error().message;
  test::expect_states_kept(**camera, std::chrono::seconds(10));
}

}  // namespace
}  // namespace wayside::drivers
