// SPDX-License-Identifier: Apache-2.0
// PngDecoder over libpng's simplified API, which reports errors by value.
#include "base/codec/png_decoder.h"

#include <png.h>

#include <format>

#include "base/codec/limits.h"

namespace wayside::base {

Result<ImageView> PngDecoder::decode(std::span<const std::byte> png) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, png.data(), png.size()) == 0) {
    return fail(Code::corrupt, std::format("PNG: {}", image.message));
  }
  if (!image_size_ok(image.width, image.height)) {
    auto error = fail(Code::exhausted, std::format("PNG: {}x{} px is more than {} px in all or {} px a side",
                                                   image.width, image.height, kMaxImagePixels, kMaxImageSidePx));
    png_image_free(&image);
    return error;
  }
  image.format = PNG_FORMAT_RGB;
  const std::size_t stride_bytes = std::size_t{image.width} * 3;
  pixels_.resize(stride_bytes * image.height);
  const png_color black{0, 0, 0};
  if (png_image_finish_read(&image, &black, pixels_.data(), static_cast<png_int_32>(stride_bytes), nullptr) == 0) {
    return fail(Code::corrupt, std::format("PNG: {}", image.message));
  }
  ImageView view{PixelFormat::rgb24, ColorRange::full, image.width, image.height, {}};
  view.planes[0] = {pixels_.data(), stride_bytes, pixels_.size(), -1};
  return view;
}

}  // namespace wayside::base
