// SPDX-License-Identifier: Apache-2.0
// JpegDecoder over libjpeg-turbo's raw data interface.
#include "base/codec/jpeg_decoder.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <format>
#include <utility>
#include <vector>

#include "base/codec/jpeg_arena.h"
#include "base/codec/jpeg_error.h"
#include "base/codec/limits.h"

namespace wayside::base {
namespace {

// A progressive file may hold thousands of tiny scans, each of which costs a pass over the picture. Encoders write
// about 10 (libjpeg's script: 10 for colour); libjpeg-turbo's own fuzzers stop at 500.
constexpr int kMaxScans = 100;
// Rows are padded so that SIMD code may use whole vectors.
constexpr std::size_t kStrideRoundBytes = 64;
constexpr std::size_t kMaxRowsPerCall = 4 * DCTSIZE;  // sampling factors go up to 4 (T.81, B.2.2)

/// One stored component, padded to whole blocks.
struct Plane {
  std::vector<JSAMPLE> samples;
  std::size_t stride_bytes = 0;

  void resize(std::size_t width, std::size_t height) {
    stride_bytes = (width + kStrideRoundBytes - 1) / kStrideRoundBytes * kStrideRoundBytes;
    if (samples.size() < stride_bytes * height) samples.resize(stride_bytes * height);
  }
  [[nodiscard]] JSAMPLE* row(std::size_t y) { return samples.data() + y * stride_bytes; }
};

/// How a stored chroma plane relates to luma: 1, 2 or 4 luma samples per chroma sample.
struct Subsampling {
  unsigned x = 2;
  unsigned y = 2;
};

/// One row of the wanted half-width chroma from two stored rows (the same row twice where nothing is averaged).
void half_width_row(const JSAMPLE* upper, const JSAMPLE* lower, std::size_t stored_width, unsigned factor_x,
                    JSAMPLE* out, std::size_t out_width) {
  if (factor_x == 2) {
    for (std::size_t x = 0; x < out_width; ++x) out[x] = static_cast<JSAMPLE>((upper[x] + lower[x] + 1) / 2);
    return;
  }
  if (factor_x == 4) {
    for (std::size_t x = 0; x < out_width; ++x) out[x] = static_cast<JSAMPLE>((upper[x / 2] + lower[x / 2] + 1) / 2);
    return;
  }
  for (std::size_t x = 0; x < out_width; ++x) {
    const std::size_t left = 2 * x;
    const std::size_t right = std::min(left + 1, stored_width - 1);
    out[x] = static_cast<JSAMPLE>((upper[left] + upper[right] + lower[left] + lower[right] + 2) / 4);
  }
}

/// Feeds libjpeg from memory. Behind the end it feeds end-of-image markers: no warning by itself, because the entropy
/// decoder reads ahead; where bits are really missing that decoder warns (JWRN_HIT_MARKER).
struct Source {
  jpeg_source_mgr manager{};  ///< must be first: libjpeg's pointer to it is cast back
  bool starved = false;       ///< bytes behind the end were asked for

  Source() {
    manager.init_source = [](j_decompress_ptr) {};
    manager.term_source = [](j_decompress_ptr) {};
    manager.resync_to_restart = jpeg_resync_to_restart;
    manager.fill_input_buffer = [](j_decompress_ptr cinfo) -> boolean {
      static constexpr JOCTET kEndOfImage[] = {0xFF, JPEG_EOI};
      auto* self = reinterpret_cast<Source*>(cinfo->src);
      self->starved = true;
      self->manager.next_input_byte = kEndOfImage;
      self->manager.bytes_in_buffer = sizeof kEndOfImage;
      return TRUE;
    };
    manager.skip_input_data = [](j_decompress_ptr cinfo, long count) {
      jpeg_source_mgr& input = *cinfo->src;
      if (count <= 0) return;
      if (static_cast<std::size_t>(count) > input.bytes_in_buffer) {
        input.fill_input_buffer(cinfo);
        return;
      }
      input.next_input_byte += count;
      input.bytes_in_buffer -= static_cast<std::size_t>(count);
    };
  }
  void set(std::span<const std::byte> bytes) {
    starved = false;
    manager.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    manager.bytes_in_buffer = bytes.size();
  }
};

std::size_t ceil_div(std::size_t value, std::size_t by) { return (value + by - 1) / by; }

}  // namespace

struct JpegDecoder::State {
  JpegErrors errors;
  JpegArena arena;
  jpeg_decompress_struct cinfo{};
  Source source;
  jpeg_progress_mgr progress{};
  bool created = false;
  std::array<JHUFF_TBL, 4> standard_tables{};  ///< DC luma, DC chroma, AC luma, AC chroma (T.81 annex K.3)
  std::array<Plane, 3> stored;                 ///< components as in the file
  std::array<Plane, 2> chroma;                 ///< brought to 4:2:0 where the file is not

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (created) jpeg_destroy_decompress(&cinfo);
  }

