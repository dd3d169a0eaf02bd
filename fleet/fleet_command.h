// SPDX-License-Identifier: Apache-2.0
// `wayside fleet`: describes its subcommands to the command line parser.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace wayside::fleet {

/// Adds "fleet" to `app`; the subcommand that is given puts its work into `chosen`.
void add_fleet(CLI::App& app, std::function<int()>& chosen);

}  // namespace wayside::fleet
