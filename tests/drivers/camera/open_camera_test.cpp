// SPDX-License-Identifier: Apache-2.0
// open_camera: what each bad URI is told.
#include <gtest/gtest.h>

#include "drivers/camera/camera.h"
#include "drivers/camera/uri.h"

namespace wayside::drivers {
namespace {

using base::Code;

struct BadUri {
  const char* uri;
  Code code;
  const char* told;  ///< part of the message
};
class OpenCameraBadUri : public testing::TestWithParam<BadUri> {};
INSTANTIATE_TEST_SUITE_P(Uris, OpenCameraBadUri,
                         testing::Values(BadUri{"", Code::invalid_argument, "no scheme"},
                                         BadUri{"/dev/video0", Code::invalid_argument, "v4l2:/dev/video0"},
                                         BadUri{"gopher:x", Code::invalid_argument, "v4l2:, replay: and synthetic:"},
                                         BadUri{"replay:", Code::invalid_argument, "replay:PATH"},
                                         BadUri{"replay:/does/not/exist.mjpeg", Code::not_found,
                                                "/does/not/exist.mjpeg"},
                                         BadUri{"replay:/x?rate=0", Code::invalid_argument, "rate=0"},
                                         BadUri{"replay:/x?rate=nan", Code::invalid_argument, "rate=nan"},
                                         BadUri{"replay:/x?rate=inf", Code::invalid_argument, "rate=inf"},
                                         BadUri{"replay:/x?rate=10x", Code::invalid_argument, "rate=10x"},
                                         BadUri{"replay:/x?loop=2", Code::invalid_argument, "loop=2"},
                                         BadUri{"replay:/x?speed=2", Code::invalid_argument, "speed=2"},
                                         BadUri{"replay:/x?fast", Code::invalid_argument, "KEY=VALUE"},
                                         BadUri{"replay:/dev/null", Code::invalid_argument, "not a regular file"}));

TEST_P(OpenCameraBadUri, IsExplained) {
  const auto camera = open_camera(GetParam().uri);
  ASSERT_FALSE(camera);
  EXPECT_EQ(camera.error().code, GetParam().code) << camera.error().message;
  EXPECT_NE(camera.error().message.find(GetParam().told), std::string::npos) << camera.error().message;
  EXPECT_EQ(camera.error().message.find('\n'), std::string::npos);
}

TEST(CameraUri, IsTakenApart) {
  const auto uri = parse_camera_uri("replay:/a:b/c.mjpeg?rate=fast&loop=1").value();
  EXPECT_EQ(uri.scheme, "replay");
  EXPECT_EQ(uri.path, "/a:b/c.mjpeg");
  ASSERT_EQ(uri.options.size(), 2U);
  EXPECT_EQ(uri.options[1].second, "1");
}

}  // namespace
}  // namespace wayside::drivers