  // Each of these holds one setjmp and no object with a destructor; false: errors.message says why.
  bool load_standard_tables();
  bool create();
  bool read_header();
  bool start();
  bool read_planes();
  void abort() { jpeg_abort_decompress(&cinfo); }

  [[nodiscard]] Result<Subsampling> check_header() const;
  /// The picture's size and components as a 4:2:0 or grey picture; call after read_planes().
  [[nodiscard]] ImageView view(Subsampling factor);
  [[nodiscard]] PlaneView chroma_view(std::size_t index, Subsampling factor);
};

bool JpegDecoder::State::load_standard_tables() {
  // libjpeg keeps the tables private, but a compressor with default settings carries a copy.
  jpeg_compress_struct compressor{};
  compressor.err = errors.install();
  if (setjmp(errors.jump) != 0) {
    jpeg_destroy_compress(&compressor);
    return false;
  }
  jpeg_create_compress(&compressor);
  compressor.in_color_space = JCS_YCbCr;
  compressor.input_components = 3;
  jpeg_set_defaults(&compressor);
  standard_tables = {*compressor.dc_huff_tbl_ptrs[0], *compressor.dc_huff_tbl_ptrs[1], *compressor.ac_huff_tbl_ptrs[0],
                     *compressor.ac_huff_tbl_ptrs[1]};
  jpeg_destroy_compress(&compressor);
  return true;
}

bool JpegDecoder::State::create() {
  cinfo.err = errors.install();
  if (setjmp(errors.jump) != 0) return false;
  jpeg_create_decompress(&cinfo);
  created = true;
  arena.attach(reinterpret_cast<j_common_ptr>(&cinfo));
  cinfo.src = &source.manager;
  progress.progress_monitor = [](j_common_ptr common) {
    auto* info = reinterpret_cast<j_decompress_ptr>(common);
    if (info->input_scan_number <= kMaxScans) return;
    auto* sink = reinterpret_cast<JpegErrors*>(common->err);
    std::snprintf(sink->message, sizeof sink->message, "more than %d scans", kMaxScans);
    std::longjmp(sink->jump, 1);
  };
  for (int table = 0; table < NUM_HUFF_TBLS; ++table) {
    cinfo.dc_huff_tbl_ptrs[table] = jpeg_alloc_huff_table(reinterpret_cast<j_common_ptr>(&cinfo));
    cinfo.ac_huff_tbl_ptrs[table] = jpeg_alloc_huff_table(reinterpret_cast<j_common_ptr>(&cinfo));
  }
  return true;
}

bool JpegDecoder::State::read_header() {
  errors.clear();
  if (setjmp(errors.jump) != 0) return false;
  // Tables of the picture before must not leak into one that brings none: it means the standard ones.
  for (std::size_t table = 0; table < NUM_HUFF_TBLS; ++table) {
    *cinfo.dc_huff_tbl_ptrs[table] = standard_tables[table % 2];
    *cinfo.ac_huff_tbl_ptrs[table] = standard_tables[2 + table % 2];
  }
  jpeg_read_header(&cinfo, TRUE);
  return true;
}

bool JpegDecoder::State::start() {
  if (setjmp(errors.jump) != 0) return false;
  cinfo.progress = &progress;
  cinfo.raw_data_out = TRUE;
  cinfo.do_fancy_upsampling = FALSE;
  cinfo.out_color_space = cinfo.jpeg_color_space;
  return jpeg_start_decompress(&cinfo) != FALSE;
}

bool JpegDecoder::State::read_planes() {
  JSAMPROW rows[3][kMaxRowsPerCall];
  JSAMPARRAY components[3] = {rows[0], rows[1], rows[2]};
  if (setjmp(errors.jump) != 0) return false;
  std::size_t block_row = 0;
  while (cinfo.output_scanline < cinfo.output_height) {
    for (int index = 0; index < cinfo.num_components; ++index) {
      const auto height = static_cast<std::size_t>(cinfo.comp_info[index].v_samp_factor) * DCTSIZE;
      for (std::size_t y = 0; y < height; ++y) {
        rows[index][y] = stored[static_cast<std::size_t>(index)].row(block_row * height + y);
      }
    }
    const auto wanted = static_cast<JDIMENSION>(cinfo.max_v_samp_factor * DCTSIZE);
    if (jpeg_read_raw_data(&cinfo, components, wanted) == 0) return false;  // our source never suspends
    ++block_row;
  }
  return true;
}

