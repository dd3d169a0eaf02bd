// SPDX-License-Identifier: Apache-2.0
// Walks JPEG segments, so that a thumbnail's end marker is not taken for the picture's.
#include "optimizer/data/mjpeg.h"

#include <cstddef>

namespace wayside::optimizer {
namespace {

constexpr std::uint8_t kMarker = 0xFF, kStart = 0xD8, kEnd = 0xD9;

bool stands_alone(std::uint8_t code) { return code == 0x01 || (code >= 0xD0 && code <= kStart); }

/// One past the end marker of the picture that starts at `at`, or 0 when the stream ends first.
std::size_t picture_end(std::span<const std::uint8_t> stream, std::size_t at) {
  at += 2;
  while (at + 2 <= stream.size()) {
    if (stream[at] != kMarker) {  // entropy-coded bytes of a scan, or rubbish between segments
      ++at;
      continue;
    }
    const std::uint8_t code = stream[at + 1];
    if (code == kEnd) return at + 2;
    if (code == 0x00 || code == kMarker || stands_alone(code)) {
      at += code == kMarker ? 1 : 2;
      continue;
    }
    if (at + 4 > stream.size()) return 0;
    const std::size_t length = static_cast<std::size_t>(stream[at + 2] << 8 | stream[at + 3]);
    at += 2 + length;
  }
  return 0;
}

}  // namespace

base::Result<std::vector<std::span<const std::uint8_t>>> split_mjpeg(std::span<const std::uint8_t> stream) {
  std::vector<std::span<const std::uint8_t>> pictures;
  for (std::size_t at = 0; at + 2 <= stream.size();) {
    if (stream[at] != kMarker || stream[at + 1] != kStart) {
      ++at;
      continue;
    }
    const std::size_t end = picture_end(stream, at);
    if (end == 0) break;
    pictures.push_back(stream.subspan(at, end - at));
    at = end;
  }
  if (pictures.empty()) return base::fail(base::Code::corrupt, "holds no whole JPEG picture; is it an MJPEG stream?");
  return pictures;
}

}  // namespace wayside::optimizer
