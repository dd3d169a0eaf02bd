// SPDX-License-Identifier: Apache-2.0
// Counts the allocations of a thread; linking allocation_counter.cpp replaces the program's operator new.
#pragma once

#include <cstdint>

namespace wayside::test {

/// Starts counting in the calling thread.
void count_allocations();
/// Allocations of the calling thread since then.
[[nodiscard]] std::uint64_t allocations();

}  // namespace wayside::test