Result<Subsampling> JpegDecoder::State::check_header() const {
  if (!image_size_ok(cinfo.image_width, cinfo.image_height)) {
    return fail(Code::exhausted, std::format("JPEG: {}x{} px is more than {} px in all or {} px a side",
                                             cinfo.image_width, cinfo.image_height, kMaxImagePixels, kMaxImageSidePx));
  }
  if (cinfo.jpeg_color_space == JCS_GRAYSCALE && cinfo.num_components == 1) return Subsampling{};
  if (cinfo.jpeg_color_space != JCS_YCbCr || cinfo.num_components != 3) {
    return fail(Code::unsupported, "JPEG: neither grey nor YCbCr; save it as an ordinary colour JPEG");
  }
  const jpeg_component_info& luma = cinfo.comp_info[0];
  const jpeg_component_info& blue = cinfo.comp_info[1];
  const jpeg_component_info& red = cinfo.comp_info[2];
  const auto factor = [](int of_luma, int of_chroma) {
    const int ratio = of_luma / of_chroma;
    return of_luma % of_chroma == 0 && (ratio == 1 || ratio == 2 || ratio == 4) ? static_cast<unsigned>(ratio) : 0U;
  };
  const Subsampling result{factor(luma.h_samp_factor, blue.h_samp_factor),
                           factor(luma.v_samp_factor, blue.v_samp_factor)};
  if (result.x == 0 || result.y == 0 || blue.h_samp_factor != red.h_samp_factor ||
      blue.v_samp_factor != red.v_samp_factor) {
    return fail(Code::unsupported, std::format("JPEG: sampling {}x{},{}x{},{}x{}; use 4:2:0, 4:2:2 or 4:4:4",
                                               luma.h_samp_factor, luma.v_samp_factor, blue.h_samp_factor,
                                               blue.v_samp_factor, red.h_samp_factor, red.v_samp_factor));
  }
  return result;
}

PlaneView JpegDecoder::State::chroma_view(std::size_t index, Subsampling factor) {
  const std::size_t width = ceil_div(cinfo.image_width, 2);
  const std::size_t height = ceil_div(cinfo.image_height, 2);
  Plane& from = stored[index];
  if (factor.x == 2 && factor.y == 2) return {from.samples.data(), from.stride_bytes, from.stride_bytes * height, -1};
  const std::size_t stored_width = ceil_div(cinfo.image_width, factor.x);
  const std::size_t stored_height = ceil_div(cinfo.image_height, factor.y);
  Plane& to = chroma[index - 1];
  to.resize(width, height);
  for (std::size_t y = 0; y < height; ++y) {
    const std::size_t upper = factor.y == 1 ? 2 * y : factor.y == 2 ? y : y / 2;
    const std::size_t lower = factor.y == 1 ? std::min(upper + 1, stored_height - 1) : upper;
    half_width_row(from.row(upper), from.row(lower), stored_width, factor.x, to.row(y), width);
  }
  return {to.samples.data(), to.stride_bytes, to.stride_bytes * height, -1};
}

ImageView JpegDecoder::State::view(Subsampling factor) {
  const bool grey = cinfo.num_components == 1;
  ImageView result{
      grey ? PixelFormat::gray8 : PixelFormat::i420, ColorRange::full, cinfo.image_width, cinfo.image_height, {}};
  const Plane& luma = stored[0];
  result.planes[0] = {luma.samples.data(), luma.stride_bytes, luma.stride_bytes * cinfo.image_height, -1};
  if (grey) return result;
  result.planes[1] = chroma_view(1, factor);
  result.planes[2] = chroma_view(2, factor);
  return result;
}

JpegDecoder::JpegDecoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
JpegDecoder::JpegDecoder(JpegDecoder&&) noexcept = default;
JpegDecoder& JpegDecoder::operator=(JpegDecoder&&) noexcept = default;
JpegDecoder::~JpegDecoder() = default;

Result<JpegDecoder> JpegDecoder::create() {
  auto state = std::make_unique<State>();
  if (!state->load_standard_tables() || !state->create()) {
    return fail(Code::unsupported, std::format("libjpeg: {}", state->errors.message));
  }
  return JpegDecoder(std::move(state));
}

Result<ImageView> JpegDecoder::decode(std::span<const std::byte> jpeg) {
  State& state = *state_;
  state.source.set(jpeg);
  const auto give_up = [&state]() {
    state.abort();
    return fail(Code::corrupt, std::format("JPEG: {}", state.errors.message));
  };
  if (!state.read_header()) return give_up();
  const auto factor = state.check_header();
  if (!factor) {
    state.abort();
    return std::unexpected(factor.error());
  }
  if (!state.start()) return give_up();
  for (int index = 0; index < state.cinfo.num_components; ++index) {
    const jpeg_component_info& component = state.cinfo.comp_info[index];
    state.stored[static_cast<std::size_t>(index)].resize(
        std::size_t{component.width_in_blocks} * DCTSIZE,
        std::size_t{state.cinfo.total_iMCU_rows} * static_cast<unsigned>(component.v_samp_factor) * DCTSIZE);
  }
  if (!state.read_planes() || state.errors.damaged) return give_up();
  // A missing later scan of a progressive picture shows only by its absence.
  const bool scans_missing = state.source.starved && jpeg_has_multiple_scans(&state.cinfo) != FALSE;
  const ImageView result = state.view(*factor);
  state.abort();
  if (scans_missing) return fail(Code::corrupt, "JPEG: truncated progressive picture");
  return result;
}

}  // namespace wayside::base
