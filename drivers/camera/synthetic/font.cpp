// SPDX-License-Identifier: Apache-2.0
// The letter grid and its drawing in perspective.
#include "drivers/camera/synthetic/font.h"

namespace wayside::drivers::synthetic {
namespace {

// Rows top to bottom, five bits each: the classic 5x7 matrix of character displays, drawn for this project.
constexpr unsigned char kLetters[26][kGlyphRows] = {
    {14, 17, 17, 31, 17, 17, 17}, {30, 17, 17, 30, 17, 17, 30}, {14, 17, 16, 16, 16, 17, 14},
    {30, 17, 17, 17, 17, 17, 30}, {31, 16, 16, 30, 16, 16, 31}, {31, 16, 16, 30, 16, 16, 16},
    {14, 17, 16, 23, 17, 17, 15}, {17, 17, 17, 31, 17, 17, 17}, {14, 4, 4, 4, 4, 4, 14},
    {7, 2, 2, 2, 2, 18, 12},      {17, 18, 20, 24, 20, 18, 17}, {16, 16, 16, 16, 16, 16, 31},
    {17, 27, 21, 21, 17, 17, 17}, {17, 25, 21, 19, 17, 17, 17}, {14, 17, 17, 17, 17, 17, 14},
    {30, 17, 17, 30, 16, 16, 16}, {14, 17, 17, 17, 21, 18, 13}, {30, 17, 17, 30, 20, 18, 17},
    {15, 16, 16, 14, 1, 1, 30},   {31, 4, 4, 4, 4, 4, 4},       {17, 17, 17, 17, 17, 17, 14},
    {17, 17, 17, 17, 17, 10, 4},  {17, 17, 17, 21, 21, 27, 17}, {17, 17, 10, 4, 10, 17, 17},
    {17, 17, 10, 4, 4, 4, 4},     {31, 1, 2, 4, 8, 16, 31}};
constexpr unsigned char kDigits[10][kGlyphRows] = {
    {14, 17, 19, 21, 25, 17, 14}, {4, 12, 4, 4, 4, 4, 14},    {14, 17, 1, 6, 8, 16, 31},  {31, 2, 4, 2, 1, 17, 14},
    {2, 6, 10, 18, 31, 2, 2},     {31, 16, 30, 1, 1, 17, 14}, {6, 8, 16, 30, 17, 17, 14}, {31, 1, 2, 4, 8, 8, 8},
    {14, 17, 17, 14, 17, 17, 14}, {14, 17, 17, 15, 1, 2, 12}};
constexpr unsigned char kDash[kGlyphRows] = {0, 0, 0, 14, 0, 0, 0};
constexpr unsigned char kColon[kGlyphRows] = {0, 4, 0, 0, 0, 4, 0};
constexpr unsigned char kSpace[kGlyphRows] = {};

}  // namespace

const unsigned char* glyph(char letter) {
  if (letter >= 'A' && letter <= 'Z') return kLetters[letter - 'A'];
  if (letter >= '0' && letter <= '9') return kDigits[letter - '0'];
  return letter == '-' ? kDash : letter == ':' ? kColon : kSpace;
}

void draw_text(const Pen& pen, const Vec3 (&corners)[4], std::string_view text, Rgb ink, const Finish& finish) {
  const float columns = static_cast<float>(text.size()) * (kGlyphColumns + 1) + 1;
  constexpr float kRows = kGlyphRows + 2;
  float left = 1;
  for (const char letter : text) {
    const unsigned char* rows = glyph(letter);
    // Upright strokes first (two or more dots), then what is left of the rows: few polygons and no seams.
    unsigned char rest[kGlyphRows];
    for (int r = 0; r < kGlyphRows; ++r) rest[r] = rows[r];
    const auto box = [&](int c0, int c1, int r0, int r1) {
      pen.patch(corners, (left + static_cast<float>(c0)) / columns, (left + static_cast<float>(c1)) / columns,
                (1 + static_cast<float>(r0)) / kRows, (1 + static_cast<float>(r1)) / kRows, ink, finish);
    };
    for (int c = 0; c < kGlyphColumns; ++c) {
      const auto bit = static_cast<unsigned char>(16 >> c);
      for (int r = 0; r < kGlyphRows;) {
        int end = r;
        while (end < kGlyphRows && (rows[end] & bit) != 0) ++end;
        if (end - r >= 2) {
          box(c, c + 1, r, end);
          for (int k = r; k < end; ++k) rest[k] = static_cast<unsigned char>(rest[k] & ~bit);
        }
        r = end > r ? end : r + 1;
      }
    }
    for (int r = 0; r < kGlyphRows; ++r) {
      for (int c = 0; c < kGlyphColumns;) {
        int end = c;
        while (end < kGlyphColumns && (rest[r] & (16 >> end)) != 0) ++end;
        if (end > c) box(c, end, r, r + 1);
        c = end > c ? end : c + 1;
      }
    }
    left += kGlyphColumns + 1;
  }
}

}  // namespace wayside::drivers::synthetic
