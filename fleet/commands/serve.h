// SPDX-License-Identifier: Apache-2.0
// `wayside fleet serve`: answers devices that fetch files, from a repository folder; any number of processes may serve.
#pragma once

#include <string>

#include "fleet/commands/output.h"

namespace wayside::fleet {

struct ServeOptions {
  BrokerOptions broker;
  std::string repository;
  /// Processes with the same group share the requests of all devices; empty: an ordinary subscription, of one process.
  std::string group = "blob-servers";
  unsigned seconds = 0;  ///< 0: until Ctrl-C
};
/// Keeps nothing that it could not lose: it may be killed and started anywhere, at any time. Exit code 0 after Ctrl-C.
int serve_command(const FleetOptions& fleet, const ServeOptions& options);

}  // namespace wayside::fleet
