// SPDX-License-Identifier: Apache-2.0
// Decoding to RGB and bilinear resampling.
#include "optimizer/data/picture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <format>
#include <fstream>
#include <string>

#include "base/codec/jpeg_decoder.h"
#include "base/codec/png_decoder.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// Full-range BT.601 (JFIF) in 16-bit fixed point; chroma of the nearest sample.
Picture from_planes(const base::ImageView& image) {
  Picture out(static_cast<int>(image.width_px), static_cast<int>(image.height_px));
  const bool grey = image.format == base::PixelFormat::gray8;
  const auto clamp8 = [](int v) { return static_cast<std::uint8_t>(std::clamp(v >> 16, 0, 255)); };
  for (int y = 0; y < out.height_px; ++y) {
    const auto row_of = [&](std::size_t plane, int row) {
      return image.planes[plane].data + static_cast<std::size_t>(row) * image.planes[plane].stride_bytes;
    };
    const std::uint8_t* luma = row_of(0, y);
    const std::uint8_t* blue = grey ? nullptr : row_of(1, y / 2);
    const std::uint8_t* red = grey ? nullptr : row_of(2, y / 2);
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width_px; ++x, to += 3) {
      const int u = grey ? 0 : blue[x / 2] - 128;
      const int v = grey ? 0 : red[x / 2] - 128;
      const int base = (luma[x] << 16) + 32768;
      to[0] = clamp8(base + 91881 * v);              // 1.402
      to[1] = clamp8(base - 22554 * u - 46802 * v);  // 0.344136, 0.714136
      to[2] = clamp8(base + 116130 * u);             // 1.772
    }
  }
  return out;
}

Result<Picture> decode_png(std::span<const std::uint8_t> bytes) {
  base::PngDecoder decoder;
  WAYSIDE_TRY(const auto image, decoder.decode(std::as_bytes(bytes)));
  Picture out(static_cast<int>(image.width_px), static_cast<int>(image.height_px));
  for (int y = 0; y < out.height_px; ++y) {
    const std::uint8_t* row = image.planes[0].data + static_cast<std::size_t>(y) * image.planes[0].stride_bytes;
    std::copy_n(row, static_cast<std::size_t>(out.width_px) * 3, out.row(y));
  }
  return out;
}

std::int32_t little_i32(std::span<const std::uint8_t> bytes, std::size_t at) {
  std::int32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

/// Source of the field offsets: BITMAPFILEHEADER (14 bytes) followed by BITMAPINFOHEADER (40 bytes).
Result<Picture> decode_bmp(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kHeadersBytes = 54;
  if (bytes.size() < kHeadersBytes) return fail(Code::corrupt, "BMP file is shorter than its headers");
  const std::int32_t offset = little_i32(bytes, 10), width = little_i32(bytes, 18), height = little_i32(bytes, 22);
  const int bits = bytes[28];
  const int rows = std::abs(height);
  if (bits != 24 || little_i32(bytes, 30) != 0) return fail(Code::unsupported, "only uncompressed 24-bit BMP is read");
  if (width <= 0 || rows <= 0 || width > kMaxPictureSidePx || rows > kMaxPictureSidePx || offset < 0) {
    return fail(Code::corrupt, "BMP header has impossible sizes");
  }
  const std::size_t stride = (static_cast<std::size_t>(width) * 3 + 3) / 4 * 4;
  if (static_cast<std::size_t>(offset) + stride * static_cast<std::size_t>(rows) > bytes.size()) {
    return fail(Code::corrupt, "BMP file ends within the pixels");
  }
  Picture out(width, rows);
  for (int y = 0; y < rows; ++y) {
    const int stored = height > 0 ? rows - 1 - y : y;
    const std::uint8_t* in = bytes.data() + offset + stride * static_cast<std::size_t>(stored);
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < width; ++x, in += 3, to += 3) to[0] = in[2], to[1] = in[1], to[2] = in[0];
  }
  return out;
}

}  // namespace

Result<Picture> decode_jpeg(std::span<const std::uint8_t> bytes) {
  WAYSIDE_TRY(auto decoder, base::JpegDecoder::create());
  WAYSIDE_TRY(const auto image, decoder.decode(std::as_bytes(bytes)));
  return from_planes(image);
}

Result<std::vector<std::uint8_t>> read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return base::fail_errno(std::format("read {}", path.string()));
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) return fail(Code::io, std::format("read {}: the file ended early", path.string()));
  return bytes;
}

Result<Picture> read_picture(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto bytes, read_bytes(path));
  Result<Picture> picture = fail(Code::unsupported, "not a JPEG, PNG or BMP file");
  if (bytes.size() > 2 && bytes[0] == 0xFF && bytes[1] == 0xD8) picture = decode_jpeg(bytes);
  if (bytes.size() > 8 && bytes[0] == 0x89 && bytes[1] == 'P') picture = decode_png(bytes);
  if (bytes.size() > 2 && bytes[0] == 'B' && bytes[1] == 'M') picture = decode_bmp(bytes);
  if (!picture) picture.error().context(path.string());
  return picture;
}

Picture halve(const Picture& picture) {
  Picture out(picture.width_px / 2, picture.height_px / 2);
  for (int y = 0; y < out.height_px; ++y) {
    const std::uint8_t* a = picture.row(2 * y);
    const std::uint8_t* b = picture.row(2 * y + 1);
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width_px; ++x, a += 6, b += 6, to += 3) {
      for (int c = 0; c < 3; ++c) to[c] = static_cast<std::uint8_t>((a[c] + a[c + 3] + b[c] + b[c + 3] + 2) / 4);
    }
  }
  return out;
}

void resample(const Picture& in, const Window& window, const Region& region, std::uint8_t pad, Picture& out) {
  constexpr int kOne = 256;  // weights are 8-bit fractions: u8 * 256 * 256 fits in 24 bits
  struct Tap {
    int left = 0, right = 0, weight = 0;
    bool inside = false;
  };
  const auto tap_of = [](double position, int size) {
    Tap tap;
    tap.inside = position >= 0 && position < size;
    const double shifted = std::clamp(position - 0.5, 0.0, static_cast<double>(size - 1));
    tap.left = static_cast<int>(shifted);
    tap.right = std::min(tap.left + 1, size - 1);
    tap.weight = static_cast<int>((shifted - tap.left) * kOne);
    return tap;
  };
  std::vector<Tap> columns(static_cast<std::size_t>(std::max(0, region.x1 - region.x0)));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    columns[i] = tap_of(window.x0_px + (static_cast<double>(i) + 0.5) * window.step_x, in.width_px);
  }
  for (int y = region.y0; y < region.y1; ++y) {
    const Tap v = tap_of(window.y0_px + (y - region.y0 + 0.5) * window.step_y, in.height_px);
    const std::uint8_t* a = in.row(v.left);
    const std::uint8_t* b = in.row(v.right);
    std::uint8_t* to = out.row(y) + 3 * region.x0;
    for (const Tap& h : columns) {
      if (v.inside && h.inside) {
        for (int c = 0; c < 3; ++c) {
          const int top = a[3 * h.left + c] * (kOne - h.weight) + a[3 * h.right + c] * h.weight;
          const int bottom = b[3 * h.left + c] * (kOne - h.weight) + b[3 * h.right + c] * h.weight;
          to[c] = static_cast<std::uint8_t>((top * (kOne - v.weight) + bottom * v.weight + kOne * kOne / 2) /
                                            (kOne * kOne));
        }
      } else {
        to[0] = to[1] = to[2] = pad;
      }
      to += 3;
    }
  }
}

}  // namespace wayside::optimizer
