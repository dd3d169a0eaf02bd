// SPDX-License-Identifier: Apache-2.0
// What the device's and the operator's half of enrolment both ask of OpenSSL: owners, PEM, names, the one kind of key.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wayside::ota::x509 {

/// Larger text is no PEM file of ours.
inline constexpr std::size_t kMaxPemBytes = 16 * 1024;

template <auto Function>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Function(object);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Request = std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>>;

/// Code::io: `what`, then OpenSSL's oldest reason, whose queue is emptied.
[[nodiscard]] std::unexpected<base::Error> fail_ssl(std::string_view what);

/// Reads `pem`, which must outlive it.
[[nodiscard]] Bio reader(std::string_view pem);
/// What `bio`, which must be in memory, was written.
[[nodiscard]] std::string contents(BIO* bio);
/// `write`: int(BIO*), 1 where it succeeded.
template <class Write>
base::Result<std::string> to_pem(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return fail_ssl("cannot write PEM");
  return contents(bio.get());
}
/// PKCS #8, not encrypted.
[[nodiscard]] base::Result<std::string> key_pem(EVP_PKEY* key);

/// A new P-256 key.
[[nodiscard]] base::Result<Key> make_key();
/// P-256 only: the curve that is named, not explicit parameters.
[[nodiscard]] bool is_p256(EVP_PKEY* key);

/// The one common name; empty when there is another number of entries.
[[nodiscard]] std::string only_name(X509_NAME* name);
[[nodiscard]] bool set_name(X509_NAME* name, std::string_view common_name);

}  // namespace wayside::ota::x509
