// SPDX-License-Identifier: Apache-2.0
// Recordings made in memory and on disk for replay tests.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "base/codec/jpeg_encoder.h"
#include "tests/base/codec/pictures.h"

namespace wayside::drivers::test {

using Bytes = std::vector<std::byte>;

/// A folder that goes away with the object.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "wayside-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::span<const std::byte> bytes) const {
    const auto path = path_ / name;
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path;
  }

 private:
  std::filesystem::path path_;
};

/// JPEG number `shift`; pictures with different numbers differ.
inline Bytes jpeg(unsigned shift = 0, std::uint32_t width_px = 64, std::uint32_t height_px = 48) {
  auto encoder = std::move(base::JpegEncoder::create().value());
  const auto picture = base::test::make_picture(base::PixelFormat::i420, width_px, height_px, shift);
  const auto bytes = encoder.encode(picture.view, 90).value();
  return {bytes.begin(), bytes.end()};
}

inline void append(Bytes& to, std::span<const std::byte> more) { to.insert(to.end(), more.begin(), more.end()); }
inline void append(Bytes& to, std::string_view more) { append(to, std::as_bytes(std::span(more))); }

inline Bytes mjpeg(unsigned count) {
  Bytes stream;
  for (unsigned i = 0; i < count; ++i) append(stream, jpeg(i));
  return stream;
}

/// `count` frames of constant bytes 10, 11, 12...; `header` without magic and newline, e.g. "W4 H2 F25:1 Ip C420jpeg".
inline Bytes y4m(std::string_view header, std::size_t frame_bytes, unsigned count) {
  Bytes stream;
  append(stream, std::format("YUV4MPEG2 {}\n", header));
  for (unsigned i = 0; i < count; ++i) {
    append(stream, "FRAME\n");
    stream.insert(stream.end(), frame_bytes, static_cast<std::byte>(10 + i));
  }
  return stream;
}

}  // namespace wayside::drivers::test
