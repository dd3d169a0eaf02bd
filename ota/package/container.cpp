// SPDX-License-Identifier: Apache-2.0
// Reading packages: bounds before allocation, hashes before publication.
#include "ota/package/container.h"

#include <algorithm>
#include <array>
#include <format>

#include "ota/package/signatures.h"

namespace wayside::ota {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;

std::uint64_t little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) value = (value << 8U) | std::to_integer<std::uint64_t>(bytes[i - 1]);
  return value;
}

/// Reads a package front to back; what lies beyond its end is `truncated`.
class Cursor {
 public:
  Cursor(base::Storage& storage, const std::filesystem::path& path, std::uint64_t end)
      : storage_(storage), path_(path), end_(end) {}

  [[nodiscard]] std::uint64_t position() const { return at_; }
  Checked<void> read(std::span<std::byte> out) {
    if (out.size() > end_ - at_) return refuse(Refusal::truncated, "the package ends too early; copy it again");
    WAYSIDE_CHECK_IO(storage_.read_at(path_, at_, out));
    at_ += out.size();
    return {};
  }
  Checked<std::string> text(std::uint64_t bytes) {
    std::string text(static_cast<std::size_t>(std::min(bytes, end_ - at_)), '\0');
    if (bytes != text.size()) return refuse(Refusal::truncated, "the package ends too early; copy it again");
    auto done = read(std::as_writable_bytes(std::span(text)));
    if (!done) return std::unexpected(done.error());
    return text;
  }
  Checked<void> skip(std::uint64_t bytes) {
    if (bytes > end_ - at_) return refuse(Refusal::truncated, "the package ends too early; copy it again");
    at_ += bytes;
    return {};
  }

 private:
  base::Storage& storage_;
  const std::filesystem::path& path_;
  std::uint64_t end_;
  std::uint64_t at_ = 0;
};

struct Header {
  std::uint64_t manifest_bytes = 0, signatures_bytes = 0, files = 0, total_bytes = 0;
};

Checked<Header> read_header(Cursor& cursor, std::uint64_t file_bytes) {
  std::array<std::byte, kPackageHeaderBytes> raw{};
  if (auto done = cursor.read(raw); !done) return std::unexpected(done.error());
  const auto field = [&](std::size_t at, std::size_t bytes) {
    return little_endian(std::span(raw).subspan(at, bytes));
  };
  if (!std::ranges::equal(std::span(raw).first(kPackageMagic.size()), std::as_bytes(std::span(kPackageMagic)))) {
    return refuse(Refusal::bad_magic, "not a Wayside model package");
  }
  if (field(8, 4) != kPackageFormat) {
    return refuse(Refusal::unsupported_format,
                  std::format("package format {}; this program reads {}", field(8, 4), kPackageFormat));
  }
  if (field(32, 8) != 0) return refuse(Refusal::reserved_not_zero, "reserved bytes of the header are in use");
  const Header header{field(12, 4), field(16, 4), field(20, 4), field(24, 8)};
  if (header.manifest_bytes > kMaxManifestBytes) {
    return refuse(Refusal::manifest_too_large, std::format("the manifest exceeds {} bytes", kMaxManifestBytes));
  }
  if (header.signatures_bytes > kMaxSignaturesBytes) {
    return refuse(Refusal::signatures_too_large, std::format("the signatures exceed {} bytes", kMaxSignaturesBytes));
  }
  if (header.files > kMaxFiles) return refuse(Refusal::too_many_files, std::format("more than {} files", kMaxFiles));
  if (header.total_bytes > kMaxPackageBytes + kMaxManifestBytes + kMaxSignaturesBytes) {
    return refuse(Refusal::package_too_large, "the package claims to be larger than any may be");
  }
  if (header.total_bytes > file_bytes) return refuse(Refusal::truncated, "the package ends too early; copy it again");
  if (header.total_bytes < file_bytes) return refuse(Refusal::trailing_bytes, "bytes follow the end of the package");
  return header;
}

/// Hashes one entry and gives each piece to `take`.
template <class Take>
Checked<void> read_entry(base::Storage& storage, const std::filesystem::path& path, const ContainerEntry& entry,
                         Take take) {
  Sha256 hash;
  std::vector<std::byte> buffer(kPieceBytes);
  for (std::uint64_t done = 0; done < entry.blob.size_bytes;) {
    const auto count = std::min<std::uint64_t>(kPieceBytes, entry.blob.size_bytes - done);
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(count));
    WAYSIDE_CHECK_IO(storage.read_at(path, entry.offset + done, piece));
    hash.update(piece);
    WAYSIDE_CHECK_IO(take(std::span<const std::byte>(piece)));
    done += count;
  }
  WAYSIDE_TRY_IO(const Digest digest, hash.finish());
  if (digest != entry.blob.digest) {
    return refuse(Refusal::hash_mismatch, std::format("file {} has other contents", entry.blob.digest.hex()));
  }
  return {};
}

}  // namespace

