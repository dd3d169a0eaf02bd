// SPDX-License-Identifier: Apache-2.0
// The real `wayside fleet` with a real broker: enrolment, a roll-out watched to its end, steering, and one-line
// failures.
#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "fleet/simulator/simulated_device.h"
#include "ota/transfer/blob_server.h"
#include "ota/transfer/topics.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/ota/delta/synthetic_model.h"
#include "tests/system/agent_process.h"

namespace wayside::fleet {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using wayside::test::Finished;

class FleetCli : public testing::Test {
 protected:
  Finished run(Words words) {
    words.insert(words.begin(), "fleet");
    words.insert(words.end(), {"--db", (dir_.path() / "fleet.db").string()});
    return wayside::test::run_to_end(WAYSIDE_FLEET_PROGRAM, words);
  }
  Json json(Words words, int code = 0) {
    words.emplace_back("--json");
    const auto done = run(std::move(words));
    EXPECT_EQ(done.exit_code, code) << done.errors;
    auto parsed = Json::parse(done.output, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << done.output;
    return parsed;
  }
  void fails(Words words, const std::string& why) {
    const auto done = run(std::move(words));
    EXPECT_EQ(done.exit_code, 1) << done.output;
    EXPECT_NE(done.errors.find(why), std::string::npos) << done.errors;
    EXPECT_EQ(std::ranges::count(done.errors, '\n'), 1) << done.errors;
  }
  /// Keys, a root that trusts them, and a signed package of these bytes, all made by the program itself.
  void make_keys() {
    const auto in = [this](Words words) {
      const auto done = wayside::test::run_to_end(WAYSIDE_FLEET_PROGRAM, words);
      ASSERT_EQ(done.exit_code, 0) << done.errors;
    };
    for (const char* name : {"root", "pack", "roll"}) in({"keys", "new", name, "--dir", dir_.path().string()});
    in({"keys", "root", "-o", file("root.json"), "--root", file("root.pub.pem"), "--packages", file("pack.pub.pem"),
        "--rollouts", file("roll.pub.pem"), "--sign", file("root.key.pem")});
  }
  std::string make_package(const std::string& version, const ota::Bytes& model) {
    std::ofstream(file("model.tflite"), std::ios::binary)
        .write(reinterpret_cast<const char*>(model.data()), static_cast<std::streamsize>(model.size()));
    std::ofstream(file("in.bin")) << "inputs";
    std::ofstream(file("out.bin")) << "outputs " << version;
    std::ofstream(file("recipe.json")) << R"({"name":"street","role":"detector","security_counter":1,"version":")"
                                       << version << R"(","labels":["person"],
      "variants":[{"id":"cpu","accelerator":"cpu-int8","file":"model.tflite"}],"watch":{"shadow_frames":10,
      "max_disagree_permille":500},"golden":{"count":1,"inputs":"in.bin","outputs":"out.bin"}})";
    const auto package = file("street-" + version + ".wmp");
    for (const Words& words : {Words{"package", "make", file("recipe.json"), "-o", package},
                               Words{"package", "sign", package, "--key", file("pack.key.pem")}}) {
      const auto done = wayside::test::run_to_end(WAYSIDE_FLEET_PROGRAM, words);
      EXPECT_EQ(done.exit_code, 0) << done.errors;
    }
    return package;
  }
  [[nodiscard]] std::string file(const std::string& name) const { return (dir_.path() / name).string(); }
  [[nodiscard]] Words push(const std::string& package, const std::string& id, Words more) const {
    Words words{"push", package, "--trust", file("root.json"), "--sign", file("roll.key.pem"), "--id", id};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  wayside::test::TempDir dir_;
};

