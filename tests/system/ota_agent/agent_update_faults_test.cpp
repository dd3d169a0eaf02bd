// SPDX-License-Identifier: Apache-2.0
// Updates of the real agent while the process, the broker and the operator misbehave.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "tests/support/figures.h"
#include "tests/system/ota_agent/agent_update_fixture.h"

namespace wayside::test {
namespace {

using testing::HasSubstr;

TEST_F(AgentUpdate, KilledAtRandomMomentsItAlwaysEndsWithAModelAndAResult) {
  start_agent();
  std::vector<ota::Digest> versions;
  for (const char* version : {"1.0.0", "2.0.0", "3.0.0"}) {
    versions.push_back(world_->publish(
        {.version = version, .watch = {.shadow_frames = 3, .shadow_one_in = 1, .probation_s = 1, .max_restarts = 20}}));
  }
  constexpr std::uint64_t kSeed = 20261121;
  std::mt19937_64 random(kSeed);
  const auto kills = testing_support::tries<unsigned>({.test = 6, .quick = 6, .ci = 30, .full = 200});
  unsigned killed = 0, updates = 0, without_model = 0, committed = 0;
  while (killed < kills) {
    const std::string id = std::format("kill-{}", updates);
    push(id, versions[updates++ % versions.size()]);
    // An update takes some two seconds here; the process is killed three times in the course of each.
    for (int i = 0; i < 3 && killed < kills; ++i, ++killed) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 1500));
      agent_->send(SIGKILL);
      agent_->wait();
      start_agent();
    }
    const auto report = await_end(id);
    committed += report["status"] == "successful" ? 1 : 0;
    EXPECT_TRUE(report["status"] == "successful" || !report.value("reason", "").empty()) << report;
    wire_->received.clear();
    if (!wire_->await_topic(kTelemetry)) ++without_model;
    ASSERT_EQ(without_model, 0U) << agent_->errors();
    operator_->send(update_topic(id), "");  // the operator's tool confirms
  }
  EXPECT_GT(committed, 0U);
  testing_support::figure("agent_kill_9", killed);
  testing_support::figure("agent_kill_9_updates", updates);
  testing_support::figure("agent_kill_9_without_model", without_model);
}

TEST_F(AgentUpdate, TheBrokerDiesInTheMiddleOfATransfer) {
  start_agent();
  push("r1", world_->publish({.version = "1.0.0"}));
  const auto begun = await_report("r1", [](const json& report) { return report["status"] == "download"; });
  ASSERT_EQ(begun["status"], "download");
  broker_.kill();
  broker_.start();
  wire_ = std::make_unique<Wire>(broker_.port());
  // A broker without a memory: the operator's tool says everything again, as it does after each connect.
  operator_ = std::make_unique<Operator>(broker_.port());
  operator_->publish_manifest(*world_, published_);
  EXPECT_EQ(await_end("r1")["status"], "successful") << agent_->errors();
  ASSERT_TRUE(runs("1.0.0"));
}

TEST_F(AgentUpdate, ACommandIsCarriedOutOnceAndInItsTime) {
  start_agent();
  const auto first = world_->publish({.version = "1.0.0", .security_counter = 5});
  push("r1", first);
  const auto result = await_end("r1");
  ASSERT_EQ(result["status"], "successful") << agent_->errors();
  const auto second = world_->publish({.version = "2.0.0", .security_counter = 6});
  push("r2", second);
  ASSERT_EQ(await_end("r2")["status"], "successful") << agent_->errors();
  // Replayed by whoever recorded it: the result is said again, nothing is done, also after a restart.
  for (int round = 0; round < 2; ++round) {
    wire_->received.clear();
    operator_->command("r1", first, later());
    const auto again = await_end("r1");
    EXPECT_EQ(again["seq"], result["seq"]);
    agent_->send(SIGKILL);
    agent_->wait();
    start_agent();
  }
  ASSERT_TRUE(runs("2.0.0"));
  // Under a new name the old package is refused by its counter, a late command by its time, a foreign role by name.
  push("r3", first);
  EXPECT_THAT(await_end("r3").value("reason", ""), HasSubstr("rollback"));
  operator_->command("r4", second, later() - 7200);
  EXPECT_THAT(await_end("r4").value("reason", ""), HasSubstr("command_expired"));
  // A budget that is too small is kept, whatever the model is worth.
  push("r5",
       world_->publish({.version = "3.0.0",
                        .retrain = [](std::string& model) { model += std::string(16, '\0'); },
                        .security_counter = 6}),
       100);
  const auto dear = await_end("r5");
  EXPECT_EQ(dear["step"], "download") << dear;
  EXPECT_THAT(dear.value("reason", ""), HasSubstr("over_budget"));
  EXPECT_LE(dear["bytes"]["done"], 100);
  // Nobody's signature: a manifest that the root's keys did not sign.
  UpdateWorld stranger(dir_.path() / "stranger", model_);
  const auto foreign = stranger.publish({.version = "9.0.0"});
  operator_->publish_manifest(stranger, foreign);
  operator_->command("r6", foreign, later());
  EXPECT_THAT(await_end("r6").value("reason", ""), HasSubstr("unknown_key"));
  EXPECT_EQ(last_twin()["version"], "2.0.0");
}

/// A socket as systemd's manager has one: collects what the agent says.
class NotifySocket {
 public:
  explicit NotifySocket(const std::filesystem::path& path) {
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{.sun_family = AF_UNIX};
    path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ~NotifySocket() { ::close(fd_); }
  /// Pings within `time`; other messages are left out.
  unsigned pings(std::chrono::milliseconds time) {
    unsigned count = 0;
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      timeval limit{.tv_sec = 0, .tv_usec = 100'000};
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
      std::array<char, 512> text{};
      const auto bytes = ::recv(fd_, text.data(), text.size() - 1, 0);
      if (bytes > 0 && std::string_view(text.data()).find("WATCHDOG=1") != std::string_view::npos) ++count;
    }
    return count;
  }

 private:
  int fd_ = -1;
};

TEST_F(AgentUpdate, TheWatchdogIsFedOnlyWhileFramesProgress) {
  const auto socket_path = dir_.path() / "notify";
  NotifySocket manager(socket_path);
  ::setenv("NOTIFY_SOCKET", socket_path.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "2000000", 1);
  const auto pictures = dir_.path() / "pictures";
  agent_ =
      start({.port = broker_.port(),
             .more = world_->config() + std::format("snapshot: {{dir: {}, every_frames: 1}}\n", pictures.string())});
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  EXPECT_GT(manager.pings(std::chrono::seconds(5)), 2U) << agent_->errors();
  // The vision thread now waits for ever: the picture that it writes is a pipe that nobody reads.
  const auto pipe = pictures / ".partial";
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (::mkfifo(pipe.c_str(), 0600) != 0 && std::chrono::steady_clock::now() < end) {
  }
  (void)manager.pings(std::chrono::seconds(33));  // 30 s count as a hang
  EXPECT_EQ(manager.pings(std::chrono::seconds(3)), 0U);
  wire_->received.clear();
  EXPECT_TRUE(wire_->await_topic(kTelemetry)) << "the rest of the agent works, and does not ping for the frames";
  EXPECT_FALSE(file_text(pipe).empty()) << "somebody reads the picture to its end";
  EXPECT_GT(manager.pings(std::chrono::seconds(5)), 0U) << "the frames go on, the pings too";
}

}  // namespace
}  // namespace wayside::test
