// SPDX-License-Identifier: Apache-2.0
// What all `wayside fleet` commands share: the database, the broker's address, and one way to fail.
#pragma once

#include <cstdio>
#include <string>

#include "base/mqtt/client.h"
#include "base/result.h"
#include "fleet/sql/schema.h"

namespace wayside::fleet {

/// Options of every command that talks to the broker.
struct BrokerOptions {
  std::string host = "localhost";
  std::uint16_t port = 1883;
  std::string root = "te";
  std::string client_id =
      "wayside-operator";  ///< with certificates the broker takes the name in the certificate instead
  std::string ca, cert, key;

  [[nodiscard]] base::mqtt::ClientOptions client() const {
    base::mqtt::ClientOptions made;
    made.host = host;
    made.port = port;
    made.client_id = client_id;
    made.tls = {.ca = ca, .cert = cert, .key = key};
    made.receive_maximum = 256;
    made.max_in_flight = 256;
    return made;
  }
};

/// Options of every command.
struct FleetOptions {
  std::string database;  ///< empty: default_fleet_database()
  bool json = false;
};

[[nodiscard]] inline base::Result<std::filesystem::path> database_path(const FleetOptions& options) {
  if (!options.database.empty()) return std::filesystem::path(options.database);
  return default_fleet_database();
}

/// One line on standard error; the exit code of a failed command.
inline int complain(const base::Error& error) {
  std::fprintf(stderr, "wayside fleet: %s\n", error.message.c_str());
  return 1;
}

[[nodiscard]] std::int64_t unix_now();

}  // namespace wayside::fleet
