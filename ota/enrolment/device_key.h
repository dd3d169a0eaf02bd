// SPDX-License-Identifier: Apache-2.0
// DeviceKey: the device's private key, made on the device and kept there.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/storage.h"

struct evp_pkey_st;

namespace wayside::ota {

/// ECDSA P-256, which TPMs and secure elements have too.
class DeviceKey {
 public:
  static base::Result<DeviceKey> generate();
  /// Reads the PKCS#8 PEM file `name`, or makes a key and stores it there durably before anybody hears of it. The
  /// file's mode follows the umask. corrupt: there is a file and no P-256 key in it; it is left alone.
  static base::Result<DeviceKey> open_or_create(base::Storage& storage, const std::filesystem::path& name);

  [[nodiscard]] base::Result<std::string> pem() const;
  /// A PEM certificate request (PKCS#10) whose only name is `common_name`, one MQTT topic level.
  [[nodiscard]] base::Result<std::string> request(std::string_view common_name) const;
  /// True for a PEM certificate of this key and that name.
  [[nodiscard]] bool has_certificate(std::string_view certificate_pem, std::string_view common_name) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  explicit DeviceKey(evp_pkey_st* key) : key_(key) {}
  std::unique_ptr<evp_pkey_st, Free> key_;
};

/// The one common name of a PEM certificate. corrupt: not a certificate of at most 16 KiB, or another number of names.
[[nodiscard]] base::Result<std::string> certificate_name(std::string_view certificate_pem);

}  // namespace wayside::ota
