// SPDX-License-Identifier: Apache-2.0
// SHA-256 over OpenSSL's EVP interface; the only file of the agent that includes it.
#include "agent/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <format>

#include "base/mapped_file.h"

namespace wayside::agent {

base::Result<std::string> sha256_of(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    return base::fail(base::Code::io, "OpenSSL cannot compute SHA-256");
  }
  std::string hex;
  for (unsigned int index = 0; index < length; ++index) hex += std::format("{:02x}", digest[index]);
  return hex;
}

base::Result<std::string> sha256_of_file(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto file, base::MappedFile::open(path));
  return sha256_of(file.bytes());
}

}  // namespace wayside::agent
