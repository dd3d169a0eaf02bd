// SPDX-License-Identifier: Apache-2.0
// Rows of a matrix product: pointwise layers read them in place or convert one block, windows come from picture rows
// that are converted once, or from strips in which they overlap.
#include "accel/cpu/kernels/gemm_rows.h"

#include <algorithm>
#include <cstring>

#include "accel/cpu/kernels/spec_math.h"

namespace wayside::accel::cpu {
namespace {

/// Activations of one block aim to stay in half of a 48 KiB level-1 cache (32 KiB on older cores: then in most of it).
constexpr std::size_t kBlockBytes = std::size_t{24} * 1024;
/// Weights that do not stay in a second-level cache are read anew for every block: there blocks are larger.
constexpr std::size_t kCachedWeightBytes = std::size_t{512} * 1024;
constexpr std::size_t kLargeBlockBytes = std::size_t{128} * 1024;
constexpr std::size_t kMaxBlockRows = 192;
constexpr std::size_t kMinBlockRows = 24;
/// Rows at this distance share the same few places of a level-1 cache (4096 bytes for 64 sets of 64), so that the rows
/// of a tile displace each other: 87 instead of 95 GMAC/s with AVX2 on Zen 4.
constexpr std::size_t kSameSetBytes = 4096;

}  // namespace

std::size_t channel_step_of(const ConvSpec& spec) {
  return spec.depthwise ? 1 : static_cast<std::size_t>(spec.kernel_h) * spec.kernel_w * spec.in_c;
}

GemmRows::GemmRows(const ConvSpec& spec, const Isa& isa)
    : spec_(shape_of(spec)),
      isa_(isa),
      flip_(spec.is_unsigned == isa.signed_activations ? 0x80 : 0),
      zero_byte_(static_cast<std::uint8_t>(spec.in_zero)),
      zero_point_(
          static_cast<std::int16_t>(spec.in_zero + (spec.is_unsigned ? 0 : 128) - (isa.signed_activations ? 128 : 0))) {
  k_elements_ = static_cast<std::size_t>(spec.kernel_h) * spec.kernel_w * spec.in_c;
  k_group_count_ = divide_up(k_elements_ * isa.element_bytes, 4);
  choose_source();
  choose_block();
}

void GemmRows::choose_source() {
  const auto& s = spec_;
  const bool one = s.kernel_h == 1 && s.kernel_w == 1 && s.pad_top == 0 && s.pad_left == 0 &&
                   (s.out_h - 1) * s.stride_h < s.in_h && (s.out_w - 1) * s.stride_w < s.in_w;
  const bool unit_stride = s.stride_h == 1 && s.stride_w == 1 && s.out_h == s.in_h && s.out_w == s.in_w;
  const std::size_t segment_bytes = static_cast<std::size_t>(s.kernel_w) * s.in_c * isa_.element_bytes;
  if (one && isa_.element_bytes == 1 && flip_ == 0 && k_elements_ % 4 == 0) {
    source_ = Source::direct;
  } else if (one) {
    source_ = unit_stride ? Source::pointwise : Source::pixels;
  } else if (s.dilation_w == 1 && s.kernel_h * s.kernel_w > 1) {
    // Sums of rows (weights with a zero point) are of contiguous rows only.
    const bool plain_weights = isa_.element_bytes == 2 || !s.is_unsigned || s.weight_zero == 128;
    const bool whole_groups = segment_bytes % 4 == 0;
    source_ = isa_.segments && plain_weights && whole_groups && !s.depthwise ? Source::bands : Source::strip;
  }
}

void GemmRows::choose_block() {
  const auto& s = spec_;
  const std::size_t row_bytes = k_group_count_ * 4;
  row_step_bytes_ = row_bytes % kSameSetBytes == 0 ? row_bytes + kAlignment : row_bytes;
  std::size_t unit_bytes = row_step_bytes_;
  if (source_ == Source::strip || source_ == Source::bands) {
    strip_columns_ = (static_cast<std::size_t>(s.out_w - 1) * s.stride_w) + s.kernel_w;
    unit_rows_ = s.out_w;
    unit_bytes = row_bytes * unit_rows_;
  }
  if (source_ == Source::bands) {
    band_bytes_ = align_up(strip_columns_ * s.in_c * isa_.element_bytes);
    unit_bytes = band_bytes_ * s.stride_h;
  }
  unit_count_ = static_cast<std::size_t>(s.batch) * s.out_h * s.out_w / unit_rows_;
  const std::size_t weight_bytes = divide_up(s.out_c, kBlockLanes) * kBlockLanes * row_bytes;
  const std::size_t wanted_bytes = weight_bytes > kCachedWeightBytes ? kLargeBlockBytes : kBlockBytes;
  const std::size_t wanted_rows = std::clamp(wanted_bytes / unit_bytes * unit_rows_, kMinBlockRows, kMaxBlockRows);
  block_units_ = std::clamp<std::size_t>(wanted_rows / unit_rows_, 1, unit_count_);
  switch (source_) {
    case Source::direct: break;
    case Source::pointwise:
    case Source::pixels: data_bytes_ = block_rows() * row_step_bytes_; break;
    case Source::bands: data_bytes_ = band_count(block_units_) * band_bytes_; break;
    case Source::strip:
      strip_elements_ = strip_columns_ * s.kernel_h * s.in_c;
      data_bytes_ = block_units_ * align_up((strip_elements_ * isa_.element_bytes) + kScratchSlackBytes);
      raw_bytes_ = isa_.element_bytes == 1 ? 0 : strip_elements_;
      break;
    case Source::gather:
      data_bytes_ = block_rows() * row_step_bytes_;
      raw_bytes_ = k_elements_;
      break;
  }
}

/// At most, for `units` output rows: those of several pictures share no picture rows.
std::size_t GemmRows::band_count(std::size_t units) const {
  const std::size_t window = ((static_cast<std::size_t>(spec_.kernel_h) - 1) * spec_.dilation_h) + 1;
  const auto stride = static_cast<std::size_t>(spec_.stride_h);
  return spec_.batch == 1 ? ((units - 1) * stride) + window : units * std::max(stride, window);
}

std::size_t GemmRows::weight_offset(std::size_t k) const {
  const auto& s = spec_;
  const std::size_t c = k % s.in_c;
  const std::size_t position = k / s.in_c;
  const bool by_row = source_ == Source::bands;
  const std::size_t i = by_row ? position / s.kernel_w : position % s.kernel_h;
  const std::size_t j = by_row ? position % s.kernel_w : position / s.kernel_h;
  const std::size_t tap = (i * s.kernel_w) + j;
  return s.depthwise ? tap * s.out_c : (tap * s.in_c) + c;  // depthwise: in_c == 1
}

std::size_t GemmRows::scratch_bytes() const {
  return align_up(block_rows() * sizeof(void*)) + align_up(data_bytes_ + kScratchSlackBytes) +
         align_up(raw_bytes_ + kScratchSlackBytes);
}

GemmRows::Block GemmRows::block_in(std::byte* scratch) const {
  std::byte* const data = scratch + align_up(block_rows() * sizeof(void*));
  std::byte* const raw = data + align_up(data_bytes_ + kScratchSlackBytes);
  return {.rows = reinterpret_cast<const std::uint8_t**>(scratch),
          .data = reinterpret_cast<std::uint8_t*>(data),
          .raw = reinterpret_cast<std::uint8_t*>(raw)};
}

void GemmRows::convert(std::uint8_t* to, const std::uint8_t* from, std::size_t count) const {
  isa_.convert(to, from, count, flip_, zero_point_);
}

void GemmRows::fill(const std::uint8_t* in, std::size_t first_unit, std::size_t units, const Block& block) const {
  switch (source_) {
    case Source::direct:
      for_each_pixel(in, first_unit, units, [&](std::size_t i, const std::uint8_t* pixel) { block.rows[i] = pixel; });
      return;
    case Source::pointwise: fill_pointwise(in + (first_unit * k_elements_), units, block); return;
    case Source::pixels:
      for_each_pixel(in, first_unit, units, [&](std::size_t i, const std::uint8_t* pixel) {
        std::uint8_t* to = block.data + (i * row_step_bytes_);
        convert(to, pixel, k_elements_);
        block.rows[i] = to;
      });
      return;
    case Source::bands: fill_bands(in, first_unit, units, block); return;
    case Source::strip: {
      const std::size_t strip_bytes = align_up((strip_elements_ * isa_.element_bytes) + kScratchSlackBytes);
      const std::size_t step_bytes =
          static_cast<std::size_t>(spec_.stride_w) * spec_.kernel_h * spec_.in_c * isa_.element_bytes;
      for (std::size_t i = 0; i < units; ++i) {
        std::uint8_t* strip = block.data + (i * strip_bytes);
        fill_strip(in, first_unit + i, strip, block.raw);
        for (std::size_t x = 0; x < unit_rows_; ++x) block.rows[(i * unit_rows_) + x] = strip + (x * step_bytes);
      }
      return;
    }
    case Source::gather:
      for (std::size_t i = 0; i < units; ++i) {
        std::uint8_t* to = block.data + (i * row_step_bytes_);
        fill_window(in, first_unit + i, block.raw);
        convert(to, block.raw, k_elements_);
        block.rows[i] = to;
      }
      return;
  }
}

/// body(i, the input pixel under output pixel first + i) of a 1x1 kernel.
template <class Body>
void GemmRows::for_each_pixel(const std::uint8_t* in, std::size_t first, std::size_t count, const Body& body) const {
  const auto& s = spec_;
  const std::size_t step = static_cast<std::size_t>(s.stride_w) * s.in_c;
  const std::size_t row_bytes = static_cast<std::size_t>(s.in_w) * s.in_c;
  std::size_t x = first % s.out_w, row = first / s.out_w;
  for (std::size_t i = 0; i < count; x = 0, ++row) {
    const std::size_t in_row = (row / s.out_h * s.in_h) + (row % s.out_h * s.stride_h);
    const std::uint8_t* from = in + (in_row * row_bytes);
    for (; x < static_cast<std::size_t>(s.out_w) && i < count; ++x, ++i) body(i, from + (x * step));
  }
}

void GemmRows::fill_pointwise(const std::uint8_t* from, std::size_t units, const Block& block) const {
  const bool contiguous = k_elements_ * isa_.element_bytes == row_step_bytes_;
  if (contiguous) convert(block.data, from, units * k_elements_);
  for (std::size_t i = 0; i < units; ++i) {
    std::uint8_t* to = block.data + (i * row_step_bytes_);
    block.rows[i] = to;
    if (!contiguous) convert(to, from + (i * k_elements_), k_elements_);
  }
}

void GemmRows::fill_bands(const std::uint8_t* in, std::size_t first_unit, std::size_t units, const Block& block) const {
  const auto& s = spec_;
  const std::size_t step_bytes = static_cast<std::size_t>(s.stride_w) * s.in_c * isa_.element_bytes;
  const std::int32_t window = ((s.kernel_h - 1) * s.dilation_h) + 1;
  std::uint8_t* band = block.data;
  const std::uint8_t** row = block.rows;
  for (std::size_t unit = first_unit; unit < first_unit + units;) {
    const std::size_t image = unit / s.out_h;
    const std::size_t out_y = unit % s.out_h;
    const std::size_t count = std::min(first_unit + units - unit, s.out_h - out_y);
    const std::uint8_t* picture = in + (image * s.in_h * s.in_w * s.in_c);
    const std::int32_t first_y = (static_cast<std::int32_t>(out_y) * s.stride_h) - s.pad_top;
    const std::int32_t bands = ((static_cast<std::int32_t>(count) - 1) * s.stride_h) + window;
    for (std::int32_t i = 0; i < bands; ++i) fill_band(picture, first_y + i, band + (i * band_bytes_));
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint8_t* first = band + (i * s.stride_h * band_bytes_);
      for (std::size_t x = 0; x < unit_rows_; ++x) *row++ = first + (x * step_bytes);
    }
    band += bands * band_bytes_;
    unit += count;
  }
}

