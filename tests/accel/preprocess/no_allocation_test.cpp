// SPDX-License-Identifier: Apache-2.0
// After creation, pre-processing allocates nothing, whatever picture comes.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <random>

#include "accel/preprocess/preprocess.h"
#include "tests/accel/preprocess/test_picture.h"

namespace {
std::atomic<int> g_allocations{0};
}  // namespace

// Counts; the rest of the family ends here.
void* operator new(std::size_t size) {
  ++g_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace wayside::accel {
namespace {

TEST(Preprocess, AllocatesNothingAfterCreation) {
  std::mt19937 random(1);
  PreprocessSpec spec;
  spec.input = {.name = "input", .type = DType::i8, .shape = {1, 64, 96, 3}, .quantization = {1.0F / 255, -128}};
  auto preprocessor = Preprocessor::create(spec);
  ASSERT_TRUE(preprocessor.has_value());
  std::vector<std::byte> out(spec.input.byte_count());
  for (const auto format : test::kReadableFormats) {
    for (const std::uint32_t width : {96U, 1921U, 641U, 30U}) {
      const auto picture = test::random_picture(format, width, 70, 3, random);
      const int before = g_allocations;
      const bool ok = preprocessor->run(picture.view, {}, out).has_value();
      const int after = g_allocations;
      EXPECT_TRUE(ok);
      EXPECT_EQ(after, before) << base::to_string(format) << ' ' << width;
    }
  }
}

}  // namespace
}  // namespace wayside::accel
