// SPDX-License-Identifier: Apache-2.0
// DeviceKey over OpenSSL.
#include "ota/enrolment/device_key.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <format>

#include "base/mqtt/message.h"

namespace wayside::ota {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::size_t kMaxPemBytes = 16 * 1024;

template <auto Function>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Function(object);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Request = std::unique_ptr<X509_REQ, FreeWith<X509_REQ_free>>;

std::unexpected<base::Error> fail_ssl(std::string_view what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return fail(Code::io, std::format("{}: {}", what, text.data()));
}

Bio reader(std::string_view pem) { return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

template <class Write>
Result<std::string> to_pem(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return fail_ssl("cannot write PEM");
  char* bytes = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &bytes);
  return std::string(bytes, static_cast<std::size_t>(length));
}

Certificate parse_certificate(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return nullptr;
  Certificate certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}

/// Empty when there is another number of names.
std::string only_name(X509* certificate) {
  X509_NAME* name = X509_get_subject_name(certificate);
  if (X509_NAME_entry_count(name) != 1) return {};
  X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, 0);
  if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) return {};
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(entry);
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

}  // namespace

void DeviceKey::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Result<DeviceKey> DeviceKey::generate() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  if (key == nullptr) return fail_ssl("cannot make a key");
  return DeviceKey(key);
}

Result<DeviceKey> DeviceKey::open_or_create(base::Storage& storage, const std::filesystem::path& name) {
  const auto bytes = storage.read(name, kMaxPemBytes);
  if (!bytes && bytes.error().code != Code::not_found) return std::unexpected(bytes.error());
  if (!bytes) {
    WAYSIDE_TRY(auto made, generate());
    WAYSIDE_TRY(const auto text, made.pem());
    WAYSIDE_CHECK(base::replace_file(storage, name, std::as_bytes(std::span(text))));
    return made;
  }
  const std::string_view pem(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  DeviceKey key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, nullptr, nullptr));
  std::array<char, 32> group{};
  std::size_t length = 0;
  const bool usable = key.key_ && EVP_PKEY_is_a(key.key_.get(), "EC") == 1 &&
                      EVP_PKEY_get_group_name(key.key_.get(), group.data(), group.size(), &length) == 1 &&
                      std::string_view(group.data(), length) == "prime256v1";
  ERR_clear_error();
  if (!usable)
    return fail(Code::corrupt, std::format("{}: no P-256 key; a factory reset makes a new one", name.string()));
  return key;
}

Result<std::string> DeviceKey::pem() const {
  return to_pem([this](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

Result<std::string> DeviceKey::request(std::string_view common_name) const {
  WAYSIDE_CHECK(base::mqtt::check_topic_level("device id", common_name));
  const Request request(X509_REQ_new());
  const auto* name = reinterpret_cast<const unsigned char*>(common_name.data());
  if (!request ||
      X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request.get()), NID_commonName, MBSTRING_UTF8, name,
                                 static_cast<int>(common_name.size()), -1, 0) != 1 ||
      X509_REQ_set_pubkey(request.get(), key_.get()) != 1 ||
      X509_REQ_sign(request.get(), key_.get(), EVP_sha256()) == 0)
    return fail_ssl("cannot make a certificate request");
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); });
}

bool DeviceKey::has_certificate(std::string_view certificate_pem, std::string_view common_name) const {
  const auto certificate = parse_certificate(certificate_pem);
  const bool fits = certificate && X509_check_private_key(certificate.get(), key_.get()) == 1 &&
                    only_name(certificate.get()) == common_name;
  ERR_clear_error();
  return fits;
}

Result<std::string> certificate_name(std::string_view certificate_pem) {
  const auto certificate = parse_certificate(certificate_pem);
  auto name = certificate ? only_name(certificate.get()) : std::string();
  if (name.empty()) return fail(Code::corrupt, "not a PEM certificate with one common name");
  return name;
}

}  // namespace wayside::ota
