// SPDX-License-Identifier: Apache-2.0
// Files that the signing commands share: keys, roots, packages; and how they tell what went wrong.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/storage.h"
#include "ota/package/container.h"
#include "ota/package/keys.h"
#include "ota/package/refusal.h"
#include "ota/package/root.h"

namespace wayside::fleet {

/// A whole text file of at most `max_bytes`.
ota::Checked<std::string> read_text(const std::filesystem::path& path,
                                    std::size_t max_bytes = 2 * ota::kMaxDocumentBytes);
/// Replaces a file whole. `secret`: readable by its owner only, and never over an existing file.
ota::Checked<void> write_text(const std::filesystem::path& path, const std::string& text, bool secret = false);
ota::Checked<ota::SecretKey> read_secret_key(const std::filesystem::path& path);
ota::Checked<ota::PublicKey> read_public_key(const std::filesystem::path& path);
/// Roots in order, the first one first.
ota::Checked<ota::Root> read_roots(const std::vector<std::string>& paths);

/// A file on disk as the storage seam sees it: its folder and its name.
struct PlacedFile {
  base::DiskStorage storage;
  std::filesystem::path name;
};
/// Errors (io) when the folder does not exist.
ota::Checked<PlacedFile> place(const std::filesystem::path& path);

std::int64_t now_unix_s();

/// Runs `work`; prints its JSON (with --json) or its lines, or "wayside: <code> <name>: <message>" and returns 1.
struct Report {
  nlohmann::json json;
  std::string text;
};
int report(bool as_json, const std::function<ota::Checked<Report>()>& work);

}  // namespace wayside::fleet
