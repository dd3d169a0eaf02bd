// SPDX-License-Identifier: Apache-2.0
// Updates of the real agent while the process, the broker and the operator misbehave.
#include <poll.h>
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

TEST_F(AgentUpdate, KeysAreRotatedOverTheAirAndOldOnesAreWorthNothing) {
  start_agent();
  const auto by_old_key = world_->publish({.version = "1.0.0"});
  const auto second = world_->rotate_keys(), third = world_->rotate_keys();
  const auto followed = [this](const std::string& what) {
    for (int i = 0; i < 100 && !agent_->errors().contains(what); ++i) {
      wire_->received.clear();
      (void)wire_->await_topic(kTelemetry);
    }
    return agent_->errors().contains(what);
  };
  operator_->send("te/fleet/root/2", "{}");
  ASSERT_TRUE(followed("event=root_refused")) << agent_->errors();
  operator_->send("te/fleet/root/3", third);  // in the wrong order, as a broker may give them
  operator_->send("te/fleet/root/2", second);
  ASSERT_TRUE(followed("event=root_followed version=3")) << agent_->errors();
  push("r1", by_old_key);
  EXPECT_THAT(await_end("r1").value("reason", ""), HasSubstr("unknown_key"));
  push("r2", world_->publish({.version = "2.0.0"}));
  EXPECT_EQ(await_end("r2")["status"], "successful") << agent_->errors();
  agent_->send(SIGKILL);
  agent_->wait();
  start_agent();  // its configuration still names the first root
  push("r3", world_->publish({.version = "3.0.0"}));
  EXPECT_EQ(await_end("r3")["status"], "successful") << agent_->errors();
}

/// What the process and its store take.
struct Footprint {
  std::size_t descriptors = 0, rss_kib = 0;
  std::uintmax_t store_bytes = 0;
};
Footprint footprint_of(pid_t pid, const std::filesystem::path& store) {
  Footprint found;
  const auto process = std::filesystem::path("/proc") / std::to_string(pid);
  for (const auto& one : std::filesystem::directory_iterator(process / "fd"))
    found.descriptors += one.path().empty() ? 0 : 1;
  std::istringstream status(file_text(process / "status"));
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") status >> found.rss_kib;
  }
  for (const auto& file : std::filesystem::recursive_directory_iterator(store))
    if (file.is_regular_file()) found.store_bytes += file.file_size();
  return found;
}

TEST_F(AgentUpdate, ManyUpdatesLeaveNoMoreThanAFew) {
  start_agent();
  const auto retrain = [](std::string& model) { model += std::string(16, '\0'); };
  const std::array versions{world_->publish({.version = "1.0.0"}),
                            world_->publish({.version = "2.0.0", .retrain = retrain})};
  constexpr unsigned kWarmUp = 6;
  const auto updates = testing_support::tries<unsigned>({.test = 4, .quick = 4, .ci = 20, .full = 1000});
  Footprint before;
  for (unsigned i = 0; i < kWarmUp + updates; ++i) {
    const std::string id = std::format("soak-{}", i);
    push(id, versions[i % versions.size()]);
    ASSERT_EQ(await_end(id)["status"], "successful") << id << agent_->errors();
    operator_->send(update_topic(id), "");
    wire_->received.clear();
    ASSERT_TRUE(wire_->await_topic(kTelemetry));
    if (i + 1 == kWarmUp) before = footprint_of(agent_->pid(), dir_.path() / "state");
  }
  const auto after = footprint_of(agent_->pid(), dir_.path() / "state");
  EXPECT_LE(after.descriptors, before.descriptors + 2) << "the parser's come and go";
  EXPECT_LE(after.rss_kib, before.rss_kib + 2048);
  EXPECT_LE(after.store_bytes, before.store_bytes + 64 * 1024);
  testing_support::figure("soak_updates", updates);
  testing_support::figure("soak_rss_growth_kib",
                          static_cast<double>(after.rss_kib) - static_cast<double>(before.rss_kib));
}

