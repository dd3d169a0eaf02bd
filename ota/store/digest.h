// SPDX-License-Identifier: Apache-2.0
// Digest: a SHA-256 value, the only name that anything in a package or in the store has; Sha256 computes it piecewise.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_md_ctx_st;

namespace wayside::ota {

inline constexpr std::size_t kDigestBytes = 32;

struct Digest {
  std::array<std::byte, kDigestBytes> bytes{};

  /// Exactly 64 lower-case hexadecimal digits; everything else is invalid_argument. So a digest's text can be a file
  /// name.
  static base::Result<Digest> parse(std::string_view hex);
  [[nodiscard]] std::string hex() const;
  auto operator<=>(const Digest&) const = default;
};

/// FIPS 180-4 over bytes that come in pieces. Not thread-safe; movable.
class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  /// The digest of everything so far; afterwards only destruction is legal. Errors: io when the library failed (no
  /// memory).
  [[nodiscard]] base::Result<Digest> finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
  bool good_ = false;
};

[[nodiscard]] base::Result<Digest> sha256_of(std::span<const std::byte> bytes);

}  // namespace wayside::ota
