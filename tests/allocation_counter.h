// SPDX-License-Identifier: Apache-2.0
// Counts calls of operator new; linking wayside_allocation_counter replaces it in the whole test program.
#pragma once

#include <cstddef>

namespace wayside::test {

/// Allocations on any thread since the program started.
[[nodiscard]] std::size_t allocation_count();
/// Those of the calling thread.
[[nodiscard]] std::size_t thread_allocation_count();

}  // namespace wayside::test
