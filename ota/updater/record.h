// SPDX-License-Identifier: Apache-2.0
// A small JSON file that is replaced whole and knows when its bytes are not what was written.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "base/storage.h"
#include "ota/package/refusal.h"

namespace wayside::ota {

inline constexpr std::size_t kMaxRecordFileBytes = 64 * 1024;

/// "<sha256 of the text>\n<canonical text>\n" by write, fsync, rename, fsync of the folder.
[[nodiscard]] base::Result<void> write_record(base::Storage& storage, const std::filesystem::path& path,
                                              const nlohmann::json& json);
/// Errors: not_found; corrupt when any byte changed; io.
[[nodiscard]] base::Result<nlohmann::json> read_record(base::Storage& storage, const std::filesystem::path& path);

}  // namespace wayside::ota
