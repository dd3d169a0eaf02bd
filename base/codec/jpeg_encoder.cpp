// SPDX-License-Identifier: Apache-2.0
// JpegEncoder over libjpeg-turbo: RGB through its colour conversion, YUV through its raw data interface.
#include "base/codec/jpeg_encoder.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <format>
#include <utility>
#include <vector>

#include "base/codec/jpeg_error.h"
#include "base/codec/limits.h"

namespace wayside::base {
namespace {

constexpr std::size_t kFirstOutputBytes = 64 * 1024;
// One call of the raw interface takes one row of 4:2:0 MCUs: 16 luma and 8 chroma rows.
constexpr std::size_t kLumaRows = 2 * DCTSIZE;
constexpr std::size_t kMcuWidth = 2 * DCTSIZE;

std::size_t ceil_div(std::size_t value, std::size_t by) { return (value + by - 1) / by; }

/// Collects libjpeg's output in a vector that grows and stays.
struct Sink {
  jpeg_destination_mgr manager{};  ///< must be first: libjpeg's pointer to it is cast back
  std::vector<std::byte> bytes = std::vector<std::byte>(kFirstOutputBytes);
  std::size_t used_bytes = 0;

  Sink() {
    manager.init_destination = [](j_compress_ptr cinfo) { of(cinfo).point_at(0); };
    manager.empty_output_buffer = [](j_compress_ptr cinfo) -> boolean {
      Sink& self = of(cinfo);  // called when the whole buffer is full
      const std::size_t full_bytes = self.bytes.size();
      self.bytes.resize(full_bytes * 2);
      self.point_at(full_bytes);
      return TRUE;
    };
    manager.term_destination = [](j_compress_ptr cinfo) {
      Sink& self = of(cinfo);
      self.used_bytes = self.bytes.size() - self.manager.free_in_buffer;
    };
  }
  static Sink& of(j_compress_ptr cinfo) { return *reinterpret_cast<Sink*>(cinfo->dest); }
  void point_at(std::size_t offset_bytes) {
    manager.next_output_byte = reinterpret_cast<JOCTET*>(bytes.data() + offset_bytes);
    manager.free_in_buffer = bytes.size() - offset_bytes;
  }
};

/// Sample values of limited-range video expanded to 0..255 (ITU-R BT.601-7, 2.5.3: Y 16..235, C 16..240 around 128).
struct RangeTables {
  std::array<JSAMPLE, 256> luma{};
  std::array<JSAMPLE, 256> chroma{};
  explicit RangeTables(ColorRange range) {
    for (int value = 0; value < 256; ++value) {
      const auto clamp = [](int wide) { return static_cast<JSAMPLE>(std::clamp(wide, 0, 255)); };
      const auto index = static_cast<std::size_t>(value);
      const bool full = range == ColorRange::full;
      luma[index] = full ? static_cast<JSAMPLE>(value) : clamp(((value - 16) * 255 + 109) / 219);
      chroma[index] = full ? static_cast<JSAMPLE>(value) : clamp((value * 255 - 128 * 255 + 128 * 224 + 112) / 224);
    }
  }
};

/// Copies `count` samples that lie `step` apart through a table and repeats the last one up to `padded`.
void fill_row(const std::uint8_t* from, std::size_t step, std::size_t count, const std::array<JSAMPLE, 256>& table,
              JSAMPLE* to, std::size_t padded) {
  for (std::size_t x = 0; x < count; ++x) to[x] = table[from[x * step]];
  std::fill(to + count, to + padded, to[count - 1]);
}

std::size_t padded_width(const ImageView& image) { return ceil_div(image.width_px, kMcuWidth) * kMcuWidth; }

/// Row pointers into scratch memory for one row of 4:2:0 MCUs: `padded` bytes for each of 16 luma and 8 chroma rows.
struct McuRows {
  JSAMPROW luma[kLumaRows];
  JSAMPROW blue[DCTSIZE];
  JSAMPROW red[DCTSIZE];
  std::size_t padded;

