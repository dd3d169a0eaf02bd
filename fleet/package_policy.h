// SPDX-License-Identifier: Apache-2.0
// `wayside package policy`: the signed permission that a package on a USB stick needs beside it.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace wayside::fleet {

/// A roll-out policy of one wave that lets every device take this package, until it expires.
void add_package_policy(CLI::App& package, std::function<int()>& chosen);

}  // namespace wayside::fleet
