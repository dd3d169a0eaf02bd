// SPDX-License-Identifier: Apache-2.0
// Marker walk over JPEG streams.
#include "drivers/camera/replay/mjpeg_splitter.h"

#include <algorithm>
#include <cstring>

namespace wayside::drivers {
namespace {

// Marker codes: ITU-T T.81, table B.1.
constexpr unsigned kStartOfImage = 0xD8;
constexpr unsigned kEndOfImage = 0xD9;
constexpr unsigned kStartOfScan = 0xDA;
constexpr unsigned kTemporary = 0x01;

constexpr bool is_restart(unsigned marker) { return marker >= 0xD0 && marker <= 0xD7; }
constexpr bool is_frame_header(unsigned marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

class Walk {
 public:
  explicit Walk(std::span<const std::byte> stream) : stream_(stream) {}

  JpegPiece run() {
    if (!starts_picture(0)) return damaged("no start-of-image marker", 0);
    at_ = 2;
    while (true) {
      const auto marker = read_marker();
      if (marker == kNone) return damaged(at_ >= stream_.size() ? "truncated" : "no marker where one must be", 2);
      if (marker == kEndOfImage) break;
      if (marker == kStartOfImage) return damaged("a new picture starts inside", at_ - 2);
      if (is_restart(marker) || marker == kTemporary) continue;
      const std::size_t segment = at_;
      if (!skip_segment()) return damaged("truncated segment", 2);
      if (is_frame_header(marker) && at_ - segment >= 7) {
        piece_.height_px = word(segment + 3);
        piece_.width_px = word(segment + 5);
      }
      if (marker == kStartOfScan) skip_entropy_coded();
    }
    if (piece_.width_px == 0 || piece_.height_px == 0) {
      piece_.damage = "no frame header";
      piece_.width_px = piece_.height_px = 0;
    }
    piece_.size_bytes = at_;
    return piece_;
  }

 private:
  static constexpr unsigned kNone = 0;

  [[nodiscard]] unsigned byte(std::size_t at) const { return std::to_integer<unsigned>(stream_[at]); }
  [[nodiscard]] std::uint32_t word(std::size_t at) const { return byte(at) << 8 | byte(at + 1); }
  [[nodiscard]] bool starts_picture(std::size_t at) const {
    return at + 2 < stream_.size() && byte(at) == 0xFF && byte(at + 1) == kStartOfImage && byte(at + 2) == 0xFF;
  }

  /// The code behind 0xFF and any number of fill bytes 0xFF (B.1.1.2); kNone when there is no marker here.
  unsigned read_marker() {
    if (at_ >= stream_.size() || byte(at_) != 0xFF) return kNone;
    while (at_ < stream_.size() && byte(at_) == 0xFF) ++at_;
    if (at_ >= stream_.size()) return kNone;
    return byte(at_++);
  }
  bool skip_segment() {
    if (at_ + 2 > stream_.size()) return false;
    const std::size_t length = word(at_);
    if (length < 2 || length > stream_.size() - at_) return false;
    at_ += length;
    return true;
  }
  /// Stops at the 0xFF of the first marker that is neither a stuffed 0xFF00 nor RSTn.
  void skip_entropy_coded() {
    while (at_ + 1 < stream_.size()) {
      const void* found = std::memchr(stream_.data() + at_, 0xFF, stream_.size() - 1 - at_);
      if (found == nullptr) break;
      at_ = static_cast<std::size_t>(static_cast<const std::byte*>(found) - stream_.data());
      const unsigned next = byte(at_ + 1);
      if (next != 0x00 && next != 0xFF && !is_restart(next)) return;
      at_ += next == 0xFF ? 1 : 2;
    }
    at_ = stream_.size();
  }
  JpegPiece damaged(std::string_view why, std::size_t search_from) {
    std::size_t at = search_from;
    while (at < stream_.size() && !(at > 0 && starts_picture(at))) {
      const void* found = std::memchr(stream_.data() + at + 1, 0xFF, stream_.size() - at - 1);
      at = found == nullptr ? stream_.size()
                            : static_cast<std::size_t>(static_cast<const std::byte*>(found) - stream_.data());
    }
    return {std::min(at, stream_.size()), 0, 0, why};
  }

  std::span<const std::byte> stream_;
  std::size_t at_ = 0;
  JpegPiece piece_;
};

}  // namespace

JpegPiece first_jpeg(std::span<const std::byte> stream) {
  if (stream.empty()) return {};
  return Walk(stream).run();
}

}  // namespace wayside::drivers
