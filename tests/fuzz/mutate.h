// SPDX-License-Identifier: Apache-2.0
// Seeded damage to files: the same seed gives the same damage everywhere.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "tests/conformance/seeded.h"

namespace wayside::fuzz {

/// One damage in half of the cases, else two to four: a flipped bit, a byte or a little-endian 32-bit word replaced by
/// a boundary value or by noise, a cut end. A word is aligned three times out of four, as the fields of flatbuffers
/// are.
inline std::vector<std::uint8_t> mutate(std::vector<std::uint8_t> bytes, std::uint64_t seed) {
  constexpr std::array<std::uint32_t, 12> kBoundaries = {
      0, 1, 2, 3, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe};
  conformance::Random random(seed);
  const auto damages = random.between(0, 1) == 0 ? 1 : random.between(2, 4);
  for (std::int64_t i = 0; i < damages && !bytes.empty(); ++i) {
    const auto size = static_cast<std::int64_t>(bytes.size());
    const auto at = static_cast<std::size_t>(random.between(0, size - 1));
    switch (random.between(0, 7)) {
      case 0:
      case 1:
      case 2: bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << random.between(0, 7))); break;
      case 3: bytes[at] = static_cast<std::uint8_t>(random.between(0, 255)); break;
      case 4:
      case 5:
      case 6: {
        const auto start = random.between(0, 3) == 0 ? at : at & ~std::size_t{3};
        const auto word = random.between(0, 3) == 0 ? static_cast<std::uint32_t>(random.next())
                                                    : kBoundaries[static_cast<std::size_t>(random.between(0, 11))];
        for (std::size_t k = 0; k < 4 && start + k < bytes.size(); ++k) {
          bytes[start + k] = static_cast<std::uint8_t>(word >> (8 * k));
        }
        break;
      }
      default: bytes.resize(random.between(0, 3) == 0 ? at : bytes.size()); break;
    }
  }
  return bytes;
}

}  // namespace wayside::fuzz
