// SPDX-License-Identifier: Apache-2.0
// The chunk server as a process.
#include "fleet/commands/serve.h"

#include <unistd.h>

#include <filesystem>
#include <format>

#include "base/clock.h"
#include "base/storage.h"
#include "fleet/commands/stop_signal.h"
#include "ota/transfer/mqtt_binding.h"

namespace wayside::fleet {
namespace {

using base::Result;
using Kind = base::mqtt::Event::Kind;

Result<ota::BlobServerCounters> serve(const ServeOptions& options) {
  if (!std::filesystem::is_directory(options.repository)) {
    return base::fail(base::Code::not_found,
                      options.repository + ": no such folder; wayside fleet push --repository makes it");
  }
  WAYSIDE_TRY(auto storage, base::DiskStorage::open(options.repository));
  ota::Repository repository(storage);
  ota::BlobServer server(repository, {.root = options.broker.root});
  WAYSIDE_TRY(const auto client, base::mqtt::Client::create(options.broker.client()));
  ota::BlobServerPort port(server, *client);
  port.join(options.broker.root, options.group);
  base::Clock& clock = base::Clock::real();
  const auto end =
      options.seconds == 0 ? base::MonotonicTime::max() : clock.now() + std::chrono::seconds(options.seconds);
  while (!stop_requested() && clock.now() < end) {
    const auto event = client->wait(std::min(end, clock.now() + std::chrono::milliseconds(200)));
    if (event) {
      if (event->kind == Kind::connected)
        std::fprintf(stderr, "serving %s on %s\n", options.repository.c_str(), client->address().c_str());
      if (event->kind == Kind::connect_failed || event->kind == Kind::lost || event->kind == Kind::subscribe_failed)
        std::fprintf(stderr, "%s: %s\n", client->address().c_str(), event->detail.c_str());
      port.forward(*event, clock.now());
    }
    port.flush(clock.now());
  }
  client->close(std::chrono::seconds(1));
  return server.counters();
}

}  // namespace

int serve_command(const FleetOptions& fleet, const ServeOptions& options) {
  stop_on_signals();
  const auto served = serve(options);
  if (!served) return complain(served.error());
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(fleet.json ? "{\"requests\": %llu, \"refused\": %llu, \"messages\": %llu, \"payload_bytes\": %llu}\n"
                         : "requests %llu, refused %llu, messages %llu, payload bytes %llu\n",
              number(served->requests), number(served->refused), number(served->messages),
              number(served->payload_bytes));
  return 0;
}

}  // namespace wayside::fleet
