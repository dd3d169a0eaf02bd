// SPDX-License-Identifier: Apache-2.0
// Writing packages.
#include <algorithm>
#include <array>
#include <format>

#include "ota/package/container.h"

namespace wayside::ota {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;

void put_little_endian(std::string& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xffU);
}

}  // namespace

base::Result<void> write_container(base::Storage& storage, const std::filesystem::path& path, std::string_view manifest,
                                   std::string_view signatures, const std::map<Digest, std::uint64_t>& files,
                                   const BlobReader& read) {
  std::uint64_t total = kPackageHeaderBytes + manifest.size() + signatures.size() + files.size() * kPackageEntryBytes;
  for (const auto& [digest, size_bytes] : files) total += size_bytes;
  std::string head(kPackageMagic);
  put_little_endian(head, kPackageFormat, 4);
  put_little_endian(head, manifest.size(), 4);
  put_little_endian(head, signatures.size(), 4);
  put_little_endian(head, files.size(), 4);
  put_little_endian(head, total, 8);
  put_little_endian(head, 0, 8);
  head += manifest;
  head += signatures;
  for (const auto& [digest, size_bytes] : files) {
    head.append(reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size());
    put_little_endian(head, size_bytes, 8);
  }
  std::filesystem::path fresh = path;
  fresh += ".new";
  WAYSIDE_CHECK(storage.write(fresh, std::as_bytes(std::span(head))));
  std::uint64_t written = head.size();
  for (const auto& [digest, size_bytes] : files) {
    WAYSIDE_CHECK(read(digest, [&](std::span<const std::byte> piece) {
      written += piece.size();
      return storage.append(fresh, piece);
    }));
  }
  if (written != total) {
    return base::fail(base::Code::corrupt,
                      std::format("{}: a file changed while it was packed; run again", path.string()));
  }
  WAYSIDE_CHECK(storage.sync_file(fresh));
  WAYSIDE_CHECK(storage.rename(fresh, path));
  return storage.sync_directory(path.parent_path());
}

BlobReader reader_of(base::Storage& storage, std::filesystem::path path, const ContainerHead& head) {
  return [&storage, path = std::move(path), &head](const Digest& digest, const BlobSink& sink) -> base::Result<void> {
    const auto entry = std::ranges::find_if(head.entries, [&](const auto& each) { return each.blob.digest == digest; });
    if (entry == head.entries.end()) return base::fail(base::Code::not_found, "file " + digest.hex() + " is not there");
    std::vector<std::byte> buffer(kPieceBytes);
    for (std::uint64_t done = 0; done < entry->blob.size_bytes;) {
      const auto count = std::min<std::uint64_t>(kPieceBytes, entry->blob.size_bytes - done);
      const auto piece = std::span(buffer).first(static_cast<std::size_t>(count));
      WAYSIDE_CHECK(storage.read_at(path, entry->offset + done, piece));
      WAYSIDE_CHECK(sink(piece));
      done += count;
    }
    return {};
  };
}

}  // namespace wayside::ota
