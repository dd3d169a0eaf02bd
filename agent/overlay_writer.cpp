// SPDX-License-Identifier: Apache-2.0
// Draws and writes overlay pictures.
#include "agent/overlay_writer.h"

#include <format>
#include <fstream>

#include "agent/vision/overlay.h"
#include "base/log.h"

namespace wayside::agent {

base::Result<std::unique_ptr<OverlayWriter>> OverlayWriter::create(std::filesystem::path folder,
                                                                   std::uint64_t every_frames, ModelCard card) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::fail_errno(folder.string() + ": cannot make the folder for overlay pictures", error.value());
  WAYSIDE_TRY(auto encoder, base::JpegEncoder::create());
  return std::unique_ptr<OverlayWriter>(
      new OverlayWriter(std::move(folder), every_frames, std::move(card), std::move(encoder)));
}

OverlayWriter::OverlayWriter(std::filesystem::path folder, std::uint64_t every_frames, ModelCard card,
                             base::JpegEncoder encoder)
    : folder_(std::move(folder)), every_frames_(every_frames), card_(std::move(card)), encoder_(std::move(encoder)) {}

void OverlayWriter::observe(const base::ImageView& image, const FrameReport& report) {
  if (seen_++ % every_frames_ != 0 || written_ >= kMaxFiles) return;
  if (auto done = write(image, report); !done) {
    base::log_warn("overlay event=not_written frame={} reason=\"{}\"", report.frame, done.error().message);
  }
}

base::Result<void> OverlayWriter::write(const base::ImageView& image, const FrameReport& report) {
  constexpr int kQuality = 85;  // boxes stay sharp; some 60 kB for 768x432
  WAYSIDE_TRY(auto picture, to_rgb(image));
  draw_detections(picture, {report.detections.data(), report.count}, card_);
  WAYSIDE_TRY(const auto jpeg, encoder_.encode(picture.view(), kQuality));
  const auto path = folder_ / std::format("frame_{:06}.jpg", report.frame);
  const auto partial = folder_ / ".partial";
  std::ofstream file(partial, std::ios::binary);
  file.write(reinterpret_cast<const char*>(jpeg.data()), static_cast<std::streamsize>(jpeg.size()));
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(partial, path, error);
  if (!file || error) return base::fail(base::Code::io, std::format("cannot write {}", path.string()));
  ++written_;
  return {};
}

}  // namespace wayside::agent
