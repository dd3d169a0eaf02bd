// SPDX-License-Identifier: Apache-2.0
// PackedModel: a model's packed convolutions in one mapped file, so that loading neither reads nor packs weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "accel/cpu/content_digest.h"
#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/kernels/packed_conv.h"
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

/// One operator's.
struct PackedNode {
  std::uint32_t index = 0;  ///< of the operator in the model file
  PackedConv conv;
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
  /// Null where the operator is not in the file. Valid as long as this object.
  [[nodiscard]] const PackedConv* find(std::size_t node_index) const;

 private:
  explicit PackedModel(base::MappedFile file) : file_(std::move(file)) {}
  base::Result<void> read();
  base::MappedFile file_;
  PackedKey key_;
  ContentDigest body_{};
  std::vector<PackedNode> nodes_;  ///< by index
};

/// `nodes` in the order of their indices. Neither atomic nor durable: see packed_cache.h, which renames the file and
/// reads it once before it serves after a start of the machine, so that flash memory is spared the waiting.
base::Result<void> write_packed_model(base::Storage& storage, const std::string& name, const PackedKey& key,
                                      std::span<const PackedNode> nodes);

}  // namespace wayside::accel::cpu