TEST_F(FleetCli, DevicesAreEnrolledListedAndRevoked) {
  EXPECT_EQ(json({"enroll", "gate-1", "--group", "canary", "--label", "board=pi5"}).at("state"), "allowed");
  ASSERT_EQ(run({"authority", (dir_.path() / "ca").string(), "--broker", "DNS:localhost"}).exit_code, 0);
  for (const char* name : {"wayside-operator", "wayside-monitor", "wayside-server-1", "wayside-server-2"})
    EXPECT_TRUE(std::filesystem::exists(dir_.path() / "ca" / (std::string(name) + ".crt"))) << name << " of fleet.acl";
  const auto made =
      json({"enroll", "gate-2", "--authority", (dir_.path() / "ca").string(), "--out", dir_.path().string()});
  EXPECT_EQ(made.at("state"), "enrolled");
  EXPECT_TRUE(std::filesystem::exists(dir_.path() / "gate-2.key"));
  EXPECT_EQ(json({"list"}).size(), 2U);
  EXPECT_EQ(json({"list", "--where", "board=pi5"}).at(0).at("id"), "gate-1");
  EXPECT_EQ(json({"revoke", "gate-2"}).at("state"), "revoked");
  EXPECT_EQ(json({"show", "gate-2"}).at("state"), "revoked");
  fails({"enroll", "gate-2"}, "revoked");
  fails({"enroll", "a/b"}, "device id");
  fails({"enroll", "x", "--label", "novalue"}, "key=value");
  fails({"show", "nobody"}, "not enrolled");
  fails({"list", "--group", "none"}, "no device is in group");
  fails({"enroll", "y", "--authority", "/nonexistent"}, "wayside fleet authority");
}

TEST_F(FleetCli, APolicyForAStickIsSignedByTheRightKeyOnly) {
  make_keys();
  const auto package = make_package("2.0.0", wayside::test::make_weights(5000, 1));
  const auto policy = [&](const std::string& key) {
    return wayside::test::run_to_end(WAYSIDE_FLEET_PROGRAM,
                                     {"package", "policy", package, "--root", file("root.json"), "--sign", file(key)});
  };
  EXPECT_NE(policy("pack.key.pem").exit_code, 0) << "that key signs packages";
  EXPECT_FALSE(std::filesystem::exists(file("street-2.0.0.policy.json")));
  const auto made = policy("roll.key.pem");
  ASSERT_EQ(made.exit_code, 0) << made.errors;
  std::ifstream text(file("street-2.0.0.policy.json"));
  const auto envelope = nlohmann::json::parse(text);
  EXPECT_EQ(envelope.at("type"), "wayside-rollout/1");
  const auto body = nlohmann::json::parse(envelope.at("body").get<std::string>());
  EXPECT_EQ(body.at("target_version"), "2.0.0");
}

TEST_F(FleetCli, RolloutsArePlannedSteeredAndRefused) {
  make_keys();
  const auto package = make_package("2.0.0", wayside::test::make_weights(5000, 1));
  fails(push(package, "r1", {}), "no device is selected");
  for (int i = 0; i < 20; ++i) ASSERT_EQ(run({"enroll", "dev-" + std::to_string(i)}).exit_code, 0);
  const auto planned = json(push(package, "r1", {"--dry-run", "--waves", "10,100"}));
  EXPECT_EQ(planned.at("waves").at(0).size(), 2U);
  EXPECT_EQ(planned.at("waves").at(1).size(), 18U);
  EXPECT_EQ(json({"rollout", "status"}).size(), 0U) << "a dry run records nothing";
  fails(push(package, "r1", {"--waves", "50,10"}), "waves");
  fails(push(package, "r1", {"--window", "nine to five"}), "HH:MM-HH:MM");
  EXPECT_EQ(json(push(package, "r1", {"--detach"})).at("state"), "running");
  fails(push(package, "r1", {"--detach"}), "roll-out r1 exists");
  EXPECT_EQ(json({"rollout", "pause", "r1", "--detach"}).at("state"), "paused");
  EXPECT_EQ(json({"rollout", "resume", "r1", "--detach"}).at("state"), "running");
  EXPECT_EQ(json({"rollout", "abort", "r1", "--detach"}).at("state"), "aborted");
  fails({"rollout", "resume", "r1", "--detach"}, "start a new one");
  fails({"rollout", "status", "r2"}, "there is no roll-out r2");
  EXPECT_GE(json({"logs", "r1"}).size(), 4U);
  const auto hash = json({"rollout", "status", "r1"}).at("target").at("manifest_sha256").get<std::string>();
  EXPECT_EQ(json(push(hash, "r2", {"--detach"})).at("target").at("version"), "2.0.0") << "by hash, from the database";
}

