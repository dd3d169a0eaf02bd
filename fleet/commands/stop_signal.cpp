// SPDX-License-Identifier: Apache-2.0
// A flag that the signal handler sets.
#include "fleet/commands/stop_signal.h"

#include <signal.h>

namespace wayside::fleet {
namespace {
volatile sig_atomic_t requested = 0;
}

void stop_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { requested = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool stop_requested() { return requested != 0; }

}  // namespace wayside::fleet
