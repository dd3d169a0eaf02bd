// SPDX-License-Identifier: Apache-2.0
// wayside package make|sign|verify|show and wayside keys new|root|rotate.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace wayside::fleet {

/// Adds the commands to the program; the one that the user chooses is put into `chosen`.
void add_package(CLI::App& app, std::function<int()>& chosen);
void add_keys(CLI::App& app, std::function<int()>& chosen);

}  // namespace wayside::fleet
