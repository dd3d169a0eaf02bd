// SPDX-License-Identifier: Apache-2.0
// SHA-256 by OpenSSL's EVP interface.
#include "ota/store/digest.h"

#include <openssl/evp.h>

namespace wayside::ota {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

base::Result<Digest> Digest::parse(std::string_view hex) {
  if (hex.size() != 2 * kDigestBytes) {
    return base::fail(base::Code::invalid_argument, "not a SHA-256: must be 64 lower-case hexadecimal digits");
  }
  Digest digest;
  for (std::size_t i = 0; i < kDigestBytes; ++i) {
    const auto high = kHexDigits.find(hex[2 * i]);
    const auto low = kHexDigits.find(hex[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) {
      return base::fail(base::Code::invalid_argument, "not a SHA-256: must be 64 lower-case hexadecimal digits");
    }
    digest.bytes[i] = static_cast<std::byte>((high << 4U) | low);
  }
  return digest;
}

std::string Digest::hex() const {
  std::string text;
  text.reserve(2 * kDigestBytes);
  for (const std::byte byte : bytes) {
    text += kHexDigits[std::to_integer<unsigned>(byte) >> 4U];
    text += kHexDigits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  good_ = context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
}

void Sha256::update(std::span<const std::byte> bytes) {
  good_ = good_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1;
}

base::Result<Digest> Sha256::finish() {
  Digest digest;
  unsigned length = 0;
  good_ = good_ &&
          EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.bytes.data()), &length) == 1 &&
          length == kDigestBytes;
  if (!good_) return base::fail(base::Code::io, "sha256: the crypto library failed");
  good_ = false;
  return digest;
}

base::Result<Digest> sha256_of(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace wayside::ota
