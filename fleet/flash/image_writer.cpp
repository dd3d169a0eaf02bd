// SPDX-License-Identifier: Apache-2.0
// Copying and reading back of disk images.
#include "fleet/flash/image_writer.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <format>
#include <limits>
#include <vector>

namespace wayside::fleet {
namespace {

using base::Code;
using base::Result;
using ota::Digest;
using ota::Sha256;

constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;  // one request of a card reader is far smaller
constexpr std::uint64_t kSyncEveryBytes = std::uint64_t{32}
                                          << 20U;  // so that progress tells of the card, not of the page cache

/// A stretch of the image and, once it was written, what it hashes to.
struct Stretch {
  std::uint64_t begin = 0, end = 0;
  std::optional<Digest> sha256;
};

class Writer {
 public:
  Writer(ImageReader& image, int fd, const FlashOptions& options)
      : image_(image), fd_(fd), options_(options), piece_(kPieceBytes), head_(kPieceBytes) {}

  Result<FlashResult> run() {
    WAYSIDE_CHECK(clear_head());
    if (options_.map != nullptr) {
      WAYSIDE_CHECK(copy_mapped(*options_.map));
    } else {
      WAYSIDE_CHECK(copy_whole());
    }
    if (position_ == 0) return base::fail(Code::corrupt, "the image is empty");
    WAYSIDE_CHECK(sync());
    WAYSIDE_CHECK(put(0, std::span(head_).first(head_used_)));
    WAYSIDE_CHECK(sync());
    if (options_.verify) WAYSIDE_CHECK(read_back());
    return FlashResult{.written_bytes = written_bytes_, .image_bytes = position_, .verified = options_.verify};
  }

 private:
  Result<void> clear_head() {
    const auto bytes =
        options_.target_bytes == 0 ? kPieceBytes : std::min<std::uint64_t>(kPieceBytes, options_.target_bytes);
    WAYSIDE_CHECK(put(0, std::span(head_).first(bytes)));
    return sync();
  }

  Result<void> put(std::uint64_t at, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto done = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0 && errno == ENOSPC) return base::fail(Code::exhausted, "the disk is too small for this image");
      if (done < 0) return base::fail_errno(std::format("write at byte {}: the disk may be worn out or unplugged", at));
      at += static_cast<std::uint64_t>(done);
      bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
    return {};
  }

  Result<void> sync() {
    if (::fsync(fd_) != 0) return base::fail_errno("write out: the disk may be worn out or unplugged");
    unsynced_bytes_ = 0;
    return {};
  }

  Result<void> go_on(FlashStage stage, std::uint64_t done, std::uint64_t total) {
    if (options_.progress) options_.progress({stage, done, total});
    if (options_.stop_requested && options_.stop_requested())
      return base::fail(Code::bad_state, stage == FlashStage::write
                                             ? "interrupted; the disk is incomplete and does not boot: write it again"
                                             : "interrupted; the disk was written but not checked");
    return {};
  }

  /// The next bytes of the image, which belong at `position_`.
  Result<std::span<const std::byte>> next(std::uint64_t most) {
    const auto asked = static_cast<std::size_t>(std::min<std::uint64_t>(most, kPieceBytes));
    WAYSIDE_TRY(const auto got, image_.read(std::span(piece_).first(asked)));
    return std::span<const std::byte>(piece_).first(got);
  }

  /// Writes bytes at `position_` and moves on; those of the first MiB are kept for the end.
  Result<void> store(std::span<const std::byte> bytes) {
    if (options_.target_bytes != 0 && position_ + bytes.size() > options_.target_bytes)
      return base::fail(Code::exhausted, "the disk is too small for this image");
    auto at = position_;
    position_ += bytes.size();
    written_bytes_ += bytes.size();
    if (at < kPieceBytes) {
      const auto kept = std::min<std::size_t>(bytes.size(), kPieceBytes - at);
      std::ranges::copy(bytes.first(kept), head_.begin() + static_cast<std::ptrdiff_t>(at));
      head_used_ = at + kept;
      at += kept;
      bytes = bytes.subspan(kept);
    }
    WAYSIDE_CHECK(put(at, bytes));
    unsynced_bytes_ += bytes.size();
    return unsynced_bytes_ >= kSyncEveryBytes ? sync() : Result<void>{};
  }

