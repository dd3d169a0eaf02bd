// SPDX-License-Identifier: Apache-2.0
// Real videos through the real agent: what a person would see is on the wire.
#include <map>

#include "tests/system/agent_fixture.h"

namespace wayside::test {
namespace {

class AgentVideo : public AgentSystem {
 protected:
  /// Frames (messages) that show each label, of a whole video played without leaving frames out.
  std::map<std::string, int> frames_with_label(const std::string& video) {
    const auto model = shared_folder() / "models/int8/ssd_mobilenet_v1.tflite";
    const auto file = shared_folder() / "video" / video;
    TestBroker broker;
    Wire wire(broker.port());
    auto agent = start({.port = broker.port(),
                        .camera = "replay:" + file.string() + "?rate=fast&loop=0",
                        .model = model,
                        .more = "detections: {max_rate_hz: 1000}\n"},
                       {"--json", "--run-for", "60", "--set", "camera.lossless=true", "--set", "models.0.threads=0",
                        "--set", "models.0.rate_hz=0", "--set", "models.0.score_threshold=0.5"});
    EXPECT_EQ(agent->wait(), 0) << agent->errors();
    wire.flush();
    const auto summary = json::parse(agent->output(), nullptr, false);
    EXPECT_TRUE(summary.is_object()) << agent->errors();
    std::map<std::string, int> frames;
    for (const auto& got : wire.received) {
      if (got.topic != kDetection) continue;
      std::map<std::string, int> here;
      for (const auto& found : got.payload["detections"]) ++here[found["label"].get<std::string>()];
      for (const auto& [label, count] : here) ++frames[label];
    }
    frames["(processed)"] = summary.value("frames_processed", 0);
    return frames;
  }
  void need(const std::string& video) {
    const auto folder = shared_folder();
    if (!std::filesystem::exists(folder / "video" / video) ||
        !std::filesystem::exists(folder / "models/int8/ssd_mobilenet_v1.tflite")) {
      GTEST_SKIP() << "needs " << folder / "video" / video << " and ssd_mobilenet_v1.tflite (set WAYSIDE_SHARED)";
    }
  }
};

TEST_F(AgentVideo, CarsOnACarPark) {
  constexpr const char* kVideo = "car-detection-768x432-12.5fps.mjpeg";
  need(kVideo);
  if (IsSkipped()) return;
  auto frames = frames_with_label(kVideo);
  // 4 cars pass in 377 frames (counts_by_eye.json); a person sees a car in about a third of the frames.
  EXPECT_GT(frames["car"] + frames["truck"], frames["(processed)"] / 10);
  EXPECT_LT(frames["person"], frames["car"] + frames["truck"]);
}

TEST_F(AgentVideo, PersonsOneByOne) {
  constexpr const char* kVideo = "one-by-one-person-768x432-10fps.mjpeg";
  need(kVideo);
  if (IsSkipped()) return;
  auto frames = frames_with_label(kVideo);
  EXPECT_GT(frames["person"], frames["(processed)"] / 10);
  EXPECT_LT(frames["car"], frames["person"] / 4 + 5);
}

}  // namespace
}  // namespace wayside::test
