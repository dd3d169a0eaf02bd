// SPDX-License-Identifier: Apache-2.0
// ImageReader: the bytes of a disk image in order, plain or zstd-compressed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

struct ZSTD_DCtx_s;

namespace wayside::fleet {

class ImageReader {
 public:
  /// Tells zstd from plain by the first bytes. Errors: not_found; unsupported for gzip, xz, bzip2 and zip, which are
  /// named.
  static base::Result<ImageReader> open(const std::filesystem::path& path);

  /// Fills `out` from the front, returns how much; less than asked only at the image's end. Errors: corrupt (damaged or
  /// cut compressed data), io.
  base::Result<std::size_t> read(std::span<std::byte> out);

  [[nodiscard]] bool compressed() const { return decoder_ != nullptr; }
  /// Of the file; for a plain image its size.
  [[nodiscard]] std::uint64_t file_bytes() const { return file_bytes_; }

 private:
  ImageReader() = default;
  base::Result<std::size_t> read_plain(std::span<std::byte> out);
  base::Result<void> refill();

  struct Free {
    void operator()(ZSTD_DCtx_s* decoder) const;
  };
  std::filesystem::path path_;
  base::UniqueFd fd_;
  std::uint64_t file_bytes_ = 0;
  std::unique_ptr<ZSTD_DCtx_s, Free> decoder_;
  std::vector<std::byte> input_;
  std::size_t input_at_ = 0, input_end_ = 0;
  bool frame_open_ = false;
};

}  // namespace wayside::fleet