  McuRows(JSAMPLE* scratch, std::size_t padded_px) : padded(padded_px) {
    for (std::size_t y = 0; y < kLumaRows; ++y) luma[y] = scratch + y * padded;
    for (std::size_t y = 0; y < DCTSIZE; ++y) {
      blue[y] = scratch + (kLumaRows + y) * padded;
      red[y] = blue[y] + padded / 2;
    }
  }
  /// Takes the rows from luma row `first` on; the last row is repeated below the picture.
  void fill(const ImageView& image, const RangeTables& tables, std::size_t first) {
    const std::size_t height = image.height_px;
    for (std::size_t y = 0; y < kLumaRows; ++y) {
      const PlaneView& plane = image.planes[0];
      fill_row(plane.data + std::min(first + y, height - 1) * plane.stride_bytes, 1, image.width_px, tables.luma,
               luma[y], padded);
    }
    if (image.format == PixelFormat::gray8) return;
    const bool nv12 = image.format == PixelFormat::nv12;
    const PlaneView& blue_plane = image.planes[1];
    const PlaneView& red_plane = nv12 ? image.planes[1] : image.planes[2];
    const std::size_t step = nv12 ? 2 : 1;
    const std::size_t width = ceil_div(image.width_px, 2);
    for (std::size_t y = 0; y < DCTSIZE; ++y) {
      const std::size_t row = std::min(first / 2 + y, ceil_div(height, 2) - 1);
      fill_row(blue_plane.data + row * blue_plane.stride_bytes, step, width, tables.chroma, blue[y], padded / 2);
      fill_row(red_plane.data + row * red_plane.stride_bytes + (nv12 ? 1 : 0), step, width, tables.chroma, red[y],
               padded / 2);
    }
  }
};

/// Least readable bytes of a plane of `rows` rows with `row_bytes` in use.
bool plane_ok(const PlaneView& plane, std::size_t rows, std::size_t row_bytes) {
  return plane.data != nullptr && plane.stride_bytes >= row_bytes &&
         plane.size_bytes >= plane.stride_bytes * (rows - 1) + row_bytes;
}

bool planes_ok(const ImageView& image) {
  const std::size_t width = image.width_px;
  const std::size_t height = image.height_px;
  const std::size_t half_width = ceil_div(width, 2);
  const std::size_t half_height = ceil_div(height, 2);
  switch (image.format) {
    case PixelFormat::rgb24: return plane_ok(image.planes[0], height, width * 3);
    case PixelFormat::gray8: return plane_ok(image.planes[0], height, width);
    case PixelFormat::nv12:
      return plane_ok(image.planes[0], height, width) && plane_ok(image.planes[1], half_height, half_width * 2);
    case PixelFormat::i420:
      return plane_ok(image.planes[0], height, width) && plane_ok(image.planes[1], half_height, half_width) &&
             plane_ok(image.planes[2], half_height, half_width);
    default: return false;
  }
}

}  // namespace

struct JpegEncoder::State {
  JpegErrors errors;
  jpeg_compress_struct cinfo{};
  Sink sink;
  std::vector<JSAMPLE> scratch;  ///< one row of MCUs, all components
  bool created = false;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (created) jpeg_destroy_compress(&cinfo);
  }

  // Each of these holds one setjmp and no object with a destructor; false: errors.message says why.
  bool create();
  bool begin(const ImageView& image, int quality);
  bool write_rgb(const ImageView& image);
  bool write_planar(const ImageView& image, const RangeTables& tables);
};

bool JpegEncoder::State::create() {
  cinfo.err = errors.install();
  if (setjmp(errors.jump) != 0) return false;
  jpeg_create_compress(&cinfo);
  created = true;
  cinfo.dest = &sink.manager;
  return true;
}

