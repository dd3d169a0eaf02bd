// SPDX-License-Identifier: Apache-2.0
// Writes small PNG files without a library: stored (uncompressed) deflate blocks, RGB, 8 bit (PNG specification, RFC
// 1950/1951).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace wayside::base::test {

inline std::uint8_t png_sample(unsigned x, unsigned y, unsigned channel) {
  return static_cast<std::uint8_t>(20 * x + 7 * y + 90 * channel);
}

inline void put_be32(std::vector<std::uint8_t>& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
}

inline void put_chunk(std::vector<std::uint8_t>& out, std::string_view type, const std::vector<std::uint8_t>& data) {
  put_be32(out, static_cast<std::uint32_t>(data.size()));
  const std::size_t start = out.size();
  out.insert(out.end(), type.begin(), type.end());
  out.insert(out.end(), data.begin(), data.end());
  std::uint32_t crc = 0xFFFFFFFFU;
  for (std::size_t i = start; i < out.size(); ++i) {
    crc ^= out[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  put_be32(out, ~crc);
}

/// A width x height picture of png_sample(); the header may claim another size.
inline std::vector<std::uint8_t> make_png(unsigned width, unsigned height, unsigned claimed_width = 0,
                                          unsigned claimed_height = 0) {
  std::vector<std::uint8_t> out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  std::vector<std::uint8_t> header;
  put_be32(header, claimed_width != 0 ? claimed_width : width);
  put_be32(header, claimed_height != 0 ? claimed_height : height);
  for (const int value : {8, 2, 0, 0, 0}) header.push_back(static_cast<std::uint8_t>(value));
  put_chunk(out, "IHDR", header);
  std::vector<std::uint8_t> raw;
  for (unsigned y = 0; y < height; ++y) {
    raw.push_back(0);
    for (unsigned x = 0; x < width; ++x) {
      for (unsigned c = 0; c < 3; ++c) raw.push_back(png_sample(x, y, c));
    }
  }
  std::vector<std::uint8_t> zlib = {0x78, 0x01, 0x01};
  const auto size = static_cast<std::uint16_t>(raw.size());  // one stored block: pictures below 64 kB only
  for (const unsigned value : {unsigned{size}, unsigned{static_cast<std::uint16_t>(~size)}}) {
    zlib.push_back(static_cast<std::uint8_t>(value));
    zlib.push_back(static_cast<std::uint8_t>(value >> 8));
  }
  zlib.insert(zlib.end(), raw.begin(), raw.end());
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const std::uint8_t byte : raw) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  put_be32(zlib, (b << 16) | a);
  put_chunk(out, "IDAT", zlib);
  put_chunk(out, "IEND", {});
  return out;
}

}  // namespace wayside::base::test
