// SPDX-License-Identifier: Apache-2.0
// Disk images, their compressed forms and block maps for the tests of wayside flash.
#pragma once

#include <zstd.h>

#include <cstddef>
#include <filesystem>
#include <format>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "ota/store/digest.h"

namespace wayside::fleet {

/// Seeded noise with a hole (zeros) in the middle third.
inline std::string made_up_image(std::size_t bytes, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string image(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i)
    if (i < bytes / 3 || i >= bytes * 2 / 3) image[i] = static_cast<char>(random());
  return image;
}

inline std::string compressed(const std::string& image) {
  std::string out(ZSTD_compressBound(image.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), image.data(), image.size(), 1));
  return out;
}

inline std::string hash_of(std::string_view bytes) { return ota::sha256_of(std::as_bytes(std::span(bytes)))->hex(); }

/// A bmap 2.0 file around the given Range elements, with its own checksum right. Blocks have 4096 bytes.
inline std::string sealed_block_map(std::size_t image_bytes, const std::string& ranges) {
  const std::string zeros(64, '0');
  auto xml = std::format(
      "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n  <ImageSize> {} </ImageSize>\n  <BlockSize> 4096 "
      "</BlockSize>\n"
      "  <ChecksumType> sha256 </ChecksumType>\n  <BmapFileChecksum> {} </BmapFileChecksum>\n"
      "  <BlockMap>\n    {}\n  </BlockMap>\n</bmap>\n",
      image_bytes, zeros, ranges);
  xml.replace(xml.find(zeros), zeros.size(), hash_of(xml));
  return xml;
}

/// One range element over blocks first..last of the image, with the right checksum.
inline std::string range_of(const std::string& image, std::size_t first, std::size_t last) {
  const auto part = std::string_view(image).substr(first * 4096, (last - first + 1) * 4096);
  return std::format("<Range chksum=\"{}\"> {}-{} </Range>", hash_of(part), first, last);
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace wayside::fleet
