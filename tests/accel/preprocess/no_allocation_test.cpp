// SPDX-License-Identifier: Apache-2.0
// After creation, pre-processing allocates nothing, whatever picture comes.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "accel/preprocess/preprocess.h"
#include "tests/accel/preprocess/test_picture.h"
#include "tests/allocation_counter.h"

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
      const std::size_t before = wayside::test::allocation_count();
      const bool ok = preprocessor->run(picture.view, {}, out).has_value();
      const std::size_t after = wayside::test::allocation_count();
      std::array<Preprocessor::Job, 1> jobs{{{.preprocessor = &*preprocessor, .tensor = out}}};
      EXPECT_TRUE(Preprocessor::run_together(picture.view, jobs).has_value());
      EXPECT_EQ(wayside::test::allocation_count(), after) << "together";
      EXPECT_TRUE(ok);
      EXPECT_EQ(after, before) << base::to_string(format) << ' ' << width;
    }
  }
}

}  // namespace
}  // namespace wayside::accel
