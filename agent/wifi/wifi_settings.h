// SPDX-License-Identifier: Apache-2.0
// WifiSettings: the network that a person names in wifi.yaml, checked, and as the files that iwd reads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::agent {

/// Bounds: IEEE 802.11-2020, 9.4.2.2 (SSID: 32 bytes), J.4.1 (passphrase: 8 to 63 printable characters, or 64 hex
/// digits).
inline constexpr std::size_t kMaxSsidBytes = 32;
inline constexpr std::size_t kMinPassphrase = 8, kMaxPassphrase = 63, kKeyDigits = 64;

struct WifiSettings {
  std::string ssid;     ///< 1 to 32 bytes of UTF-8, no control characters
  std::string psk;      ///< the passphrase, or 64 hex digits; empty: an open network
  std::string country;  ///< two letters (ISO 3166-1): which channels and powers are allowed
  bool hidden = false;  ///< the network does not tell its name
};

/// A file of iwd's: name, and text that ends with a newline.
struct WifiFile {
  std::string name;
  std::string text;
};

/// Reads `text`: {ssid, psk, country, hidden}; an open network says `psk: ""`. Errors: "wifi.yaml:2: psk: ...", never
/// the passphrase itself.
base::Result<WifiSettings> parse_wifi(std::string_view text, std::string_view file_name);

/// main.conf and the network's file (iwd.config(5), iwd.network(5)); addresses are left to systemd-networkd.
std::vector<WifiFile> iwd_files(const WifiSettings& settings);

}  // namespace wayside::agent
