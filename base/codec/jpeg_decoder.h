// SPDX-License-Identifier: Apache-2.0
// JpegDecoder: JPEG to YUV planes as they are stored in the file, without a colour conversion; reused frame by frame.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/image.h"
#include "base/result.h"

namespace wayside::base {

/// Decodes baseline and progressive JPEG (ITU-T T.81). Not thread-safe: one caller at a time.
/// After the first picture of a size and sampling a decode allocates no memory (progressive files excepted).
class JpegDecoder {
 public:
  static Result<JpegDecoder> create();
  JpegDecoder(JpegDecoder&&) noexcept;
  JpegDecoder& operator=(JpegDecoder&&) noexcept;
  ~JpegDecoder();

  /// Decodes one picture into planes that this object owns; the view is valid until the next decode().
  /// Colour files give i420 (4:2:0 as stored; every other sampling is brought to 4:2:0 by box averaging or
  /// repetition of chroma), grey files gray8. The range is always ColorRange::full (JFIF 1.02, page 3).
  /// Frames without Huffman tables, as USB cameras send them, use the standard tables (T.81 annex K.3).
  /// Quantisation tables stay from the picture before where a picture brings none (T.81 "abbreviated format").
  /// Bytes behind the picture and a missing end marker are tolerated.
  /// Errors: corrupt (truncated or damaged; the planes are undefined), unsupported (CMYK, RGB, 12 bit),
  /// exhausted (larger than kMaxImagePixels or kMaxImageSidePx). The object stays usable after every error.
  Result<ImageView> decode(std::span<const std::byte> jpeg);

 private:
  struct State;
  explicit JpegDecoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wayside::base
