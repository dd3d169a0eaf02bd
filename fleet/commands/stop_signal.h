// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM end a command in an orderly way.
#pragma once

namespace wayside::fleet {

void stop_on_signals();
[[nodiscard]] bool stop_requested();

}  // namespace wayside::fleet
