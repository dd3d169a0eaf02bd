// SPDX-License-Identifier: Apache-2.0
// The real programs where the kernel knows no statx, clone3, pidfd or close_range, as on a Jetson Nano (Linux 4.9).
#include <signal.h>

#include <algorithm>

#include "ota/delta/delta.h"
#include "tests/system/agent_fixture.h"

namespace wayside::test {
namespace {

class OldKernel : public AgentSystem {
 protected:
  static Finished run(std::vector<std::string> arguments) { return run_to_end(WAYSIDE_OLD_KERNEL, arguments); }
};

TEST_F(OldKernel, TheAgentSeesReportsAndLeavesInOrder) {
  TestBroker broker;
  Wire wire(broker.port());
  AgentProcess agent(WAYSIDE_OLD_KERNEL, {WAYSIDE_AGENT_PROGRAM, "--config", write_config({.port = broker.port()})});
  const auto seen =
      wire.await([](const auto& got) { return got.topic == kDetection && !got.payload["detections"].empty(); });
  ASSERT_TRUE(seen) << agent.errors();
  const auto telemetry = wire.await(
      [](const auto& got) { return got.topic == kTelemetry && got.payload.value("fps_processed", 0.0) > 0; });
  ASSERT_TRUE(telemetry) << agent.errors();
  EXPECT_GT(telemetry->payload["rss_bytes"], 1'000'000);
  agent.send(SIGTERM);
  EXPECT_EQ(agent.wait(), 0) << agent.errors();
  EXPECT_THAT(agent.errors(), testing::Not(testing::HasSubstr("not implemented"))) << "ENOSYS reached a message";
}

TEST_F(OldKernel, TheCommandsRun) {
  const Finished devices = run({WAYSIDE_AGENT_PROGRAM, "--devices"});
  EXPECT_EQ(devices.exit_code, 0) << devices.errors;
  const Finished bench = run({WAYSIDE_AGENT_PROGRAM, "--bench", model_.string(), "--seconds", "1", "--threads", "2"});
  EXPECT_EQ(bench.exit_code, 0) << bench.errors;
  EXPECT_THAT(bench.output, testing::HasSubstr("inference_ms"));
  // The tool finds and starts the agent beside itself.
  const Finished tool = run({WAYSIDE_FLEET_PROGRAM, "devices"});
  EXPECT_EQ(tool.exit_code, 0) << tool.errors;
  EXPECT_EQ(tool.output, devices.output);
}

TEST_F(OldKernel, DownloadedBytesAreParsedInTheJail) {
  const ota::Bytes old_file(50'000, std::byte{7});
  ota::Bytes new_file = old_file;
  new_file[20'000] = std::byte{8};
  const auto put = [&](const char* name, const ota::Bytes& bytes) {
    std::ofstream(dir_.path() / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return (dir_.path() / name).string();
  };
  const auto delta = ota::encode_delta(old_file, new_file, ota::plan_patch(old_file, new_file)).value();
  // Through a pipe: the jail writes to no file.
  const Finished made =
      run({"/bin/sh", "-c",
           std::format("'{}' delta {} {} {} <'{}' 3<'{}' | cat", WAYSIDE_FETCH_PROGRAM,
                       ota::sha256_of(new_file).value().hex(), new_file.size(), ota::sha256_of(old_file).value().hex(),
                       put("delta", delta), put("old", old_file))});
  EXPECT_EQ(made.exit_code, 0) << made.errors;
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(made.output)), new_file)) << made.errors;
}

}  // namespace
}  // namespace wayside::test
