// SPDX-License-Identifier: Apache-2.0
// Ed25519 keys (RFC 8032) as PEM files (PKCS#8, SubjectPublicKeyInfo), and their ids.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ota/store/digest.h"

struct evp_pkey_st;

namespace wayside::ota {

inline constexpr std::size_t kPublicKeyBytes = 32;
inline constexpr std::size_t kSignatureBytes = 64;
using Signature = std::array<std::byte, kSignatureBytes>;

struct PublicKey {
  std::array<std::byte, kPublicKeyBytes> bytes{};
  /// SHA-256 of the 32 bytes: names the key everywhere.
  [[nodiscard]] Digest id() const;
  /// False for a wrong signature, a malformed key, and when the library fails.
  [[nodiscard]] bool verify(std::span<const std::byte> message, const Signature& signature) const;
  [[nodiscard]] std::string pem() const;
  /// Errors: corrupt unless it is one Ed25519 public key.
  static base::Result<PublicKey> from_pem(std::string_view pem);
  auto operator<=>(const PublicKey&) const = default;
};

/// Sole owner of a private key in memory; the library wipes it on destruction.
class SecretKey {
 public:
  static base::Result<SecretKey> generate();
  /// Errors: corrupt unless it is one unencrypted Ed25519 private key in PKCS#8 PEM.
  static base::Result<SecretKey> from_pem(std::string_view pem);
  [[nodiscard]] base::Result<std::string> pem() const;
  [[nodiscard]] base::Result<PublicKey> public_key() const;
  [[nodiscard]] base::Result<Signature> sign(std::span<const std::byte> message) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  explicit SecretKey(evp_pkey_st* key) : key_(key) {}
  std::unique_ptr<evp_pkey_st, Free> key_;
};

/// Lower-case hex of any bytes, and back (exact length, lower case only).
[[nodiscard]] std::string to_hex(std::span<const std::byte> bytes);
[[nodiscard]] bool from_hex(std::string_view hex, std::span<std::byte> out);

}  // namespace wayside::ota
