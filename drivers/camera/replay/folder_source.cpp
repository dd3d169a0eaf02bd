// SPDX-License-Identifier: Apache-2.0
// Picture files as PictureSource, and the choice of the source by content.
#include <algorithm>
#include <array>
#include <cstring>
#include <format>
#include <string_view>
#include <system_error>

#include "base/codec/png_decoder.h"
#include "drivers/camera/replay/mjpeg_splitter.h"
#include "drivers/camera/replay/sources.h"

namespace wayside::drivers {
namespace {

using base::Code;
namespace fs = std::filesystem;

constexpr std::size_t kMaxFolderFiles = 1U << 20;  // a day of pictures at 10 Hz is 864 000

enum class Kind { unknown, y4m, jpeg, png };

Kind kind_of(std::span<const std::byte> bytes) {
  const auto starts_with = [&](std::string_view magic) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  if (starts_with("YUV4MPEG2")) return Kind::y4m;
  if (starts_with("\xFF\xD8")) return Kind::jpeg;
  if (starts_with("\x89PNG\r\n\x1A\n")) return Kind::png;
  return Kind::unknown;
}

Kind kind_of_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; });
  if (extension == ".jpg" || extension == ".jpeg") return Kind::jpeg;
  return extension == ".png" ? Kind::png : Kind::unknown;
}

class FileSource final : public PictureSource {
 public:
  explicit FileSource(std::vector<fs::path> files) : files_(std::move(files)) {}

  /// Looks for the first whole picture, which tells the size.
  base::Result<void> probe() {
    for (std::size_t tried = 0; tried < files_.size(); ++tried) {
      const auto view = read(0);
      if (!view) continue;
      info_ = {view->format, view->width_px, view->height_px, 0};
      rewind();
      return {};
    }
    return base::fail(Code::corrupt, std::format("none of {} pictures can be read", files_.size()));
  }

  const Info& info() const override { return info_; }

  base::Result<base::ImageView> read(std::uint32_t slot) override {
    if (at_end()) return base::fail(Code::end_of_stream, "no more pictures");
    const fs::path& path = files_[next_++];
    auto view = read_file(path, slots_[slot]);
    if (!view) view.error().context(path.filename().string());
    return view;
  }
  bool at_end() const override { return next_ >= files_.size(); }
  bool skip() override {
    if (next_ + 1 >= files_.size()) return false;
    ++next_;
    return true;
  }
  void rewind() override { next_ = 0; }

 private:
  struct Slot {
    base::MappedFile file;
    base::PngDecoder png;
  };

  static base::Result<base::ImageView> read_file(const fs::path& path, Slot& slot) {
    WAYSIDE_TRY(slot.file, base::MappedFile::open(path));
    const auto bytes = slot.file.bytes();
    if (kind_of(bytes) == Kind::png) return slot.png.decode(bytes);
    const JpegPiece piece = first_jpeg(bytes);
    if (!piece.damage.empty()) return base::fail(Code::corrupt, std::format("JPEG: {}", piece.damage));
    base::ImageView view{base::PixelFormat::mjpeg, base::ColorRange::full, piece.width_px, piece.height_px, {}};
    view.planes[0] = {reinterpret_cast<const std::uint8_t*>(bytes.data()), 0, piece.size_bytes, -1};
    return view;
  }

  std::vector<fs::path> files_;
  std::array<Slot, kReplaySlots> slots_;
  Info info_;
  std::size_t next_ = 0;
};

base::Result<std::unique_ptr<PictureSource>> open_folder(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  std::array<std::size_t, 2> count_of{};  // JPEG, PNG
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const Kind kind = kind_of_name(entry->path());
    if (kind == Kind::unknown || !entry->is_regular_file(error)) continue;
    if (files.size() == kMaxFolderFiles) {
      return base::fail(Code::exhausted, std::format("more than {} pictures; use several folders", kMaxFolderFiles));
    }
    ++count_of[kind == Kind::png ? 1 : 0];
    files.push_back(entry->path());
  }
  if (error) return base::fail(Code::io, error.message());
  if (files.empty()) return base::fail(Code::not_found, "no .jpg, .jpeg or .png file in this folder");
  if (count_of[0] != 0 && count_of[1] != 0) {
    return base::fail(Code::invalid_argument, "the folder mixes JPEG and PNG; keep one kind in it");
  }
  std::ranges::sort(files);
  return open_pictures(std::move(files));
}

}  // namespace

base::Result<std::unique_ptr<PictureSource>> open_pictures(std::vector<fs::path> files) {
  auto source = std::make_unique<FileSource>(std::move(files));
  WAYSIDE_CHECK(source->probe());
  return source;
}

base::Result<std::unique_ptr<PictureSource>> open_picture_source(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    auto folder = open_folder(path);
    if (!folder) folder.error().context(path.string());
    return folder;
  }
  WAYSIDE_TRY(base::MappedFile file, base::MappedFile::open(path));
  const auto opened = [&]() -> base::Result<std::unique_ptr<PictureSource>> {
    switch (kind_of(file.bytes())) {
      case Kind::y4m: return open_y4m(std::move(file));
      case Kind::jpeg: return open_mjpeg(std::move(file));
      case Kind::png: return open_pictures({path});
      case Kind::unknown: break;
    }
    return base::fail(Code::unsupported,
                      "not Y4M, MJPEG, JPEG or PNG; convert a video with: ffmpeg -i VIDEO -c:v mjpeg -q:v 4 OUT.mjpeg");
  };
  auto source = opened();
  if (!source) source.error().context(path.string());
  return source;
}

}  // namespace wayside::drivers