/// Picture row y with its padding; a row outside the picture is all padding.
void GemmRows::fill_band(const std::uint8_t* picture, std::int32_t y, std::uint8_t* to) const {
  const auto& s = spec_;
  const int outside = isa_.element_bytes == 1 ? zero_byte_ ^ flip_ : 0;
  const std::size_t column_bytes = s.in_c * isa_.element_bytes;
  if (y < 0 || y >= s.in_h) {
    std::memset(to, outside, strip_columns_ * column_bytes);
    return;
  }
  const std::size_t before = std::min<std::size_t>(s.pad_left, strip_columns_);
  const std::size_t inside = std::min<std::size_t>(strip_columns_ - before, s.in_w);
  std::memset(to, outside, before * column_bytes);
  to += before * column_bytes;
  convert(to, picture + (static_cast<std::size_t>(y) * s.in_w * s.in_c), inside * s.in_c);
  std::memset(to + (inside * column_bytes), outside, (strip_columns_ - before - inside) * column_bytes);
}

void GemmRows::fill_strip(const std::uint8_t* in, std::size_t unit, std::uint8_t* to, std::uint8_t* raw) const {
  const auto& s = spec_;
  const auto in_c = static_cast<std::size_t>(s.in_c);
  const std::size_t column_bytes = in_c * s.kernel_h;
  const std::int32_t first_y = (static_cast<std::int32_t>(unit % s.out_h) * s.stride_h) - s.pad_top;
  const std::size_t row_bytes = s.in_w * in_c;
  const std::uint8_t* picture = in + (unit / s.out_h * s.in_h * row_bytes);
  const auto row_of = [&](std::int32_t i) {
    const std::int32_t y = first_y + (i * s.dilation_h);
    return y < 0 || y >= s.in_h ? nullptr : picture + (static_cast<std::size_t>(y) * row_bytes);
  };
  const bool three_rows = (s.in_c == 1 || s.in_c == 3) && s.kernel_h == 3 && row_of(0) != nullptr &&
                          row_of(1) != nullptr && row_of(2) != nullptr;
  const bool convert_later = isa_.element_bytes == 2 || (flip_ != 0 && !three_rows);
  const std::uint8_t flip = convert_later ? 0 : flip_;
  std::uint8_t* bytes = isa_.element_bytes == 1 ? to : raw;
  const std::size_t before = std::min<std::size_t>(s.pad_left, strip_columns_);
  const std::size_t inside = std::min<std::size_t>(strip_columns_ - before, s.in_w);
  std::uint8_t* first = bytes + (before * column_bytes);
  std::uint8_t* last = first + (inside * column_bytes);
  std::memset(bytes, zero_byte_ ^ flip, before * column_bytes);
  std::memset(last, zero_byte_ ^ flip, bytes + strip_elements_ - last);
  if (three_rows) {
    const std::uint8_t* rows[3] = {row_of(0), row_of(1), row_of(2)};
    const auto vectors = s.in_c == 1 ? isa_.gray_columns : isa_.rgb_columns;
    const std::size_t done = vectors != nullptr ? vectors(first, rows, inside, flip) : 0;
    for (const std::uint8_t*& row : rows) row += done * in_c;
    const auto rest = s.in_c == 1 ? copy_three_rows<1> : copy_three_rows<3>;
    rest(first + (done * column_bytes), {rows[0], rows[1], rows[2]}, inside - done, flip);
  } else {
    for (std::int32_t i = 0; i < s.kernel_h; ++i) {
      const std::uint8_t* row = row_of(i);
      if (row == nullptr) {
        fill_every(first + (i * in_c), zero_byte_, in_c, inside, column_bytes);
      } else {
        copy_every(first + (i * in_c), row, in_c, inside, column_bytes);
      }
    }
  }
  if (convert_later) convert(to, bytes, strip_elements_);
}

void GemmRows::fill_window(const std::uint8_t* in, std::size_t pixel, std::uint8_t* to) const {
  const auto& s = spec_;
  const std::size_t row = pixel / s.out_w;
  const auto x = static_cast<std::int32_t>(pixel % s.out_w);
  const auto y = static_cast<std::int32_t>(row % s.out_h);
  const std::uint8_t* picture = in + (row / s.out_h * s.in_h * s.in_w * s.in_c);
  for (std::int32_t j = 0; j < s.kernel_w; ++j) {
    const std::int32_t in_x = (x * s.stride_w) + (j * s.dilation_w) - s.pad_left;
    for (std::int32_t i = 0; i < s.kernel_h; ++i, to += s.in_c) {
      const std::int32_t in_y = (y * s.stride_h) + (i * s.dilation_h) - s.pad_top;
      if (in_x < 0 || in_x >= s.in_w || in_y < 0 || in_y >= s.in_h) {
        std::memset(to, zero_byte_, s.in_c);
      } else {
        std::memcpy(to, picture + (((static_cast<std::size_t>(in_y) * s.in_w) + in_x) * s.in_c), s.in_c);
      }
    }
  }
}

}  // namespace wayside::accel::cpu
