// SPDX-License-Identifier: Apache-2.0
// Bad inputs to the real programs: one clear line that names the thing, a non-zero exit code, never a crash.
#include <random>

#include "tests/system/agent_fixture.h"

namespace wayside::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

class AgentBadInput : public AgentSystem {
 protected:
  /// Runs the agent to its end and returns the lines that are not of level info or warning.
  Finished run(const Setup& setup, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"--config", write_config(setup)});
    return run_to_end(WAYSIDE_AGENT_PROGRAM, arguments);
  }
  static std::vector<std::string> complaints(const Finished& finished) {
    std::vector<std::string> lines;
    std::istringstream stream(finished.errors);
    for (std::string line; std::getline(stream, line);) {
      if (line.starts_with("waysided: ")) lines.push_back(line);
    }
    return lines;
  }
  void expect_one_line(const Finished& finished, const std::string& named) {
    EXPECT_EQ(finished.exit_code, 1) << finished.errors;
    const auto lines = complaints(finished);
    ASSERT_EQ(lines.size(), 1U) << finished.errors;
    EXPECT_THAT(lines[0], HasSubstr(named));
  }
  std::vector<char> model_bytes() const {
    std::ifstream file(model_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::filesystem::path write_model(const std::vector<char>& bytes) {
    const auto path = dir_.path() / "damaged.tflite";
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
};

TEST_F(AgentBadInput, UnknownConfigKey) {
  expect_one_line(run({.more = "telemtry: {interval_s: 1}\n"}), "telemtry: unknown key; did you mean 'telemetry'?");
}

TEST_F(AgentBadInput, MissingConfigFile) {
  expect_one_line(run_to_end(WAYSIDE_AGENT_PROGRAM, {"--config", "/nonexistent/agent.yaml"}),
                  "/nonexistent/agent.yaml");
}

TEST_F(AgentBadInput, MissingModel) {
  expect_one_line(run({.model = "/nonexistent/model.tflite"}), "/nonexistent/model.tflite");
}

TEST_F(AgentBadInput, MissingCameras) {
  expect_one_line(run({.camera = "v4l2:/dev/video99"}), "/dev/video99");
  expect_one_line(run({.camera = "replay:/nonexistent/video.mjpeg"}), "/nonexistent/video.mjpeg");
  expect_one_line(run({.camera = "webcam:"}), "webcam");
}

TEST_F(AgentBadInput, UnknownAccelerator) {
  expect_one_line(run({}, {"--set", "models.0.accelerator=[warp-drive]"}), "warp-drive");
}

TEST_F(AgentBadInput, UnwritableStateFolder) {
  expect_one_line(run({}, {"--set", "state_dir=/proc/nothing"}), "/proc/nothing");
}

TEST_F(AgentBadInput, TruncatedModels) {
  const auto bytes = model_bytes();
  for (const double part : {0.0, 0.00005, 0.5, 0.99}) {
    const auto size = static_cast<std::size_t>(part * static_cast<double>(bytes.size()));
    const auto path = write_model({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
    expect_one_line(run({.model = path}), path.string());
  }
}

TEST_F(AgentBadInput, BitFlippedModelsAreRefusedOrRunButNeverCrash) {
  const auto bytes = model_bytes();
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 12; ++round) {
    auto damaged = bytes;
    // The front of a flatbuffer holds the root offset and, in files that flatc wrote, the tables.
    const std::size_t place = round < 6 ? random() % 8 : random() % damaged.size();
    damaged[place] = static_cast<char>(damaged[place] ^ (1 << (random() % 8)));
    const auto path = write_model(damaged);
    const auto finished = run_to_end(WAYSIDE_AGENT_PROGRAM, {"--bench", path.string(), "--seconds", "1"});
    EXPECT_THAT(finished.exit_code, AnyOf(0, 1)) << "byte " << place << ": " << finished.errors;
    if (finished.exit_code == 1) {
      ++refused;
      EXPECT_EQ(complaints(finished).size(), 1U) << finished.errors;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(AgentBadInput, CheckNamesAnUnreachableBroker) {
  const auto port = free_port();
  const auto finished = run({.port = port}, {"--check", "--json"});
  EXPECT_EQ(finished.exit_code, 1) << finished.errors;
  const auto report = json::parse(finished.output);
  EXPECT_EQ(report["ok"], false);
  EXPECT_EQ(report["model"]["ok"], true) << finished.output;
  EXPECT_EQ(report["camera"]["ok"], true) << finished.output;
  EXPECT_EQ(report["broker"]["ok"], false);
  EXPECT_THAT(report["broker"]["error"].get<std::string>(), HasSubstr(std::to_string(port)));
}

TEST_F(AgentBadInput, CheckIsGladWhenAllIsWell) {
  TestBroker broker;
  const auto finished = run({.port = broker.port()}, {"--check"});
  EXPECT_EQ(finished.exit_code, 0) << finished.output << finished.errors;
}

TEST_F(AgentBadInput, WrongCommandLines) {
  EXPECT_NE(run_to_end(WAYSIDE_AGENT_PROGRAM, {}).exit_code, 0);
  EXPECT_NE(run_to_end(WAYSIDE_AGENT_PROGRAM, {"--no-such-option"}).exit_code, 0);
  EXPECT_NE(run_to_end(WAYSIDE_FLEET_PROGRAM, {}).exit_code, 0);
  EXPECT_NE(run_to_end(WAYSIDE_FLEET_PROGRAM, {"monitor", "--port", "1", "--seconds", "1"}).exit_code, 0);
}

}  // namespace
}  // namespace wayside::test
