// SPDX-License-Identifier: Apache-2.0
// A 5x7 dot font for overlays.
#pragma once

#include <array>
#include <cstdint>

namespace wayside::agent {

inline constexpr int kGlyphColumns = 5;
inline constexpr int kGlyphRows = 7;

/// Rows from top to bottom, bit 4 is the leftmost dot.
using Glyph = std::array<std::uint8_t, kGlyphRows>;

/// Small letters give capitals; characters that the font lacks give '?'.
[[nodiscard]] const Glyph& glyph_of(char character);

}  // namespace wayside::agent
