// SPDX-License-Identifier: Apache-2.0
// make_jpeg over libjpeg's scanline interface.
#include "tests/base/codec/reference_jpeg.h"

#include <cstdio>  // jpeglib.h needs FILE
#include <cstdlib>

#include <jpeglib.h>

namespace wayside::base::test {

std::vector<std::byte> make_jpeg(std::uint32_t width_px, std::uint32_t height_px, const JpegKind& kind) {
  jpeg_compress_struct cinfo{};
  jpeg_error_mgr errors{};
  cinfo.err = jpeg_std_error(&errors);  // ends the program on an error: a broken test
  jpeg_create_compress(&cinfo);
  unsigned char* buffer = nullptr;
  unsigned long size_bytes = 0;
  jpeg_mem_dest(&cinfo, &buffer, &size_bytes);
  cinfo.image_width = width_px;
  cinfo.image_height = height_px;
  cinfo.input_components = kind.cmyk ? 4 : 3;
  cinfo.in_color_space = kind.cmyk ? JCS_CMYK : JCS_YCbCr;
  jpeg_set_defaults(&cinfo);
  jpeg_set_quality(&cinfo, 100, TRUE);
  if (!kind.cmyk) {
    cinfo.comp_info[0].h_samp_factor = kind.luma_x;
    cinfo.comp_info[0].v_samp_factor = kind.luma_y;
  }
  cinfo.restart_in_rows = static_cast<int>(kind.restart_rows);
  if (kind.progressive) jpeg_simple_progression(&cinfo);
  jpeg_start_compress(&cinfo, TRUE);
  std::vector<JSAMPLE> row(std::size_t{width_px} * static_cast<std::size_t>(cinfo.input_components));
  while (cinfo.next_scanline < height_px) {
    for (std::size_t x = 0; x < width_px; ++x) {
      JSAMPLE* sample = row.data() + x * static_cast<std::size_t>(cinfo.input_components);
      sample[0] = static_cast<JSAMPLE>(60 + x);
      sample[1] = static_cast<JSAMPLE>(90 + cinfo.next_scanline);
      sample[2] = 150;
      if (kind.cmyk) sample[3] = 0;
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&cinfo, &pointer, 1);
  }
  jpeg_finish_compress(&cinfo);
  const auto* bytes = reinterpret_cast<const std::byte*>(buffer);
  std::vector<std::byte> result(bytes, bytes + size_bytes);
  jpeg_destroy_compress(&cinfo);
  std::free(buffer);
  return result;
}

}  // namespace wayside::base::test
