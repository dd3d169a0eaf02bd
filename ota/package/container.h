// SPDX-License-Identifier: Apache-2.0
// The package file: header, manifest, signatures, table, blobs; read with closed-world checks
// (docs/formats/package.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/storage.h"
#include "ota/package/manifest.h"
#include "ota/store/blob_store.h"

namespace wayside::ota {

inline constexpr std::string_view kPackageMagic = "WAYSIDEM";
inline constexpr std::uint32_t kPackageFormat = 1;
/// magic 8, format u32, manifest bytes u32, signatures bytes u32, files u32, total bytes u64, reserved u64;
/// little-endian.
inline constexpr std::size_t kPackageHeaderBytes = 40;
/// digest 32, size u64.
inline constexpr std::size_t kPackageEntryBytes = 40;

struct ContainerEntry {
  Blob blob;
  std::uint64_t offset = 0;
};

/// Everything but the blobs. Only the structure is checked: nothing in it is trusted yet.
struct ContainerHead {
  std::string manifest, signatures;
  std::vector<ContainerEntry> entries;  ///< rising digests
};

/// Refusals: truncated, trailing_bytes, bad_magic, unsupported_format, reserved_not_zero, *_too_large, too_many_files,
/// table_not_sorted (also for a digest that comes twice), io.
[[nodiscard]] Checked<ContainerHead> read_head(base::Storage& storage, const std::filesystem::path& path);
/// The files of the table are those of the manifest, with the same sizes: extra_file, missing_file, size_mismatch.
[[nodiscard]] Checked<void> check_table(const ContainerHead& head, const Manifest& manifest);
/// Reads and hashes every blob: hash_mismatch.
[[nodiscard]] Checked<void> check_contents(base::Storage& storage, const std::filesystem::path& path,
                                           const ContainerHead& head);
/// Copies the wanted blobs into the store. All are staged and hashed while they are written; only when all are right
/// the first one is published. Those that the store has are skipped. Refusals: no_space, hash_mismatch, io.
[[nodiscard]] Checked<void> import_contents(base::Storage& storage, const std::filesystem::path& path,
                                            const ContainerHead& head, const std::set<Digest>& wanted,
                                            BlobStore& store);

/// Appends the bytes of one blob to the package file by calling the sink as often as it likes.
using BlobSink = std::function<base::Result<void>(std::span<const std::byte>)>;
using BlobReader = std::function<base::Result<void>(const Digest&, const BlobSink&)>;
/// Writes "<path>.new", syncs it and renames it to `path`.
[[nodiscard]] base::Result<void> write_container(base::Storage& storage, const std::filesystem::path& path,
                                                 std::string_view manifest, std::string_view signatures,
                                                 const std::map<Digest, std::uint64_t>& files, const BlobReader& read);
/// Reads a blob of one package, for writing another.
[[nodiscard]] BlobReader reader_of(base::Storage& storage, std::filesystem::path path, const ContainerHead& head);

}  // namespace wayside::ota
