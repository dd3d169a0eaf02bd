// SPDX-License-Identifier: Apache-2.0
// Binds a Fetcher or a BlobServer to an MQTT client: events in, publications out. Thin, and without a loop of its own.
#pragma once

#include "base/mqtt/client.h"
#include "ota/transfer/blob_server.h"
#include "ota/transfer/fetcher.h"

namespace wayside::ota {

/// Hands an event of the device's client to the fetcher; foreign messages are ignored. Call flush() afterwards.
void forward(Fetcher& fetcher, const base::mqtt::Event& event, const base::mqtt::Client& client,
             base::MonotonicTime now);
/// Does local work that is due and carries out the fetcher's effects. A request that the client cannot take now is left
/// to the fetcher's time-out.
void flush(Fetcher& fetcher, base::mqtt::Client& client, base::MonotonicTime now);

/// Owns the one message that did not fit into the client's window. Subscribe with join() once.
class BlobServerPort {
 public:
  BlobServerPort(BlobServer& server, base::mqtt::Client& client) : server_(&server), client_(&client) {}
  /// Subscribes to the requests of all devices, shared with the other servers of `group`.
  void join(std::string_view root, std::string_view group);
  void forward(const base::mqtt::Event& event, base::MonotonicTime now);
  /// Publishes until the client's window is full or nothing is left.
  void flush(base::MonotonicTime now);

 private:
  BlobServer* server_;
  base::mqtt::Client* client_;
  std::optional<base::mqtt::Message> held_;
};

}  // namespace wayside::ota
