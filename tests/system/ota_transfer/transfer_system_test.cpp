// SPDX-License-Identifier: Apache-2.0
// A transfer over a real mosquitto: two servers, one device; the broker, a server, the line and the device die on the
// way.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "base/mqtt/message.h"
#include "ota/transfer/fetcher.h"
#include "ota/transfer/repository.h"
#include "tests/base/mqtt/test_broker.h"
#include "tests/ota/delta/synthetic_model.h"
#include "tests/system/agent_process.h"
#include "tests/system/agent_relay.h"

namespace wayside {
namespace {

using namespace std::chrono_literals;
using test::AgentProcess;

/// Waits for something that happens in other processes; the bound is generous and only met by a failure.
template <class Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

unsigned chunks_of(const AgentProcess& device) {
  const std::string output = device.output();
  const auto at = output.rfind("chunks ");
  return at == std::string::npos ? 0 : static_cast<unsigned>(std::strtoul(output.c_str() + at + 7, nullptr, 10));
}

class TransferSystem : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::TestBroker::available()) GTEST_SKIP() << "mosquitto is not installed";
    broker_ = std::make_unique<test::TestBroker>();
    relay_ = std::make_unique<test::Relay>(broker_->port());
    ota::Repository repository(server_storage_);
    ASSERT_TRUE(repository.publish(ota::SpanSource(file_)));
    planned_ = repository.offer(target_, {}).value().routes.front().price_bytes();
    servers_.push_back(serve("server-1"));
    if (shared_) servers_.push_back(serve("server-2"));
  }
  std::unique_ptr<AgentProcess> serve(const std::string& id) {
    return std::make_unique<AgentProcess>(
        WAYSIDE_TRANSFER_PEER,
        std::vector<std::string>{"serve", std::to_string(broker_->port()), id, (dir_.path() / "server").string(),
                                 shared_ ? "blob-servers" : ""});
  }
  std::unique_ptr<AgentProcess> device() {
    return std::make_unique<AgentProcess>(
        WAYSIDE_TRANSFER_PEER,
        std::vector<std::string>{"fetch", std::to_string(relay_->port()), "gate-1", (dir_.path() / "device").string(),
                                 target_.hex(), std::to_string(file_.size())});
  }
  void expect_file() {
    auto storage = base::DiskStorage::open(dir_.path() / "device").value();
    const auto store = ota::BlobStore::open(storage).value();
    EXPECT_TRUE(store.verify(target_));
    EXPECT_TRUE(store.read(target_, file_.size()).value() == file_);
  }

  const ota::Bytes file_ = test::make_weights(6 << 20U, 1);
  const ota::Digest target_ = ota::sha256_of(file_).value();
  const bool shared_ = test::TestBroker::is_mosquitto();  // the other one has no shared subscriptions
  std::uint64_t planned_ = 0;
  test::TempDir dir_;
  base::DiskStorage server_storage_ = base::DiskStorage::open(dir_.path() / "server").value();
  std::unique_ptr<test::TestBroker> broker_;
  std::unique_ptr<test::Relay> relay_;
  std::vector<std::unique_ptr<AgentProcess>> servers_;
};

TEST_F(TransferSystem, bytes_on_the_wire_stay_within_two_percent) {
  const auto peer = device();
  EXPECT_EQ(peer->wait(), 0) << peer->output() << peer->errors();
  expect_file();
  const auto wire = static_cast<double>(relay_->bytes());
  RecordProperty("wire_ratio", std::to_string(wire / static_cast<double>(planned_)));
  std::printf("wire bytes %.0f of %llu planned: %.4f\n", wire, static_cast<unsigned long long>(planned_),
              wire / static_cast<double>(planned_));
  EXPECT_LE(wire, 1.02 * static_cast<double>(planned_));
}

TEST_F(TransferSystem, everything_dies_once_and_the_file_arrives) {
  auto peer = device();
  ASSERT_TRUE(eventually([&] { return chunks_of(*peer) >= 60; })) << peer->errors();
  peer->send(SIGKILL);
  peer->wait();
  const unsigned before = chunks_of(*peer);
  peer = device();
  ASSERT_TRUE(eventually([&] { return chunks_of(*peer) >= before + 40; })) << peer->errors();
  broker_->kill();
  broker_->start();
  ASSERT_TRUE(eventually([&] { return chunks_of(*peer) >= before + 80; })) << peer->errors();
  servers_[0]->send(SIGKILL);
  servers_[0]->wait();
  if (!shared_) servers_.push_back(serve("server-3"));
  ASSERT_TRUE(eventually([&] { return chunks_of(*peer) >= before + 120; })) << peer->errors();
  relay_->cut();
  relay_->resume();
  EXPECT_EQ(peer->wait(), 0) << peer->output() << peer->errors();
  expect_file();
  const std::string output = peer->output();
  const auto resumed = std::strtoul(output.c_str() + output.find("resumed ") + 8, nullptr, 10);
  EXPECT_GE(resumed + 1, before) << "at most the chunk that was being written is fetched again";
}

}  // namespace
}  // namespace wayside
