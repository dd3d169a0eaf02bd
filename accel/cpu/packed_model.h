// SPDX-License-Identifier: Apache-2.0
// PackedModel: what loading a model computed, in one mapped file: packed weights, forms of sums, tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "accel/cpu/content_digest.h"
#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/packed_node.h"
#include "base/mapped_file.h"
#include "base/result.h"
#include "base/storage.h"

namespace wayside::accel::cpu {

/// What packed weights were made from and for. The engine's part is in the file's header: a digest of the sources that
/// decide the layout, so that another build never reads it.
struct PackedKey {
  ContentDigest model{};
  std::uint64_t model_bytes = 0;
  Level level = Level::reference;
  bool operator==(const PackedKey&) const = default;
};

class PackedModel {
 public:
  /// Maps a file and checks its header and table: magic, layout of this build, sizes, every section inside the file and
  /// aligned. Errors: not_found, corrupt, unsupported (another build's).
  static base::Result<std::unique_ptr<PackedModel>> open(const std::filesystem::path& path);

  [[nodiscard]] const PackedKey& key() const { return key_; }
  [[nodiscard]] const base::MappedFile& file() const { return file_; }
  /// Reads the whole file; false: it was damaged.
  [[nodiscard]] bool contents_are_whole() const;
  /// Nothing where the operator is not in the file. It borrows from this object.
  [[nodiscard]] std::optional<PackedNode> find(std::size_t node_index) const;

 private:
  explicit PackedModel(base::MappedFile file) : file_(std::move(file)) {}
  base::Result<void> read();
  /// Row `number` of the table, checked: the file may change while it is mapped.
  [[nodiscard]] std::optional<PackedNode> node_at(std::size_t number) const;
  base::MappedFile file_;
  PackedKey key_;
  ContentDigest body_{};
  std::size_t node_count_ = 0;
};

/// `nodes` in the order of their indices. Neither atomic nor durable: see packed_cache.h, which renames the file and
/// reads it once before it serves after a start of the machine, so that flash memory is spared the waiting.
base::Result<void> write_packed_model(base::Storage& storage, const std::string& name, const PackedKey& key,
                                      std::span<const PackedNode> nodes);

}  // namespace wayside::accel::cpu
