// SPDX-License-Identifier: Apache-2.0
// wayside flash: writes a firmware image to a card or disk.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace wayside::fleet {

/// Adds the command to the program; when the user chooses it, it is put into `chosen`.
void add_flash(CLI::App& app, std::function<int()>& chosen);

}  // namespace wayside::fleet
