// SPDX-License-Identifier: Apache-2.0
// fleet-storm: a fleet of simulated devices (real updater, transfer and MQTT client, one connection each) on one
// mosquitto: bad models must stop in wave 1; then the broker is killed in the middle of a good roll-out. usage:
// fleet-storm [DEVICES] [PROCESSES]; prints "key value" lines, ends with 1 when a bar is missed.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <format>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "base/log.h"
#include "fleet/rollout/driver.h"
#include "fleet/simulator/simulated_device.h"
#include "fleet/sql/schema.h"
#include "ota/rollout_wave.h"
#include "ota/transfer/mqtt_binding.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/fleet/simulator/signed_fleet.h"
#include "tests/support/arguments.h"
#include "tests/support/figures.h"

namespace {

using namespace wayside;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMaxDevices = 20'000, kMaxConnects = 8 * kMaxDevices;
constexpr seconds kBrokerAway{5};
constexpr int kConnectsPerSecond = 500;
constexpr std::size_t kServers = 2;
/// The MQTT library's threads look at every connection of their process whenever one has something.
constexpr std::size_t kPerProcess = 500;
/// As docs/operator/fleet.md advises: 58 s for 10 000 devices, less for fewer.
seconds spread_for(std::size_t devices) { return seconds(std::clamp<std::size_t>(devices * 12 / 1000, 3, 58)); }
/// Devices are switched on at this rate, so that the start is no storm of its own.
constexpr milliseconds kSwitchOnEvery{5};
/// How often a device looks at what has arrived: the delay of its link. Also what makes 10 000 of them fit on two
/// cores: looking costs microseconds, with nothing there too.
constexpr milliseconds kLatency{50};
/// Self-test, shadow and probation take this each.
constexpr milliseconds kStepTime{1000};

/// Shared with the device processes.
struct Board {
  std::atomic<bool> stop{false};
  std::atomic<std::uint32_t> connected{0};  ///< devices that have a connection now
  std::atomic<std::uint32_t> executions{0};
  std::atomic<std::uint32_t> connect_count{0};
  std::atomic<std::int64_t> connect_ms[kMaxConnects];       ///< every CONNACK, monotonic clock
  std::atomic<std::uint32_t> connect_device[kMaxConnects];  ///< whose
};

std::int64_t now_ms() { return std::chrono::duration_cast<milliseconds>(base::Clock::real().now()).count(); }

std::string device_name(std::size_t index) { return std::format("dev-{:05}", index); }

struct Member {
  std::size_t index = 0;
  fleet::SimulatedDisk disk;
  std::unique_ptr<fleet::SimulatedDevice> device;
  std::uint64_t connections = 0, executions = 0;
  bool up = false;
};

void note_changes(Member& member, Board& board) {
  auto& device = *member.device;
  if (device.connections() != member.connections) {
    member.connections = device.connections();
    const auto slot = board.connect_count++;
    if (slot < kMaxConnects) {
      board.connect_device[slot] = static_cast<std::uint32_t>(member.index);
      board.connect_ms[slot] = now_ms();
    }
  }
  if (device.connected() != member.up) {
    member.up = device.connected();
    board.connected += member.up ? 1U : ~0U;
  }
  board.executions += static_cast<std::uint32_t>(member.disk.executions - member.executions);
  member.executions = member.disk.executions;
}

using Release = fleet::test::SignedFleet::Release;

/// The ways in which the models of this program are bad, by the version's ending.
fleet::SimulatedVerdict verdict_of(std::size_t device, const ota::Manifest& manifest) {
  const auto& version = manifest.version;
  // A fifth of the boards, another fifth for each model.
  const auto draw = ota::rollout_position(device_name(device), "flaky", version) < ota::kPositionCount / 5;
  return {.golden = !version.ends_with("-golden"),
          .probation = !version.ends_with("-probation") && !(version.ends_with("-flaky") && draw),
          .disagreed = version.ends_with("-disagree") ? 20U : 0U};
}

/// One chunk server; any number of them share the requests.
void run_server(std::size_t number, const std::filesystem::path& folder, std::uint16_t port, const Board& board) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto& clock = base::Clock::real();
  auto storage = base::DiskStorage::open(folder).value();
  ota::Repository repository(storage);
  ota::BlobServer server(repository, {});
  base::mqtt::ClientOptions options;
  options.host = "127.0.0.1";
  options.port = port;
  options.client_id = std::format("wayside-server-{}", number);
  options.receive_maximum = 256;
  options.max_in_flight = 256;
  const auto client = base::mqtt::Client::create(options, clock).value();
  ota::BlobServerPort serving(server, *client);
  serving.join("te", "chunks");
  while (!board.stop) {
    auto event = client->wait(clock.now() + milliseconds(20));
    for (; event; event = client->wait(clock.now())) serving.forward(*event, clock.now());
    serving.flush(clock.now());
  }
  ::_exit(0);
}