TEST_F(FleetCli, NothingIsPushedThatDevicesWouldRefuse) {
  make_keys();
  const auto package = make_package("2.0.0", wayside::test::make_weights(5000, 1));
  ASSERT_EQ(run({"enroll", "gate-1"}).exit_code, 0);
  const auto with = [&](const std::string& target, const std::string& key) {
    Words words{"push", target, "--trust", file("root.json"), "--detach"};
    if (!key.empty()) words.insert(words.end(), {"--sign", key});
    return words;
  };
  fails(with(file("nothing.wmp"), file("roll.key.pem")), "nothing.wmp");
  fails(with(std::string(64, 'a'), file("roll.key.pem")), "give the package file");
  fails(with(package, ""), "no_signatures");
  fails(with(package, file("pack.key.pem")), "key_not_for_role");
  std::fstream(package, std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end).put('!');
  fails(with(package, file("roll.key.pem")), "hash_mismatch");
  EXPECT_EQ(json({"rollout", "status"}).size(), 0U);
}

/// Simulated devices that take files over MQTT from one chunk server, polled by a thread.
class CliFleet {
 public:
  CliFleet(int devices, std::uint16_t port, const std::string& root_file, const std::filesystem::path& repository)
      : disks_(static_cast<std::size_t>(devices)), storage_(base::DiskStorage::open(repository).value()) {
    std::ifstream file(root_file);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto root = ota::open_first_root(text).value();
    for (int i = 0; i < devices; ++i) {
      SimulatedDeviceOptions options;
      options.mqtt = client(port, "dev-" + std::to_string(i));
      options.trusted = root;
      options.gates.step_time = std::chrono::milliseconds(50);
      options.gates.model = [i](const ota::Manifest& manifest) {
        return SimulatedVerdict{.golden = i != 3 || !manifest.version.ends_with("-golden"),
                                .disagreed = manifest.version.ends_with("-disagree") ? 20U : 0U};
      };
      devices_.push_back(
          SimulatedDevice::create(std::move(options), disks_[static_cast<std::size_t>(i)], base::Clock::real())
              .value());
    }
    server_client_ = base::mqtt::Client::create(client(port, "wayside-server-1")).value();
    thread_ = std::thread([this] { run(); });
  }
  ~CliFleet() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  /// Bytes of index pages and chunks that the server sent since the last call, counted from its messages.
  std::uint64_t take_sent_bytes() { return sent_bytes_.exchange(0); }

