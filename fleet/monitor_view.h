// SPDX-License-Identifier: Apache-2.0
// The live table of `wayside monitor` as lines of text.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "fleet/monitor_state.h"

namespace wayside::fleet {

/// The whole table; `connection` is one line about the broker. Widths fit 80 columns.
[[nodiscard]] std::vector<std::string> render_table(const MonitorState& state, const std::string& connection,
                                                    base::MonotonicTime now);

/// The same in one line, for logs and pipes.
[[nodiscard]] std::string render_line(const MonitorState& state, base::MonotonicTime now);

}  // namespace wayside::fleet
