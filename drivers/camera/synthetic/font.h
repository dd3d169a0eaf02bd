// SPDX-License-Identifier: Apache-2.0
// A 5x7 letter grid drawn as scalable strokes: number plates, signs and the time stamp.
#pragma once

#include <string_view>

#include "drivers/camera/synthetic/pen.h"

namespace wayside::drivers::synthetic {

inline constexpr int kGlyphColumns = 5;
inline constexpr int kGlyphRows = 7;

/// The seven rows of a glyph from top to bottom, bit 4 = leftmost column; space for what the font lacks. Has A-Z, 0-9
/// and "-:".
[[nodiscard]] const unsigned char* glyph(char letter);

/// Writes `text` on the quad (u along corners 0-1 = reading direction, v along 0-3 = downwards), centred, with margins
/// of one column.
void draw_text(const Pen& pen, const Vec3 (&corners)[4], std::string_view text, Rgb ink, const Finish& finish);

}  // namespace wayside::drivers::synthetic