 private:
  static base::mqtt::ClientOptions client(std::uint16_t port, std::string id) {
    base::mqtt::ClientOptions options;
    options.host = "127.0.0.1";
    options.port = port;
    options.client_id = std::move(id);
    options.max_in_flight = 64;
    return options;
  }
  void run() {
    auto& clock = base::Clock::real();
    ota::Repository repository(storage_);
    ota::BlobServer server(repository, {});
    server_client_->subscribe(ota::server_filter("te", "chunks"), 1);
    while (!stop_) {
      for (auto& device : devices_) EXPECT_TRUE(device->poll());
      while (const auto event = server_client_->wait(clock.now())) {
        if (event->kind == base::mqtt::Event::Kind::message) server.on_message(event->message, clock.now());
      }
      while (server_client_->connected() && server_client_->in_flight() < 32) {
        const auto message = server.next(clock.now());
        if (!message) break;
        const auto reply = ota::parse_reply(ota::bytes_of(message->payload));
        if (const auto* piece = std::get_if<ota::Piece>(&*reply)) sent_bytes_ += piece->data.size();
        EXPECT_TRUE(server_client_->publish(*message));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  std::vector<SimulatedDisk> disks_;
  std::vector<std::unique_ptr<SimulatedDevice>> devices_;
  base::DiskStorage storage_;
  std::unique_ptr<base::mqtt::Client> server_client_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> sent_bytes_{0};
  std::thread thread_;
};

TEST_F(FleetCli, APushIsPricedToTheByteWatchedAndHalted) {
  if (!wayside::test::TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
  constexpr int kDevices = 5;
  wayside::test::TestBroker broker;
  make_keys();
  const auto repository = dir_.path() / "repository";
  CliFleet fleet(kDevices, broker.port(), file("root.json"), repository);
  for (int i = 0; i < kDevices; ++i) ASSERT_EQ(run({"enroll", "dev-" + std::to_string(i)}).exit_code, 0);
  const auto first = wayside::test::make_weights(300'000, 1);
  const auto pushed = [&](const std::string& version, const ota::Bytes& model, const std::string& id, Words more) {
    more.insert(more.end(), {"--host", "127.0.0.1", "--port", std::to_string(broker.port()), "--soak", "0",
                             "--repository", repository.string()});
    return push(make_package(version, model), id, std::move(more));
  };
  // The first model, to three of five devices: nobody has anything yet.
  fleet.take_sent_bytes();
  auto words = pushed("1.0.0", first, "r1", {"--waves", "60"});
  auto dry = words;
  dry.emplace_back("--dry-run");
  auto cost = json(dry).at("cost");
  EXPECT_EQ(cost.at("unknown_devices"), 0);
  ASSERT_EQ(cost.at("classes").size(), 1U);
  EXPECT_EQ(cost.at("classes")[0].at("route"), "full");
  EXPECT_EQ(json(words).at("total").at("succeeded"), 3);
  EXPECT_EQ(fleet.take_sent_bytes(), 3 * cost.at("classes")[0].at("bytes_each").get<std::uint64_t>());
  // The next one: three devices take a delta, two everything. What was announced is what is sent, to the byte.
  words = pushed("1.1.0", wayside::test::redraw_regions(first, 0.01, 1, 7), "r2", {"--waves", "100"});
  dry = words;
  dry.emplace_back("--dry-run");
  cost = json(dry).at("cost");
  ASSERT_EQ(cost.at("classes").size(), 2U) << cost.dump();
  EXPECT_EQ(cost.at("classes")[0].at("devices"), 3);
  EXPECT_EQ(cost.at("classes")[0].at("route"), "patch");
  EXPECT_LT(cost.at("classes")[0].at("bytes_each"), 300'000 * 3 / 100);
  EXPECT_EQ(cost.at("classes")[1].at("route"), "full");
  EXPECT_EQ(json(words).at("total").at("succeeded"), kDevices);
  EXPECT_EQ(fleet.take_sent_bytes(), cost.at("bytes").get<std::uint64_t>());
  // One device of five fails; and a model with which all devices are content, but which sees other things.
  EXPECT_EQ(json(pushed("1.2.0-golden", first, "r3", {"--waves", "100"}), 3).at("state"), "halted");
  EXPECT_NE(run({"logs", "r3", "--device", "dev-3"}).output.find("golden set"), std::string::npos);
  const auto halted =
      json(pushed("1.3.0-disagree", wayside::test::make_weights(9'000, 3), "r4", {"--waves", "100"}), 3);
  EXPECT_NE(halted.at("why").get<std::string>().find("disagree on 20.0 %"), std::string::npos) << halted.dump();
  // Outside the maintenance window nothing starts.
  const auto minute = std::time(nullptr) / 60 % 1440;
  const auto later = [&](int hours) { return std::format("{:02}:{:02}", (minute / 60 + hours) % 24, minute % 60); };
  fleet.take_sent_bytes();
  auto closed = pushed("1.4.0", wayside::test::make_weights(9'000, 4), "r5", {"--waves", "100", "--detach"});
  closed.insert(closed.end(), {"--window", later(3) + "-" + later(5)});
  EXPECT_EQ(json(closed).at("state"), "running");
  EXPECT_EQ(fleet.take_sent_bytes(), 0U);
}

}  // namespace
}  // namespace wayside::fleet
