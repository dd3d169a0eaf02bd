// SPDX-License-Identifier: Apache-2.0
// Counts every operator new of a test program; link allocation_counter.cpp.
#pragma once

namespace wayside::test {

/// Allocations of this process so far, by all threads.
[[nodiscard]] int allocation_count();

}  // namespace wayside::test