/// One process: every `step`-th device from `first`.
void run_devices(std::size_t first, std::size_t step, std::size_t count, std::uint16_t port, const ota::Root& root,
                 Board& board) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<std::unique_ptr<Member>> members;
  auto next_switch_on = base::Clock::real().now();
  std::size_t next = first;
  while (!board.stop) {
    while (next < count && base::Clock::real().now() >= next_switch_on) {
      auto member = std::make_unique<Member>();
      member->index = next;
      fleet::SimulatedDeviceOptions options;
      options.mqtt.host = "127.0.0.1";
      options.mqtt.port = port;
      options.mqtt.client_id = device_name(next);
      options.mqtt.reconnect_spread = spread_for(count);
      options.mqtt.keepalive = seconds(120);
      options.mqtt.connect_timeout = seconds(30);
      options.trusted = root;
      options.gates.step_time = kStepTime;
      options.gates.model = [next](const auto& manifest) { return verdict_of(next, manifest); };
      member->device = fleet::SimulatedDevice::create(std::move(options), member->disk, base::Clock::real()).value();
      members.push_back(std::move(member));
      next += step;
      next_switch_on += kSwitchOnEvery * step;
    }
    for (auto& member : members) {
      if (!member->device->poll()) ::_exit(1);
      note_changes(*member, board);
    }
    std::this_thread::sleep_for(kLatency);
  }
  std::fflush(stdout);
  ::_exit(0);  // no orderly goodbye of thousands
}

struct Storm {
  int peak_per_s = 0;
  double back_99_s = 0, back_100_s = 0;
  std::size_t never_back = 0;
};

Storm measure(const Board& board, std::int64_t broker_back_ms, std::size_t devices) {
  Storm storm;
  const auto count = std::min<std::size_t>(board.connect_count, kMaxConnects);
  std::vector<std::int64_t> times, first(devices, -1);
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = board.connect_ms[i].load();
    if (at < broker_back_ms) continue;
    times.push_back(at);
    auto& mine = first[board.connect_device[i]];
    mine = mine < 0 ? at : std::min(mine, at);
  }
  std::ranges::sort(times);
  for (std::size_t from = 0, to = 0; to < times.size(); ++to) {
    while (times[to] - times[from] >= 1000) ++from;
    storm.peak_per_s = std::max(storm.peak_per_s, static_cast<int>(to - from + 1));
  }
  std::ranges::sort(first);
  storm.never_back = static_cast<std::size_t>(std::ranges::count(first, -1));
  const auto seconds_of = [&](std::size_t index) { return static_cast<double>(first[index] - broker_back_ms) / 1000; };
  storm.back_99_s = seconds_of(devices * 99 / 100 - (devices == 1 ? 0 : 1));
  storm.back_100_s = seconds_of(devices - 1);
  return storm;
}

ota::RolloutPolicy policy_for(const std::vector<std::string>& names, const Release& release) {
  const auto devices = names.size();
  ota::RolloutPolicy policy;
  policy.id = "storm-" + release.manifest.version;
  policy.role = release.manifest.role;
  policy.target_name = release.manifest.name;
  policy.target_version = release.manifest.version;
  policy.manifest_sha256 = release.sha256;
  policy.halt.min_compared = 50;
  policy.waves = {{.permille = 10, .soak_s = 0}, {.permille = 1000, .soak_s = 0}};
  policy.max_in_flight = static_cast<std::uint32_t>(std::max<std::size_t>(devices / 4, 50));
  policy.starts_per_min = 1'000'000;
  policy.expires_unix_s = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()) + 86'400;
  ota::cut_waves(policy, names);
  return policy;
}

