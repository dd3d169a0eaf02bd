// SPDX-License-Identifier: Apache-2.0
// X.509 over OpenSSL.
#include "fleet/identity/authority.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <format>
#include <fstream>
#include <iterator>

#include "base/mqtt/message.h"
#include "base/unique_fd.h"
#include "ota/enrolment/x509.h"

namespace wayside::fleet {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ota::x509::Bio;
using ota::x509::Certificate;
using ota::x509::fail_ssl;
using ota::x509::is_p256;
using ota::x509::Key;
using ota::x509::key_pem;
using ota::x509::kMaxPemBytes;
using ota::x509::make_key;
using ota::x509::only_name;
using ota::x509::reader;
using ota::x509::Request;
using ota::x509::set_name;
using ota::x509::to_pem;

constexpr mode_t kSecret = 0600, kPublic = 0644;

using Extension = std::unique_ptr<X509_EXTENSION, ota::x509::FreeWith<X509_EXTENSION_free>>;

Result<std::string> certificate_pem_of(X509* certificate) {
  return to_pem([certificate](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

Result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::fail_errno(path.string(), ENOENT);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.size() > kMaxPemBytes) return fail(Code::exhausted, path.string() + ": too large for a PEM file");
  return text;
}

Result<void> write_file(const std::filesystem::path& path, const std::string& text, mode_t mode) {
  const base::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd.valid()) return base::fail_errno(path.string());
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::fsync(fd.get()) != 0)
    return base::fail_errno(path.string());
  return {};
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// Version, a random serial number of 127 bits, and the time.
bool set_frame(X509* certificate, int days) {
  std::array<unsigned char, 16> random{};
  if (RAND_bytes(random.data(), random.size()) != 1) return false;
  random[0] &= 0x7FU;
  const std::unique_ptr<BIGNUM, ota::x509::FreeWith<BN_free>> number(BN_bin2bn(random.data(), random.size(), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
         X509_set_version(certificate, X509_VERSION_3) == 1 &&
         ASN1_TIME_set_string(X509_getm_notBefore(certificate), "700101000000Z") == 1 &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, nullptr) != nullptr;
}

bool set_purpose(X509* certificate, X509* issuer, Purpose purpose, const std::vector<std::string>& alternative_names) {
  std::string names;
  for (const auto& name : alternative_names) names += (names.empty() ? "" : ",") + name;
  return add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
         add_extension(certificate, issuer, NID_ext_key_usage,
                       purpose == Purpose::broker ? "serverAuth" : "clientAuth") &&
         (names.empty() || add_extension(certificate, issuer, NID_subject_alt_name, names));
}

}  // namespace

void Authority::FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }
void Authority::FreeCertificate::operator()(x509_st* certificate) const { X509_free(certificate); }

Result<std::string> fingerprint(std::string_view certificate_pem) {
  if (certificate_pem.size() > kMaxPemBytes) return fail(Code::exhausted, "certificate is larger than 16 KiB");
  const Bio bio = reader(certificate_pem);
  const Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (!certificate || X509_digest(certificate.get(), EVP_sha256(), digest.data(), &length) != 1) {
    ERR_clear_error();
    return fail(Code::corrupt, "not a PEM certificate");
  }
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += std::format("{:02x}", digest[i]);
  return hex;
}

Result<Authority> Authority::open(const std::filesystem::path& folder) {
  auto key_text = read_file(folder / "ca.key");
  auto pem = read_file(folder / "ca.crt");
  if (!key_text || !pem)
    return fail(Code::not_found, std::format("no certificate authority in {}; make one: wayside fleet authority {}",
                                             folder.string(), folder.string()));
  Authority authority;
  authority.key_.reset(PEM_read_bio_PrivateKey(reader(*key_text).get(), nullptr, nullptr, nullptr));
  authority.certificate_.reset(PEM_read_bio_X509(reader(*pem).get(), nullptr, nullptr, nullptr));
  if (!authority.key_ || !authority.certificate_ ||
      X509_check_private_key(authority.certificate_.get(), authority.key_.get()) != 1) {
    ERR_clear_error();
    return fail(Code::corrupt,
                std::format("ca.key and ca.crt in {} are no pair; restore them from the backup", folder.string()));
  }
  authority.pem_ = *pem;
  return authority;
}

