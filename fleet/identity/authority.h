// SPDX-License-Identifier: Apache-2.0
// Authority: the operator's certificate authority: one certificate per device, a second authority for claims.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct evp_pkey_st;
struct x509_st;

namespace wayside::fleet {

/// A private key (PKCS#8) and its certificate chain, both PEM.
struct Identity {
  std::string key_pem;
  std::string certificate_pem;
};

/// Hex SHA-256 of the DER form. corrupt: not one PEM certificate.
[[nodiscard]] base::Result<std::string> fingerprint(std::string_view certificate_pem);

/// What a certificate is for; extended key usage and names follow from it.
enum class Purpose { device, operator_tool, broker };

/// ECDSA P-256 throughout: TPMs and secure elements have it. Certificates begin in 1970, because a board without a
/// battery-backed clock starts there and must still reach its broker; what limits them is their end and the revocation
/// list.
class Authority {
 public:
  static constexpr int kDeviceDays = 825;
  static constexpr int kAuthorityDays = 7300;

  /// Reads ca.key and ca.crt in `folder`. not_found with the remedy.
  static base::Result<Authority> open(const std::filesystem::path& folder);
  /// Makes `folder` with ca.key (mode 0600) and ca.crt. bad_state: there is one already.
  static base::Result<Authority> create(const std::filesystem::path& folder, std::string_view name);

  /// A new key pair and certificate. `alternative_names`: of a broker, "DNS:broker.lan" or "IP:192.0.2.1".
  base::Result<Identity> issue(Purpose purpose, std::string_view common_name,
                               const std::vector<std::string>& alternative_names = {}) const;
  /// Signs a device's request (untrusted PEM): its signature must hold and its only name be `device_id`. Nothing else
  /// of the request is taken over. corrupt, invalid_argument.
  base::Result<std::string> sign_request(std::string_view request_pem, std::string_view device_id) const;
  [[nodiscard]] const std::string& certificate_pem() const { return pem_; }

 private:
  struct FreeKey {
    void operator()(evp_pkey_st* key) const;
  };
  struct FreeCertificate {
    void operator()(x509_st* certificate) const;
  };
  Authority() = default;
  base::Result<std::string> certify(evp_pkey_st* key, Purpose purpose, std::string_view common_name,
                                    const std::vector<std::string>& alternative_names) const;
  std::unique_ptr<evp_pkey_st, FreeKey> key_;
  std::unique_ptr<x509_st, FreeCertificate> certificate_;
  std::string pem_;
};

}  // namespace wayside::fleet
