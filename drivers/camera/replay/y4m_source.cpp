// SPDX-License-Identifier: Apache-2.0
// A YUV4MPEG2 file as PictureSource.
#include <array>
#include <format>

#include "drivers/camera/replay/sources.h"
#include "drivers/camera/replay/y4m.h"

namespace wayside::drivers {
namespace {

using base::Code;

class Y4mSource final : public PictureSource {
 public:
  Y4mSource(base::MappedFile file, const Y4mHeader& header) : file_(std::move(file)), header_(header) {
    info_ = {header.chroma == Y4mChroma::mono ? base::PixelFormat::gray8 : base::PixelFormat::i420, header.width_px,
             header.height_px, header.rate_hz};
    if (header.chroma == Y4mChroma::c422) {
      for (auto& chroma : averaged_) chroma.resize(2 * half_width() * half_height());
    }
    rewind();
  }

  const Info& info() const override { return info_; }

  base::Result<base::ImageView> read(std::uint32_t slot) override {
    if (at_end()) return base::fail(Code::end_of_stream, "no more pictures");
    const std::size_t start_bytes = at_bytes_;
    auto frame = first_y4m_frame(header_, rest());
    if (!frame) {
      // Frames have no marker that is safe to search for, so the rest is lost.
      at_bytes_ = file_.bytes().size();
      frame.error().context(std::format("at byte {}", start_bytes));
      return std::unexpected(frame.error());
    }
    at_bytes_ += frame->size_bytes;
    return view(reinterpret_cast<const std::uint8_t*>(frame->pixels.data()), slot);
  }
  bool at_end() const override { return at_bytes_ >= file_.bytes().size(); }
  bool skip() override {
    if (at_end()) return false;
    const auto frame = first_y4m_frame(header_, rest());
    if (!frame || at_bytes_ + frame->size_bytes >= file_.bytes().size()) return false;
    at_bytes_ += frame->size_bytes;
    return true;
  }
  void rewind() override { at_bytes_ = header_.header_bytes; }

 private:
  [[nodiscard]] std::span<const std::byte> rest() const { return file_.bytes().subspan(at_bytes_); }
  [[nodiscard]] std::size_t half_width() const { return (std::size_t{header_.width_px} + 1) / 2; }
  [[nodiscard]] std::size_t half_height() const { return (std::size_t{header_.height_px} + 1) / 2; }

  base::ImageView view(const std::uint8_t* pixels, std::uint32_t slot) {
    base::ImageView result{info_.format, header_.range, header_.width_px, header_.height_px, {}};
    const std::size_t luma_bytes = std::size_t{header_.width_px} * header_.height_px;
    result.planes[0] = {pixels, header_.width_px, luma_bytes, -1};
    if (header_.chroma == Y4mChroma::mono) return result;
    const std::size_t chroma_bytes = half_width() * half_height();
    const std::uint8_t* chroma = pixels + luma_bytes;
    if (header_.chroma == Y4mChroma::c422) chroma = average_rows(chroma, averaged_[slot].data());
    result.planes[1] = {chroma, half_width(), chroma_bytes, -1};
    result.planes[2] = {chroma + chroma_bytes, half_width(), chroma_bytes, -1};
    return result;
  }
  /// 4:2:2 -> 4:2:0: out[y] = mean of rows 2y and 2y+1 (the last row alone where the height is odd), U then V.
  const std::uint8_t* average_rows(const std::uint8_t* from, std::uint8_t* to) const {
    const std::size_t width = half_width();
    std::uint8_t* out = to;
    for (int plane = 0; plane < 2; ++plane, from += width * header_.height_px) {
      for (std::size_t y = 0; y < half_height(); ++y) {
        const std::uint8_t* upper = from + 2 * y * width;
        const std::uint8_t* lower = 2 * y + 1 < header_.height_px ? upper + width : upper;
        for (std::size_t x = 0; x < width; ++x) *out++ = static_cast<std::uint8_t>((upper[x] + lower[x] + 1) / 2);
      }
    }
    return to;
  }

  base::MappedFile file_;
  Y4mHeader header_;
  Info info_;
  std::array<std::vector<std::uint8_t>, kReplaySlots> averaged_;
  std::size_t at_bytes_ = 0;
};

}  // namespace

base::Result<std::unique_ptr<PictureSource>> open_y4m(base::MappedFile file) {
  WAYSIDE_TRY(const Y4mHeader header, parse_y4m_header(file.bytes()));
  if (file.bytes().size() == header.header_bytes) return base::fail(Code::corrupt, "Y4M: no frames");
  return std::make_unique<Y4mSource>(std::move(file), header);
}

}  // namespace wayside::drivers