/// The operator's side: database, signatures, one driver at a time.
struct Operator {
  const fleet::test::SignedFleet& fleet;
  std::vector<std::string> names;
  std::uint16_t port;
  test::TempDir dir{};
  fleet::sql::Database database = fleet::open_fleet_database(dir.path() / "fleet.db").value();
  fleet::RolloutStore store{database};

  std::unique_ptr<fleet::Driver> start(const ota::RolloutPolicy& policy, const Release& release) {
    const auto made = store.put_manifest(release.sha256, release.envelope);
    if (!made || !store.create(policy, fleet.sign(policy), names, 0)) std::abort();
    fleet::DriverOptions options;
    options.mqtt.host = "127.0.0.1";
    options.mqtt.port = port;
    options.mqtt.client_id = "wayside-operator";
    options.mqtt.receive_maximum = 256;
    options.mqtt.max_in_flight = 256;
    return fleet::Driver::create(store, policy.id, options, base::Clock::real()).value();
  }
  /// True when the roll-out halted before any device of a later wave was commanded.
  bool stops_in_wave_1(const Release& release) {
    const auto policy = policy_for(names, release);
    const auto driver = start(policy, release);
    const auto give_up = now_ms() + 300'000;
    while (now_ms() < give_up && !driver->poll(milliseconds(20)).value()) {
    }
    driver->close(seconds(5));
    const auto seen = store.snapshot(policy, 1).value();
    return seen.state == fleet::RunState::halted && seen.waves[1].waiting == seen.waves[1].total();
  }
};

std::vector<Release> bad_releases(fleet::test::SignedFleet& fleet, std::size_t devices, int count) {
  std::vector<std::string> ways{"golden", "disagree", "probation"};
  if (devices >= 5000) ways.emplace_back("flaky");  // shows in a wave of 50 and more
  std::vector<Release> releases;
  for (int i = 0; i < count; ++i) {
    releases.push_back(fleet.release(std::format("2.0.{}-{}", i, ways[static_cast<std::size_t>(i) % ways.size()]),
                                     test::make_weights(16'384, 100U + static_cast<unsigned>(i)),
                                     [](ota::Manifest& manifest) {
                                       manifest.watch.shadow_frames = 10;
                                       manifest.watch.max_disagree_permille = 500;
                                     }));
  }
  return releases;
}

std::uint64_t ended(const fleet::Snapshot& seen) { return seen.evidence.executed; }

void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool wait_for_fleet(const Board& board, std::size_t devices) {
  const auto deadline = now_ms() + 600'000;
  while (board.connected < devices && now_ms() < deadline) std::this_thread::sleep_for(milliseconds(50));
  return board.connected >= devices;
}

/// Drives the roll-out; the broker dies when 30 % of the devices have ended, and comes back. When it came back, and
/// whether everything ended.
std::pair<std::int64_t, bool> ride_out(fleet::Driver& driver, test::TestBroker& broker, const Board& board,
                                       std::size_t devices) {
  enum class Phase { before, away, after } phase = Phase::before;
  std::int64_t killed_ms = 0, back_ms = 0;
  const auto give_up = now_ms() + 900'000;
  bool done = false;
  while (now_ms() < give_up) {
    done = driver.poll(milliseconds(20)).value();
    if (phase == Phase::before && ended(driver.view().snapshot) * 10 >= devices * 3) {
      broker.kill();
      killed_ms = now_ms();
      phase = Phase::away;
    }
    if (phase == Phase::away && now_ms() - killed_ms >= milliseconds(kBrokerAway).count()) {
      broker.start();
      back_ms = now_ms();
      phase = Phase::after;
    }
    if (done && phase == Phase::after && board.connected >= devices) break;
  }
  return {back_ms, done};
}

}  // namespace

