// SPDX-License-Identifier: Apache-2.0
// PictureSource: a finite row of pictures from a file or folder, read front to back; what ReplayCamera paces.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "base/image.h"
#include "base/result.h"

namespace wayside::drivers {

/// How many pictures of a replay may be on lease at once, like the buffers of a camera.
inline constexpr std::uint32_t kReplaySlots = 4;

class PictureSource {
 public:
  struct Info {
    base::PixelFormat format = base::PixelFormat::mjpeg;
    std::uint32_t width_px = 0;  ///< of the first whole picture
    std::uint32_t height_px = 0;
    double rate_hz = 0;  ///< 0: the file does not say
  };

  virtual ~PictureSource() = default;
  [[nodiscard]] virtual const Info& info() const = 0;
  /// The next picture; its bytes stay until the next read() into the same slot (< kReplaySlots).
  /// Errors: end_of_stream; corrupt and io for one bad picture, which is passed over: read on.
  virtual base::Result<base::ImageView> read(std::uint32_t slot) = 0;
  /// True when read() would answer end_of_stream.
  [[nodiscard]] virtual bool at_end() const = 0;
  /// Passes over one picture unless it is the last: false, and nothing changes, when none lies behind it.
  virtual bool skip() = 0;
  virtual void rewind() = 0;
};

/// Opens a Y4M file, a stream of JPEG files, a single picture, or a folder of JPEG or PNG pictures (by name).
/// The kind is told by the content, not by the file's name. Errors: not_found, corrupt, unsupported.
base::Result<std::unique_ptr<PictureSource>> open_picture_source(const std::filesystem::path& path);

}  // namespace wayside::drivers
