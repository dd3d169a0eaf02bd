// SPDX-License-Identifier: Apache-2.0
// The decoder allocates nothing once it has seen a picture of a size: counted at malloc itself.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "base/codec/jpeg_decoder.h"
#include "tests/base/codec/reference_jpeg.h"

// Sanitizers bring their own malloc: there the count stays 0 and the test is skipped.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCounting = false;
#else
constexpr bool kCounting = true;
#endif

namespace {
std::atomic<unsigned> allocations = 0;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" void* __libc_malloc(std::size_t);                 // NOLINT: glibc's own name
extern "C" void* __libc_memalign(std::size_t, std::size_t);  // NOLINT
extern "C" void* malloc(std::size_t size_bytes) noexcept {
  ++allocations;
  return __libc_malloc(size_bytes);
}
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size_bytes) noexcept {
  ++allocations;
  return __libc_memalign(alignment, size_bytes);
}
#endif

namespace wayside::base {
namespace {

TEST(JpegDecoder, AllocatesNothingPerFrame) {
  if (!kCounting) GTEST_SKIP() << "malloc belongs to the sanitizer";
  for (const test::JpegKind& kind : {test::JpegKind{}, test::JpegKind{.luma_x = 2, .luma_y = 1}}) {
    const auto file = test::make_jpeg(640, 360, kind);
    auto decoder = std::move(JpegDecoder::create().value());
    ASSERT_TRUE(decoder.decode(file));
    // The arena joins nothing, but its blocks may still be filled in another order on the second round.
    ASSERT_TRUE(decoder.decode(file));
    const unsigned before = allocations;
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(decoder.decode(file));
    EXPECT_EQ(allocations - before, 0U);
  }
  EXPECT_GT(allocations, 0U);
}

}  // namespace
}  // namespace wayside::base