Result<Authority> Authority::create(const std::filesystem::path& folder, std::string_view name) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::fail_errno(folder.string(), error.value());
  if (std::filesystem::exists(folder / "ca.key"))
    return fail(Code::bad_state, std::format("{} holds a certificate authority already", folder.string()));
  WAYSIDE_TRY(const Key key, make_key());
  const Certificate made(X509_new());
  if (!made || !set_frame(made.get(), kAuthorityDays) || !set_name(X509_get_subject_name(made.get()), name) ||
      X509_set_issuer_name(made.get(), X509_get_subject_name(made.get())) != 1 ||
      X509_set_pubkey(made.get(), key.get()) != 1 ||
      !add_extension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(made.get(), made.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(made.get(), key.get(), EVP_sha256()) == 0)
    return fail_ssl("cannot make the authority");
  WAYSIDE_TRY(const std::string secret, key_pem(key.get()));
  WAYSIDE_TRY(const std::string certificate, certificate_pem_of(made.get()));
  WAYSIDE_CHECK(write_file(folder / "ca.key", secret, kSecret));
  WAYSIDE_CHECK(write_file(folder / "ca.crt", certificate, kPublic));
  return open(folder);
}

Result<std::string> Authority::certify(evp_pkey_st* key, Purpose purpose, std::string_view common_name,
                                       const std::vector<std::string>& alternative_names) const {
  const Certificate made(X509_new());
  if (!made || !set_frame(made.get(), kDeviceDays) || !set_name(X509_get_subject_name(made.get()), common_name) ||
      X509_set_issuer_name(made.get(), X509_get_subject_name(certificate_.get())) != 1 ||
      X509_set_pubkey(made.get(), key) != 1 ||
      !set_purpose(made.get(), certificate_.get(), purpose, alternative_names) ||
      X509_sign(made.get(), key_.get(), EVP_sha256()) == 0)
    return fail_ssl(std::format("cannot make a certificate for {}", common_name));
  return certificate_pem_of(made.get());
}

Result<Identity> Authority::issue(Purpose purpose, std::string_view common_name,
                                  const std::vector<std::string>& alternative_names) const {
  WAYSIDE_CHECK(base::mqtt::check_topic_level("certificate name", common_name));
  for (const auto& name : alternative_names) {
    if (!(name.starts_with("DNS:") || name.starts_with("IP:")) || name.find_first_of(",\n") != std::string::npos)
      return fail(Code::invalid_argument,
                  std::format("\"{}\" is no alternative name; write DNS:name or IP:address", name));
  }
  WAYSIDE_TRY(const Key key, make_key());
  Identity identity;
  WAYSIDE_TRY(identity.key_pem, key_pem(key.get()));
  WAYSIDE_TRY(identity.certificate_pem, certify(key.get(), purpose, common_name, alternative_names));
  return identity;
}

Result<std::string> Authority::sign_request(std::string_view request_pem, std::string_view device_id) const {
  if (request_pem.size() > kMaxPemBytes) return fail(Code::exhausted, "certificate request is larger than 16 KiB");
  const Bio bio = reader(request_pem);
  const Request request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  EVP_PKEY* key = request ? X509_REQ_get0_pubkey(request.get()) : nullptr;
  const bool holds = key != nullptr && is_p256(key) && X509_REQ_verify(request.get(), key) == 1;
  ERR_clear_error();
  if (!holds) return fail(Code::corrupt, "no certificate request with an ECDSA P-256 key and a valid signature");
  if (only_name(X509_REQ_get_subject_name(request.get())) != device_id)
    return fail(Code::invalid_argument, std::format("the request names somebody else than {}", device_id));
  return certify(key, Purpose::device, device_id, {});
}

}  // namespace wayside::fleet