int main(int argc, char** argv) {
  const auto numbers = testing_support::numbers(argc, argv, 2);
  if (!numbers || (!numbers->empty() && numbers->at(0) > static_cast<int>(kMaxDevices)))
    return std::fprintf(stderr, "fleet-storm: usage: fleet-storm [DEVICES (1 to %zu) [PROCESSES]]\n", kMaxDevices), 2;
  const auto devices = static_cast<std::size_t>(
      !numbers->empty() ? numbers->at(0)
                        : testing_support::tries<int>({.test = 40, .quick = 100, .ci = 200, .full = 10'000}));
  const auto processes =
      numbers->size() > 1 ? static_cast<std::size_t>(numbers->at(1)) : (devices + kPerProcess - 1) / kPerProcess;
  if (!test::TestBroker::available()) return std::puts("fleet-storm: mosquitto is not installed"), 77;
  const auto began_ms = now_ms();
  const auto second = [began_ms] { return (now_ms() - began_ms) / 1000; };
  allow_many_files();
  base::init_logging(base::LogLevel::error);
  void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return std::perror("fleet-storm: mmap"), 1;
  auto& board = *new (memory) Board;
  fleet::test::SignedFleet signed_fleet;
  const auto good = signed_fleet.release("3.0.0", test::make_weights(16'384, 1));
  const auto bad =
      bad_releases(signed_fleet, devices, testing_support::tries<int>({.test = 2, .quick = 3, .ci = 6, .full = 12}));
  test::TempDir files;
  {
    auto storage = base::DiskStorage::open(files.path()).value();
    ota::Repository repository(storage);
    for (const auto& [digest, bytes] : signed_fleet.shelf) {
      if (!repository.publish(ota::SpanSource(bytes))) return std::puts("fleet-storm: cannot publish"), 1;
    }
  }
  test::TestBroker broker("max_connections -1\nmax_queued_messages 0\nmax_inflight_messages 20\nmax_keepalive 600");
  std::vector<pid_t> children;
  for (std::size_t i = 0; i < processes + kServers; ++i) {
    const pid_t child = ::fork();
    if (child == 0 && i < kServers) run_server(i, files.path(), broker.port(), board);
    if (child == 0) run_devices(i - kServers, processes, devices, broker.port(), signed_fleet.root, board);
    children.push_back(child);
  }
  if (!wait_for_fleet(board, devices))
    return std::printf("fleet-storm: only %u of %zu devices connected\n", board.connected.load(), devices), 1;
  std::fprintf(stderr, "fleet-storm: second %ld: %zu devices connected\n", second(), devices);

  std::vector<std::string> names;
  for (std::size_t i = 0; i < devices; ++i) names.push_back(device_name(i));
  Operator tool{.fleet = signed_fleet, .names = names, .port = broker.port()};
  std::size_t stopped = 0;
  for (const auto& release : bad) {
    const bool in_time = tool.stops_in_wave_1(release);
    stopped += in_time ? 1 : 0;
    std::fprintf(stderr, "fleet-storm: second %ld: %s was %sstopped in wave 1\n", second(),
                 release.manifest.version.c_str(), in_time ? "" : "not ");
  }
  const auto executed_bad = board.executions.load();

  const auto policy = policy_for(names, good);
  auto driver = tool.start(policy, good);
  const auto [back_ms, done] = ride_out(*driver, broker, board, devices);
  const auto seen = tool.store.snapshot(policy, 1).value();
  const Storm storm = measure(board, back_ms, devices);
  board.stop = true;
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  std::uint64_t succeeded = 0;
  for (const auto& wave : seen.waves) succeeded += wave.succeeded;
  const auto executed = board.executions.load() - executed_bad;
  const auto report = [](const char* key, auto value) {
    std::printf("%s\n", std::format("{} {}", key, value).c_str());
    testing_support::figure(key, value);
  };
  report("sim_devices", devices);
  report("sim_bad_models", bad.size());
  report("sim_bad_models_stopped_in_wave_1", stopped);
  report("sim_connects_per_s_peak", storm.peak_per_s);
  report("sim_back_99_percent_s", storm.back_99_s);
  report("sim_back_all_s", storm.back_100_s);
  report("sim_commands_lost", devices - succeeded);
  report("sim_commands_executed_twice", static_cast<std::int64_t>(executed) - static_cast<std::int64_t>(devices));
  report("sim_seconds", second());
  const bool passed = done && stopped == bad.size() && storm.never_back == 0 &&
                      storm.peak_per_s <= kConnectsPerSecond && storm.back_99_s <= 60 && succeeded == devices &&
                      executed == devices;
  return passed ? 0 : 1;
}
