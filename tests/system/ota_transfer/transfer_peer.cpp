// SPDX-License-Identifier: Apache-2.0
// One side of a transfer as a process of its own, for tests that kill it: a server or a device, over a real broker.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/storage.h"
#include "ota/transfer/mqtt_binding.h"

namespace {

using namespace std::chrono_literals;
using namespace wayside;

volatile std::sig_atomic_t stopping = 0;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "transfer_peer: %s\n", why.c_str());
  std::exit(2);
}

std::unique_ptr<base::mqtt::Client> connect(const char* port, std::string id) {
  auto client = base::mqtt::Client::create({.host = "127.0.0.1",
                                            .port = static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10)),
                                            .client_id = std::move(id)});
  if (!client) give_up(client.error().message);
  return std::move(*client);
}

/// serve PORT ID FOLDER GROUP: until SIGTERM; prints what it sent.
int serve(char** arguments) {
  auto storage = base::DiskStorage::open(arguments[2]);
  if (!storage) give_up(storage.error().message);
  ota::Repository repository(*storage);
  ota::BlobServer server(repository, {});
  const auto client = connect(arguments[0], arguments[1]);
  ota::BlobServerPort port(server, *client);
  port.join("te", arguments[3]);
  while (stopping == 0) {
    const auto event = client->wait(base::Clock::real().now() + 100ms);
    if (event) port.forward(*event, base::Clock::real().now());
    port.flush(base::Clock::real().now());
  }
  std::printf("messages %llu\n", static_cast<unsigned long long>(server.counters().messages));
  return 0;
}

/// fetch PORT ID FOLDER TARGET BYTES [BASE]: prints "started" and a line for each chunk, so that a test can wait for a
/// moment; 0 when the blob is in the store.
int fetch(char** arguments, int count) {
  auto storage = base::DiskStorage::open(arguments[2]);
  if (!storage) give_up(storage.error().message);
  auto store = ota::BlobStore::open(*storage);
  if (!store) give_up(store.error().message);
  ota::FetchGoal goal{.target = ota::Digest::parse(arguments[3]).value(),
                      .target_bytes = std::strtoull(arguments[4], nullptr, 10),
                      .give_up_after = 120s};
  if (count > 5) goal.bases.push_back(ota::Digest::parse(arguments[5]).value());
  ota::Fetcher fetcher(*storage, *store,
                       {.device = arguments[1], .reply_timeout = 1000ms, .retry_ceiling = 2000ms, .jitter_seed = 3});
  const auto client = connect(arguments[0], arguments[1]);
  fetcher.start(std::move(goal), base::Clock::real().now());
  std::uint32_t told = 0;
  while (fetcher.state() != ota::FetchState::done && fetcher.state() != ota::FetchState::failed) {
    ota::flush(fetcher, *client, base::Clock::real().now());
    const auto latest = base::Clock::real().now() + 100ms;
    const auto event = client->wait(std::min(fetcher.wake_at().value_or(latest), latest));
    if (event) ota::forward(fetcher, *event, *client, base::Clock::real().now());
    if (fetcher.progress().chunks_done != told) {
      told = fetcher.progress().chunks_done;
      std::printf("chunks %u\n", told);
      std::fflush(stdout);
    }
  }
  ota::flush(fetcher, *client, base::Clock::real().now());
  client->close(2000ms);
  std::printf("state %s resumed %u planned %llu spent %llu %s\n", std::string(to_string(fetcher.state())).c_str(),
              fetcher.progress().chunks_resumed, static_cast<unsigned long long>(fetcher.progress().planned_bytes),
              static_cast<unsigned long long>(fetcher.progress().spent_bytes), fetcher.failure_text().c_str());
  return fetcher.state() == ota::FetchState::done ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGTERM, [](int) { stopping = 1; });
  const std::string verb = count > 1 ? arguments[1] : "";
  if (verb == "serve" && count == 6) return serve(arguments + 2);
  if (verb == "fetch" && count >= 7) return fetch(arguments + 2, count - 2);
  std::fprintf(stderr, "usage: transfer_peer serve PORT ID FOLDER GROUP | fetch PORT ID FOLDER TARGET BYTES [BASE]\n");
  return 2;
}
