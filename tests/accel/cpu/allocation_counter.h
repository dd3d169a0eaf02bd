// SPDX-License-Identifier: Apache-2.0
// Counts calls of operator new in this test program.
#pragma once

#include <cstddef>

namespace wayside::accel::cpu::testing {

/// Allocations by operator new, on any thread, since the program started.
[[nodiscard]] std::size_t allocation_count();

}  // namespace wayside::accel::cpu::testing
