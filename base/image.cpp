// SPDX-License-Identifier: Apache-2.0
// Names of pixel formats.
#include "base/image.h"

namespace wayside::base {

std::string_view to_string(PixelFormat format) {
  switch (format) {
    case PixelFormat::nv12: return "nv12";
    case PixelFormat::i420: return "i420";
    case PixelFormat::yuyv: return "yuyv";
    case PixelFormat::rgb24: return "rgb24";
    case PixelFormat::gray8: return "gray8";
    case PixelFormat::mjpeg: return "mjpeg";
  }
  return "unknown";
}

}  // namespace wayside::base
