// SPDX-License-Identifier: Apache-2.0
// Reading of images over libzstd's streaming decoder.
#include "fleet/flash/image_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <array>
#include <format>

namespace wayside::fleet {
namespace {

using base::Code;
using base::Result;

struct Magic {
  const char* name;
  std::size_t size;
  std::array<unsigned char, 6> bytes;
};
// First bytes of what people compress images with (RFC 8878 section 3.1.1 for zstd, file(1)'s magic for the others).
constexpr Magic kZstd{"zstd", 4, {0x28, 0xB5, 0x2F, 0xFD}};
constexpr std::array kForeign{Magic{"gzip", 2, {0x1F, 0x8B}}, Magic{"xz", 6, {0xFD, '7', 'z', 'X', 'Z', 0}},
                              Magic{"bzip2", 3, {'B', 'Z', 'h'}}, Magic{"zip", 4, {'P', 'K', 3, 4}}};

bool begins_with(std::span<const unsigned char> head, const Magic& magic) {
  return head.size() >= magic.size && std::equal(magic.bytes.begin(), magic.bytes.begin() + magic.size, head.begin());
}

}  // namespace

void ImageReader::Free::operator()(ZSTD_DCtx_s* decoder) const { ZSTD_freeDCtx(decoder); }

Result<ImageReader> ImageReader::open(const std::filesystem::path& path) {
  ImageReader reader;
  reader.path_ = path;
  reader.fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!reader.fd_.valid()) return base::fail_errno("open image " + path.string());
  struct stat status{};
  if (::fstat(reader.fd_.get(), &status) != 0) return base::fail_errno("open image " + path.string());
  if (!S_ISREG(status.st_mode)) return base::fail(Code::invalid_argument, path.string() + " is not an image file");
  reader.file_bytes_ = static_cast<std::uint64_t>(status.st_size);
  std::array<unsigned char, 6> head{};
  const auto got = ::pread(reader.fd_.get(), head.data(), head.size(), 0);
  if (got < 0) return base::fail_errno("read image " + path.string());
  const auto seen = std::span(head).first(static_cast<std::size_t>(got));
  for (const auto& magic : kForeign) {
    if (begins_with(seen, magic))
      return base::fail(Code::unsupported, std::format("{} is compressed with {}; only plain images and .zst can be "
                                                       "written: decompress it first",
                                                       path.string(), magic.name));
  }
  if (begins_with(seen, kZstd)) {
    reader.decoder_.reset(ZSTD_createDCtx());
    if (!reader.decoder_) return base::fail(Code::exhausted, "no memory for the zstd decoder");
    reader.input_.resize(ZSTD_DStreamInSize());
  }
  return reader;
}

Result<std::size_t> ImageReader::read_plain(std::span<std::byte> out) {
  std::size_t have = 0;
  while (have < out.size()) {
    const auto got = ::read(fd_.get(), out.data() + have, out.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail_errno("read image " + path_.string());
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  return have;
}

Result<void> ImageReader::refill() {
  WAYSIDE_TRY(input_end_, read_plain(input_));
  input_at_ = 0;
  return {};
}

Result<std::size_t> ImageReader::read(std::span<std::byte> out) {
  if (!decoder_) return read_plain(out);
  ZSTD_outBuffer target{out.data(), out.size(), 0};
  while (target.pos < target.size) {
    if (input_at_ == input_end_) {
      WAYSIDE_CHECK(refill());
      if (input_end_ == 0 && !frame_open_) break;
    }
    ZSTD_inBuffer source{input_.data(), input_end_, input_at_};
    const auto before = target.pos;
    const auto left = ZSTD_decompressStream(decoder_.get(), &target, &source);
    input_at_ = source.pos;
    if (ZSTD_isError(left) != 0)
      return base::fail(Code::corrupt,
                        std::format("{} is damaged ({}); download it again", path_.string(), ZSTD_getErrorName(left)));
    frame_open_ = left != 0;
    if (input_end_ == 0 && target.pos == before)
      return base::fail(Code::corrupt, path_.string() + " ends in the middle; download it again");
  }
  return target.pos;
}

}  // namespace wayside::fleet
