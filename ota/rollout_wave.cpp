// SPDX-License-Identifier: Apache-2.0
// The first 32 bits of SHA-256 of device, roll-out and salt.
#include "ota/rollout_wave.h"

#include <openssl/evp.h>

#include <array>
#include <cassert>
#include <string>

namespace wayside::ota {

std::uint32_t rollout_position(std::string_view device_id, std::string_view rollout_id, std::string_view salt) {
  std::string text;
  text.reserve(device_id.size() + rollout_id.size() + salt.size() + 2);
  text.append(device_id).push_back('\0');
  text.append(rollout_id).push_back('\0');
  text.append(salt);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  [[maybe_unused]] const int done = EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  assert(done == 1);  // fails only without memory
  std::uint32_t first = 0;
  for (std::size_t i = 0; i < 4; ++i) first = first << 8U | digest[i];
  return first;
}

std::optional<std::size_t> wave_of(std::uint32_t position, std::span<const std::uint64_t> bounds) {
  for (std::size_t wave = 0; wave < bounds.size(); ++wave) {
    if (position < bounds[wave]) return wave;
  }
  return std::nullopt;
}

}  // namespace wayside::ota
