// SPDX-License-Identifier: Apache-2.0
// GemmRows: the rows of a convolution's matrix product out of its picture, one cache-sized block at a time, without an
// im2col copy of the picture.
#pragma once

#include <cstddef>
#include <cstdint>

#include "accel/cpu/kernels/isa.h"

namespace wayside::accel::cpu {

/// A block holds whole units: output rows of convolutions with a window, else single pixels.
class GemmRows {
 public:
  /// Pointers to the rows of a block; the bytes that they point at may lie in the scratch memory behind them.
  struct Block {
    const std::uint8_t** rows;
    std::uint8_t* data;
    std::uint8_t* raw;
  };

  GemmRows(const ConvSpec& spec, const Isa& isa);

  /// Bytes of 64-byte aligned scratch for one block.
  [[nodiscard]] std::size_t scratch_bytes() const;
  [[nodiscard]] Block block_in(std::byte* scratch) const;
  /// Rows of units [first_unit, first_unit + units), at most block_units() of them.
  void fill(const std::uint8_t* in, std::size_t first_unit, std::size_t units, const Block& block) const;

  [[nodiscard]] std::size_t unit_rows() const { return unit_rows_; }
  [[nodiscard]] std::size_t unit_count() const { return unit_count_; }
  [[nodiscard]] std::size_t block_units() const { return block_units_; }
  [[nodiscard]] std::size_t block_rows() const { return block_units_ * unit_rows_; }
  /// Products of one sum; and k_groups of one row, all segments together.
  [[nodiscard]] std::size_t k_elements() const { return k_elements_; }
  [[nodiscard]] std::size_t k_group_count() const { return k_group_count_; }
  /// See GemmArgs.
  [[nodiscard]] std::size_t segment_count() const { return source_ == Source::bands ? spec_.kernel_h : 1; }
  [[nodiscard]] std::size_t segment_step_bytes() const { return spec_.dilation_h * band_bytes_; }
  /// Rows lie in scratch memory, some bytes after them may be read.
  [[nodiscard]] bool have_slack() const { return source_ != Source::direct; }
  /// Where the weight of channel 0 at K index k lies in the spec; the other channels follow every
  /// channel_step_of(spec).
  [[nodiscard]] std::size_t weight_offset(std::size_t k) const;

 private:
  enum class Source : std::uint8_t {
    direct,     ///< 1x1, already in the right form: pointers into the input
    pointwise,  ///< 1x1 stride 1: the block's input is contiguous and is converted as a whole
    pixels,     ///< 1x1 with a stride: each pixel is converted
    bands,   ///< each picture row that the block needs is converted once, its padding around it; a window is a segment
             ///< of each of kernel_h of them. K runs over (kernel row, kernel column, channel), else over (column, row,
             ///< channel)
    strip,   ///< one strip per output row: [input column][kernel row][channel], so that each window is contiguous
    gather,  ///< anything else (dilated columns): each window is copied
  };
  void choose_source();
  void choose_block();
  [[nodiscard]] std::size_t band_count(std::size_t units) const;
  template <class Body>
  void for_each_pixel(const std::uint8_t* in, std::size_t first, std::size_t count, const Body& body) const;
  void fill_pointwise(const std::uint8_t* from, std::size_t units, const Block& block) const;
  void fill_bands(const std::uint8_t* in, std::size_t first_unit, std::size_t units, const Block& block) const;
  void fill_band(const std::uint8_t* picture, std::int32_t y, std::uint8_t* to) const;
  void fill_strip(const std::uint8_t* in, std::size_t unit, std::uint8_t* to, std::uint8_t* raw) const;
  void fill_window(const std::uint8_t* in, std::size_t pixel, std::uint8_t* to) const;
  void convert(std::uint8_t* to, const std::uint8_t* from, std::size_t count) const;

  ConvSpec spec_;  // the shape alone
  const Isa& isa_;
  Source source_ = Source::gather;
  std::uint8_t flip_ = 0;        // turns input bytes into the domain of the dot product
  std::uint8_t zero_byte_ = 0;   // raw byte of the input's zero point
  std::int16_t zero_point_ = 0;  // of the input in that domain
  std::size_t k_elements_ = 0, k_group_count_ = 0;
  std::size_t row_step_bytes_ = 0;  // pointwise, pixels, gather: from one row to the next
  std::size_t band_bytes_ = 0;      // bands: from one picture row to the next
  std::size_t strip_columns_ = 0;   // bands, strip: input columns of one output row
  std::size_t strip_elements_ = 0;
  std::size_t unit_rows_ = 1, unit_count_ = 0, block_units_ = 1;
  std::size_t data_bytes_ = 0;  // scratch of one block's activations
  std::size_t raw_bytes_ = 0;   // scratch of one unconverted strip or window
};

/// From one channel's weights to the next's in the spec.
[[nodiscard]] std::size_t channel_step_of(const ConvSpec& spec);

}  // namespace wayside::accel::cpu
