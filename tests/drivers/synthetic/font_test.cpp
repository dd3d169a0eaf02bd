// SPDX-License-Identifier: Apache-2.0
// Letters of the plates: all there, all different.
#include "drivers/camera/synthetic/font.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>

#include "drivers/camera/synthetic/vehicle.h"

namespace wayside::drivers::synthetic {
namespace {

TEST(Font, EveryLetterAndDigitHasAShapeOfItsOwn) {
  std::set<std::string> shapes;
  for (const char c : std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-: ")) {
    const unsigned char* rows = glyph(c);
    EXPECT_TRUE(shapes.emplace(reinterpret_cast<const char*>(rows), kGlyphRows).second) << c;
    for (int i = 0; i < kGlyphRows; ++i) EXPECT_LT(rows[i], 32) << c;
  }
}

TEST(Plate, TextHasTheFormOfThePlates) {
  std::set<std::string> texts;
  for (std::uint64_t vehicle = 0; vehicle < 500; ++vehicle) {
    const Plate plate = make_plate(vehicle);
    const std::string text(plate.text.data());
    ASSERT_EQ(text.size(), 7U);
    EXPECT_TRUE(std::isupper(text[0]) && std::isupper(text[1]) && text[2] == ' ') << text;
    for (int i = 3; i < 7; ++i) EXPECT_TRUE(std::isdigit(text[static_cast<std::size_t>(i)])) << text;
    texts.insert(text);
  }
  EXPECT_EQ(texts.size(), 500U);
}

}  // namespace
}  // namespace wayside::drivers::synthetic