#ifdef WAYSIDE_PARSER_PEER  // sanitizers need calls that its jail forbids
/// Beside this agent lies a wayside-fetch with a fault: it dies of a chunk with the word "poison" in it.
TEST_F(AgentUpdate, AChunkThatKillsItsParserFailsThatUpdateOnly) {
  const auto folder = dir_.path() / "programs";
  std::filesystem::create_directory(folder);
  std::error_code error;
  std::filesystem::create_hard_link(WAYSIDE_AGENT_PROGRAM, folder / "waysided", error);
  if (error) std::filesystem::copy_file(WAYSIDE_AGENT_PROGRAM, folder / "waysided");
  std::filesystem::copy_file(WAYSIDE_PARSER_PEER, folder / "wayside-fetch");
  agent_ = start({.port = broker_.port(), .more = world_->config(), .program = folder / "waysided"});
  const auto retrain = [](std::string& model) {
    for (int i = 0; i < 10'000; ++i) model += "poison ";
  };
  push("r1", world_->publish({.version = "1.0.0", .retrain = retrain}));
  const auto report = await_end("r1");
  EXPECT_EQ(report["status"], "failed") << report;
  EXPECT_EQ(report["step"], "download") << report;
  EXPECT_THAT(report.value("reason", ""), HasSubstr("its input may be an attack"));
  push("r2", world_->publish({.version = "2.0.0"}));
  EXPECT_EQ(await_end("r2")["status"], "successful") << "with a new parser: " << agent_->errors();
  EXPECT_TRUE(runs("2.0.0"));
  agent_->send(SIGTERM);
  EXPECT_EQ(agent_->wait(), 0) << "the process that was there at the start";
}
#endif

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
  /// Pings that have come since the last call.
  unsigned take() {
    unsigned count = 0;
    std::array<char, 512> text{};
    while (const auto bytes = ::recv(fd_, text.data(), text.size(), MSG_DONTWAIT)) {
      if (bytes < 0) break;
      count += std::string_view(text.data(), static_cast<std::size_t>(bytes)).contains("WATCHDOG=1") ? 1 : 0;
    }
    return count;
  }
  /// Waits until so many more have come.
  bool await(unsigned count) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    for (unsigned got = take(); got < count; got += take()) {
      pollfd wanted{fd_, POLLIN, 0};
      if (std::chrono::steady_clock::now() >= end || ::poll(&wanted, 1, 1000) < 0) return false;
    }
    return true;
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
  EXPECT_TRUE(manager.await(3)) << agent_->errors();
  // The vision thread now waits for ever: the picture that it writes is a pipe that nobody reads.
  const auto pipe = pictures / ".partial";
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (::mkfifo(pipe.c_str(), 0600) != 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  // Pings and reports come from one loop, as often as each other, so that the machine's mood does not matter: when so
  // many reports in a row, all of the same last frame, come without a ping, it is withheld. That takes 30 s, and some.
  constexpr unsigned kReports = 20;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30) + kPatience;
  json frames;
  unsigned quiet = 0;
  while (quiet < kReports && std::chrono::steady_clock::now() < give_up) {
    wire_->received.clear();
    const auto report = wire_->await_topic(kTelemetry);
    ASSERT_TRUE(report) << "the rest of the agent works";
    const bool same = report->payload["frames_processed_total"] == frames;
    frames = report->payload["frames_processed_total"];
    quiet = manager.take() == 0 && same ? quiet + 1 : 0;
  }
  EXPECT_EQ(quiet, kReports) << "the watchdog is still fed";
  EXPECT_FALSE(file_text(pipe).empty()) << "somebody reads the picture to its end";
  EXPECT_TRUE(manager.await(1)) << "the frames go on, the pings too";
}

}  // namespace
}  // namespace wayside::test
