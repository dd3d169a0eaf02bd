// SPDX-License-Identifier: Apache-2.0
// A stream of concatenated JPEG files as PictureSource.
#include <format>

#include "drivers/camera/replay/mjpeg_splitter.h"
#include "drivers/camera/replay/sources.h"

namespace wayside::drivers {
namespace {

using base::Code;

class MjpegSource final : public PictureSource {
 public:
  explicit MjpegSource(base::MappedFile file) : file_(std::move(file)) {}

  /// Looks for the first whole picture, which tells the size.
  base::Result<void> probe() {
    while (at_bytes_ < file_.bytes().size()) {
      const JpegPiece piece = first_jpeg(rest());
      at_bytes_ += piece.size_bytes;
      if (!piece.damage.empty()) continue;
      info_ = {base::PixelFormat::mjpeg, piece.width_px, piece.height_px, 0};
      rewind();
      return {};
    }
    return base::fail(Code::corrupt, "no whole JPEG picture in it");
  }

  const Info& info() const override { return info_; }

  base::Result<base::ImageView> read(std::uint32_t) override {
    if (at_end()) return base::fail(Code::end_of_stream, "no more pictures");
    const std::size_t start_bytes = at_bytes_;
    const JpegPiece piece = first_jpeg(rest());
    at_bytes_ += piece.size_bytes;
    if (!piece.damage.empty()) {
      return base::fail(Code::corrupt, std::format("picture at byte {}: {}", start_bytes, piece.damage));
    }
    base::ImageView view{base::PixelFormat::mjpeg, base::ColorRange::full, piece.width_px, piece.height_px, {}};
    view.planes[0] = {reinterpret_cast<const std::uint8_t*>(file_.bytes().data()) + start_bytes, 0, piece.size_bytes,
                      -1};
    return view;
  }
  bool at_end() const override { return at_bytes_ >= file_.bytes().size(); }
  bool skip() override {
    const std::size_t behind_bytes = at_bytes_ + first_jpeg(rest()).size_bytes;
    if (behind_bytes >= file_.bytes().size()) return false;
    at_bytes_ = behind_bytes;
    return true;
  }
  void rewind() override { at_bytes_ = 0; }

 private:
  [[nodiscard]] std::span<const std::byte> rest() const { return file_.bytes().subspan(at_bytes_); }

  base::MappedFile file_;
  Info info_;
  std::size_t at_bytes_ = 0;
};

}  // namespace

base::Result<std::unique_ptr<PictureSource>> open_mjpeg(base::MappedFile file) {
  auto source = std::make_unique<MjpegSource>(std::move(file));
  WAYSIDE_CHECK(source->probe());
  return source;
}

}  // namespace wayside::drivers