  Result<void> copy_whole() {
    Sha256 hash;
    const auto total = image_.compressed() ? 0 : image_.file_bytes();
    for (;;) {
      WAYSIDE_TRY(const auto bytes, next(kPieceBytes));
      if (bytes.empty()) break;
      hash.update(bytes);
      WAYSIDE_CHECK(store(bytes));
      WAYSIDE_CHECK(go_on(FlashStage::write, written_bytes_, total));
    }
    WAYSIDE_TRY(const auto digest, hash.finish());
    stretches_.push_back({0, position_, digest});
    return {};
  }

  Result<void> copy_mapped(const BlockMap& map) {
    for (const auto& range : map.ranges) {
      WAYSIDE_CHECK(skip_to(map.begin_bytes(range)));
      WAYSIDE_CHECK(copy_range(map, range));
    }
    WAYSIDE_CHECK(skip_to(map.image_bytes));
    WAYSIDE_TRY(const auto rest, next(1));
    if (!rest.empty())
      return base::fail(Code::corrupt, "the image is longer than its block map says; they do not belong together");
    return {};
  }

  Result<void> skip_to(std::uint64_t target) {
    while (position_ < target) {
      WAYSIDE_TRY(const auto bytes, next(target - position_));
      if (bytes.empty()) return too_short();
      position_ += bytes.size();
    }
    return {};
  }

  Result<void> copy_range(const BlockMap& map, const BlockRange& range) {
    Sha256 hash;
    const auto end = map.end_bytes(range);
    while (position_ < end) {
      WAYSIDE_TRY(const auto bytes, next(end - position_));
      if (bytes.empty()) return too_short();
      hash.update(bytes);
      WAYSIDE_CHECK(store(bytes));
      WAYSIDE_CHECK(go_on(FlashStage::write, written_bytes_, map.mapped_bytes()));
    }
    WAYSIDE_TRY(const auto digest, hash.finish());
    if (range.sha256 && digest != *range.sha256)
      return base::fail(Code::corrupt, std::format("the image is damaged in blocks {}-{}; download it again",
                                                   range.first, range.last));
    stretches_.push_back({map.begin_bytes(range), end, digest});
    return {};
  }

  static std::unexpected<base::Error> too_short() {
    return base::fail(Code::corrupt, "the image is shorter than its block map says; download it again");
  }

  /// From the medium, not from the page cache.
  Result<void> read_back() {
    ::ioctl(fd_, BLKFLSBUF, 0);  // fails on a plain file, where the next line does the same
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
    std::uint64_t done = 0;
    for (const auto& stretch : stretches_) {
      Sha256 hash;
      for (auto at = stretch.begin; at < stretch.end;) {
        const auto asked = static_cast<std::size_t>(std::min<std::uint64_t>(stretch.end - at, kPieceBytes));
        const auto got = ::pread(fd_, piece_.data(), asked, static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return base::fail_errno(std::format("read back at byte {}", at), got < 0 ? errno : EIO);
        hash.update(std::span<const std::byte>(piece_).first(static_cast<std::size_t>(got)));
        at += static_cast<std::uint64_t>(got);
        done += static_cast<std::uint64_t>(got);
        WAYSIDE_CHECK(go_on(FlashStage::verify, done, written_bytes_));
      }
      WAYSIDE_TRY(const auto digest, hash.finish());
      if (digest != stretch.sha256)
        return base::fail(Code::corrupt,
                          std::format("what the disk returns for bytes {} to {} is not what was written; "
                                      "the card or its reader is faulty: use another",
                                      stretch.begin, stretch.end));
    }
    return {};
  }

  ImageReader& image_;
  int fd_;
  const FlashOptions& options_;
  std::vector<std::byte> piece_, head_;
  std::size_t head_used_ = 0;
  std::uint64_t position_ = 0;  ///< of the next byte that the image gives
  std::uint64_t written_bytes_ = 0, unsynced_bytes_ = 0;
  std::vector<Stretch> stretches_;
};

}  // namespace

Result<FlashResult> write_image(ImageReader& image, int fd, const FlashOptions& options) {
  return Writer(image, fd, options).run();
}

}  // namespace wayside::fleet
