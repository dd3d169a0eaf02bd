// SPDX-License-Identifier: Apache-2.0
// `wayside package add`: a model that a vendor's tool compiled becomes one more variant of a package.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace wayside::fleet {

/// The variant goes first among the package's, replaces one of the same id, and the signatures go: sign it again.
/// The file must begin as its accelerator's files do.
void add_package_add(CLI::App& package, std::function<int()>& chosen);

}  // namespace wayside::fleet
