// SPDX-License-Identifier: Apache-2.0
// The three kinds of PictureSource; private to replay/.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/mapped_file.h"
#include "drivers/camera/replay/picture_source.h"

namespace wayside::drivers {

/// Pictures are delivered as mjpeg, straight out of the mapped file.
base::Result<std::unique_ptr<PictureSource>> open_mjpeg(base::MappedFile file);
/// Frames are delivered as i420 (C420 straight out of the mapped file, C422 with averaged chroma rows) or gray8 (mono).
base::Result<std::unique_ptr<PictureSource>> open_y4m(base::MappedFile file);
/// JPEG files are delivered as mjpeg, PNG files as rgb24. `files` is not empty, in order, and all of one kind.
base::Result<std::unique_ptr<PictureSource>> open_pictures(std::vector<std::filesystem::path> files);

}  // namespace wayside::drivers