Checked<ContainerHead> read_head(base::Storage& storage, const std::filesystem::path& path) {
  WAYSIDE_TRY_IO(const auto file_bytes, storage.file_bytes(path));
  Cursor cursor(storage, path, file_bytes);
  const auto header = read_header(cursor, file_bytes);
  if (!header) return std::unexpected(header.error());
  ContainerHead head;
  auto manifest = cursor.text(header->manifest_bytes);
  if (!manifest) return std::unexpected(manifest.error());
  auto signatures = cursor.text(header->signatures_bytes);
  if (!signatures) return std::unexpected(signatures.error());
  head.manifest = std::move(*manifest);
  head.signatures = std::move(*signatures);
  for (std::uint64_t i = 0; i < header->files; ++i) {
    std::array<std::byte, kPackageEntryBytes> raw{};
    if (auto done = cursor.read(raw); !done) return std::unexpected(done.error());
    ContainerEntry entry;
    std::ranges::copy(std::span(raw).first<kDigestBytes>(), entry.blob.digest.bytes.begin());
    entry.blob.size_bytes = little_endian(std::span(raw).subspan<kDigestBytes>());
    if (!head.entries.empty() && !(head.entries.back().blob.digest < entry.blob.digest)) {
      return refuse(Refusal::table_not_sorted, "the table of files is not sorted, or has a file twice");
    }
    head.entries.push_back(entry);
  }
  for (auto& entry : head.entries) {
    entry.offset = cursor.position();
    if (auto done = cursor.skip(entry.blob.size_bytes); !done) return std::unexpected(done.error());
  }
  if (cursor.position() != file_bytes) return refuse(Refusal::trailing_bytes, "bytes follow the last file");
  return head;
}

Checked<void> check_table(const ContainerHead& head, const Manifest& manifest) {
  for (const auto& entry : head.entries) {
    const auto listed = manifest.files.find(entry.blob.digest);
    if (listed == manifest.files.end()) {
      return refuse(Refusal::extra_file, std::format("file {} is not in the manifest", entry.blob.digest.hex()));
    }
    if (listed->second != entry.blob.size_bytes) {
      return refuse(Refusal::size_mismatch,
                    std::format("file {} has {} bytes, the manifest says {}", entry.blob.digest.hex(),
                                entry.blob.size_bytes, listed->second));
    }
  }
  for (const auto& [digest, size_bytes] : manifest.files) {
    const bool present =
        std::ranges::any_of(head.entries, [&](const auto& entry) { return entry.blob.digest == digest; });
    if (!present) {
      return refuse(Refusal::missing_file, std::format("file {} of the manifest is missing", digest.hex()));
    }
  }
  return {};
}

Checked<void> check_contents(base::Storage& storage, const std::filesystem::path& path, const ContainerHead& head) {
  for (const auto& entry : head.entries) {
    const auto done = read_entry(storage, path, entry, [](auto) -> base::Result<void> { return {}; });
    if (!done) return done;
  }
  return {};
}

Checked<void> import_contents(base::Storage& storage, const std::filesystem::path& path, const ContainerHead& head,
                              const std::set<Digest>& wanted, BlobStore& store) {
  std::uint64_t new_bytes = 0;
  std::vector<const ContainerEntry*> missing;
  for (const auto& entry : head.entries) {
    if (!wanted.contains(entry.blob.digest) || store.has(entry.blob.digest)) continue;
    new_bytes += entry.blob.size_bytes;
    missing.push_back(&entry);
  }
  if (const auto room = store.check_room(new_bytes); !room) return refuse(Refusal::no_space, room.error().message);
  std::vector<StagingWriter> writers;
  for (const ContainerEntry* entry : missing) {
    WAYSIDE_TRY_IO(auto writer, store.stage(entry->blob));
    const auto done = read_entry(storage, path, *entry, [&](auto piece) { return writer.append(piece); });
    if (!done) return done;
    writers.push_back(std::move(writer));
  }
  for (auto& writer : writers) WAYSIDE_CHECK_IO(writer.commit());
  return {};
}

}  // namespace wayside::ota
