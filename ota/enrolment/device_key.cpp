// SPDX-License-Identifier: Apache-2.0
// DeviceKey over OpenSSL.
#include "ota/enrolment/device_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <format>

#include "base/mqtt/message.h"
#include "ota/enrolment/x509.h"

namespace wayside::ota {
namespace {

using base::Code;
using base::fail;
using base::Result;
using x509::Certificate;
using x509::fail_ssl;
using x509::kMaxPemBytes;
using x509::only_name;
using x509::reader;
using x509::Request;

Certificate parse_certificate(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return nullptr;
  Certificate certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return certificate;
}

}  // namespace

void DeviceKey::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Result<DeviceKey> DeviceKey::generate() {
  WAYSIDE_TRY(auto key, x509::make_key());
  return DeviceKey(key.release());
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
  const bool usable = key.key_ && x509::is_p256(key.key_.get());
  ERR_clear_error();
  if (!usable)
    return fail(Code::corrupt, std::format("{}: no P-256 key; a factory reset makes a new one", name.string()));
  return key;
}

Result<std::string> DeviceKey::pem() const { return x509::key_pem(key_.get()); }

Result<std::string> DeviceKey::request(std::string_view common_name) const {
  WAYSIDE_CHECK(base::mqtt::check_topic_level("device id", common_name));
  const Request request(X509_REQ_new());
  if (!request || !x509::set_name(X509_REQ_get_subject_name(request.get()), common_name) ||
      X509_REQ_set_pubkey(request.get(), key_.get()) != 1 ||
      X509_REQ_sign(request.get(), key_.get(), EVP_sha256()) == 0)
    return fail_ssl("cannot make a certificate request");
  return x509::to_pem([&](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); });
}

bool DeviceKey::has_certificate(std::string_view certificate_pem, std::string_view common_name) const {
  const auto certificate = parse_certificate(certificate_pem);
  const bool fits = certificate && X509_check_private_key(certificate.get(), key_.get()) == 1 &&
                    only_name(X509_get_subject_name(certificate.get())) == common_name;
  ERR_clear_error();
  return fits;
}

Result<std::string> certificate_name(std::string_view certificate_pem) {
  const auto certificate = parse_certificate(certificate_pem);
  auto name = certificate ? only_name(X509_get_subject_name(certificate.get())) : std::string();
  if (name.empty()) return fail(Code::corrupt, "not a PEM certificate with one common name");
  return name;
}

}  // namespace wayside::ota