bool JpegEncoder::State::begin(const ImageView& image, int quality) {
  errors.clear();
  if (setjmp(errors.jump) != 0) return false;
  const bool rgb = image.format == PixelFormat::rgb24;
  const bool grey = image.format == PixelFormat::gray8;
  cinfo.image_width = image.width_px;
  cinfo.image_height = image.height_px;
  cinfo.input_components = grey ? 1 : 3;
  cinfo.in_color_space = rgb ? JCS_RGB : grey ? JCS_GRAYSCALE : JCS_YCbCr;
  jpeg_set_defaults(&cinfo);  // 4:2:0, or one component
  jpeg_set_quality(&cinfo, quality, TRUE);
  cinfo.raw_data_in = rgb ? FALSE : TRUE;
  jpeg_start_compress(&cinfo, TRUE);
  return true;
}

bool JpegEncoder::State::write_rgb(const ImageView& image) {
  if (setjmp(errors.jump) != 0) return false;
  while (cinfo.next_scanline < cinfo.image_height) {
    const std::uint8_t* from = image.planes[0].data + cinfo.next_scanline * image.planes[0].stride_bytes;
    JSAMPROW row = const_cast<JSAMPROW>(from);  // libjpeg only reads it
    jpeg_write_scanlines(&cinfo, &row, 1);
  }
  jpeg_finish_compress(&cinfo);
  return true;
}

bool JpegEncoder::State::write_planar(const ImageView& image, const RangeTables& tables) {
  McuRows rows(scratch.data(), padded_width(image));
  if (setjmp(errors.jump) != 0) return false;
  while (cinfo.next_scanline < cinfo.image_height) {
    rows.fill(image, tables, cinfo.next_scanline);
    JSAMPARRAY components[3] = {rows.luma, rows.blue, rows.red};
    jpeg_write_raw_data(&cinfo, components, static_cast<JDIMENSION>(cinfo.max_v_samp_factor * DCTSIZE));
  }
  jpeg_finish_compress(&cinfo);
  return true;
}

JpegEncoder::JpegEncoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
JpegEncoder::JpegEncoder(JpegEncoder&&) noexcept = default;
JpegEncoder& JpegEncoder::operator=(JpegEncoder&&) noexcept = default;
JpegEncoder::~JpegEncoder() = default;

Result<JpegEncoder> JpegEncoder::create() {
  auto state = std::make_unique<State>();
  if (!state->create()) return fail(Code::unsupported, std::format("libjpeg: {}", state->errors.message));
  return JpegEncoder(std::move(state));
}

Result<std::span<const std::byte>> JpegEncoder::encode(const ImageView& image, int quality) {
  State& state = *state_;
  if (quality < 1 || quality > 100) {
    return fail(Code::invalid_argument, std::format("JPEG quality {} is not in 1..100", quality));
  }
  if (image.format == PixelFormat::mjpeg || image.format == PixelFormat::yuyv) {
    return fail(Code::unsupported, std::format("cannot encode {} as JPEG", to_string(image.format)));
  }
  if (!image_size_ok(image.width_px, image.height_px) || !planes_ok(image)) {
    return fail(Code::invalid_argument, std::format("{}x{} {} picture: size or planes are not usable", image.width_px,
                                                    image.height_px, to_string(image.format)));
  }
  state.scratch.resize((kLumaRows + DCTSIZE) * padded_width(image));
  const RangeTables tables(image.range);
  const bool ok = state.begin(image, quality) &&
                  (image.format == PixelFormat::rgb24 ? state.write_rgb(image) : state.write_planar(image, tables));
  if (!ok) {
    jpeg_abort_compress(&state.cinfo);
    return fail(Code::invalid_argument, std::format("JPEG encoder: {}", state.errors.message));
  }
  return std::span<const std::byte>(state.sink.bytes.data(), state.sink.used_bytes);
}

}  // namespace wayside::base
