// SPDX-License-Identifier: Apache-2.0
// Ed25519 by OpenSSL 3.
#include "ota/package/keys.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

namespace wayside::ota {
namespace {

struct FreeAll {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
template <class T>
using Owned = std::unique_ptr<T, FreeAll>;

constexpr std::string_view kHexDigits = "0123456789abcdef";

const unsigned char* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Owned<BIO> reader_of(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return length > 0 ? std::string(data, static_cast<std::size_t>(length)) : std::string{};
}

/// Never asks at the terminal: an encrypted key is refused.
int no_password(char*, int, int, void*) { return -1; }

}  // namespace

std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) {
    text += kHexDigits[std::to_integer<unsigned>(byte) >> 4U];
    text += kHexDigits[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

bool from_hex(std::string_view hex, std::span<std::byte> out) {
  if (hex.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = kHexDigits.find(hex[2 * i]);
    const auto low = kHexDigits.find(hex[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    out[i] = static_cast<std::byte>((high << 4U) | low);
  }
  return true;
}

Digest PublicKey::id() const { return sha256_of(bytes).value_or(Digest{}); }

bool PublicKey::verify(std::span<const std::byte> message, const Signature& signature) const {
  const Owned<EVP_PKEY> key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(bytes), kPublicKeyBytes));
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  return key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message), message.size()) == 1;
}

std::string PublicKey::pem() const {
  const Owned<EVP_PKEY> key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(bytes), kPublicKeyBytes));
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!key || !bio || PEM_write_bio_PUBKEY(bio.get(), key.get()) != 1) return {};
  return text_of(bio.get());
}

base::Result<PublicKey> PublicKey::from_pem(std::string_view pem) {
  const auto bio = reader_of(pem);
  const Owned<EVP_PKEY> key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_password, nullptr) : nullptr);
  PublicKey result;
  std::size_t length = kPublicKeyBytes;
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(result.bytes.data()), &length) != 1 ||
      length != kPublicKeyBytes) {
    return base::fail(base::Code::corrupt, "not an Ed25519 public key in PEM; make one with: wayside keys new");
  }
  return result;
}

void SecretKey::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

base::Result<SecretKey> SecretKey::generate() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (key == nullptr) return base::fail(base::Code::io, "the crypto library cannot make an Ed25519 key");
  return SecretKey(key);
}

base::Result<SecretKey> SecretKey::from_pem(std::string_view pem) {
  const auto bio = reader_of(pem);
  SecretKey key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr) : nullptr);
  if (!key.key_ || EVP_PKEY_get_id(key.key_.get()) != EVP_PKEY_ED25519) {
    return base::fail(base::Code::corrupt,
                      "not an unencrypted Ed25519 private key in PEM; make one with: wayside keys new");
  }
  return key;
}

base::Result<std::string> SecretKey::pem() const {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return base::fail(base::Code::io, "the crypto library cannot write the key");
  }
  return text_of(bio.get());
}

base::Result<PublicKey> SecretKey::public_key() const {
  PublicKey result;
  std::size_t length = kPublicKeyBytes;
  if (EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(result.bytes.data()), &length) != 1) {
    return base::fail(base::Code::io, "the crypto library cannot give the public key");
  }
  return result;
}

base::Result<Signature> SecretKey::sign(std::span<const std::byte> message) const {
  Signature signature;
  std::size_t length = signature.size();
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length, raw(message),
                     message.size()) != 1 ||
      length != signature.size()) {
    return base::fail(base::Code::io, "the crypto library cannot sign");
  }
  return signature;
}

}  // namespace wayside::ota
