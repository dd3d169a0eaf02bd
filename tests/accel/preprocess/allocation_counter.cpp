// SPDX-License-Identifier: Apache-2.0
// See allocation_counter.h. A file of its own, so that no caller sees malloc() behind operator new.
#include "tests/accel/preprocess/allocation_counter.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<int> g_count{0};
}  // namespace

// The array forms call these, except under AddressSanitizer, which pairs its own.
void* operator new(std::size_t size) {
  ++g_count;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++g_count;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace wayside::test {

int allocation_count() { return g_count; }

}  // namespace wayside::test
