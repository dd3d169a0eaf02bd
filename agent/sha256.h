// SPDX-License-Identifier: Apache-2.0
// SHA-256 of files, as lower-case hex.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"

namespace wayside::agent {

/// FIPS 180-4. Errors: io when the library fails.
[[nodiscard]] base::Result<std::string> sha256_of(std::span<const std::byte> bytes);
/// Errors: those of base::MappedFile::open.
[[nodiscard]] base::Result<std::string> sha256_of_file(const std::filesystem::path& path);

}  // namespace wayside::agent
