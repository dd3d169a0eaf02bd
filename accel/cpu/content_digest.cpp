// SPDX-License-Identifier: Apache-2.0
// Eight independent multiplications a step keep a core's multiplier busy.
#include "accel/cpu/content_digest.h"

#include <bit>
#include <cstring>

namespace wayside::accel::cpu {
namespace {

/// 2^64 divided by the golden ratio, made odd, and another odd number with as mixed bits.
constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15, kOtherFactor = 0xC2B2AE3D27D4EB4F;

std::uint64_t mixed(std::uint64_t state, std::uint64_t word, std::uint64_t factor) {
  return std::rotl((state ^ word) * factor, 29);
}

}  // namespace

void ContentHasher::add_block(const std::byte* block) {
  std::array<std::uint64_t, kLanes> words{};
  std::memcpy(words.data(), block, kBlockBytes);
  for (std::size_t i = 0; i < kLanes; ++i) lanes_[i] = mixed(lanes_[i], words[i], kFactor);
}

void ContentHasher::update(std::span<const std::byte> bytes) {
  byte_count_ += bytes.size();
  std::size_t at = 0;
  for (; at + kBlockBytes <= bytes.size(); at += kBlockBytes) add_block(bytes.data() + at);
  if (at == bytes.size()) return;
  std::array<std::byte, kBlockBytes> last{};
  std::memcpy(last.data(), bytes.data() + at, bytes.size() - at);
  add_block(last.data());
}

ContentDigest ContentHasher::digest() const {
  ContentDigest digest{byte_count_, ~byte_count_};
  for (int round = 0; round < 2; ++round) {
    for (const std::uint64_t lane : lanes_) {
      digest[0] = mixed(digest[0], lane, kFactor);
      digest[1] = mixed(digest[1], std::rotl(lane, 32), kOtherFactor);
    }
  }
  return digest;
}

}  // namespace wayside::accel::cpu
