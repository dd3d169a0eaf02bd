// SPDX-License-Identifier: Apache-2.0
// operator new that counts.
#include "tests/agent/allocation_counter.h"

#include <cstdlib>
#include <new>

namespace {
thread_local bool counting = false;
thread_local std::uint64_t count = 0;
}  // namespace

void* operator new(std::size_t size) {
  if (counting) ++count;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
// The library's sorts ask without exceptions and free with the operator below: all or none must be replaced.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (counting) ++count;
  return std::malloc(size);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace wayside::test {
void count_allocations() { counting = true; }
std::uint64_t allocations() { return count; }
}  // namespace wayside::test
