// SPDX-License-Identifier: Apache-2.0
// See wifi_settings.h.
#include "agent/wifi/wifi_settings.h"

#include <algorithm>
#include <format>

#include "base/config.h"

namespace wayside::agent {
namespace {

// Not those of <cctype>: they depend on the locale.
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_plain(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z') || is_digit(c) || c == ' ' || c == '_' || c == '-';
}
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool is_printable(char c) { return c >= 0x20 && c < 0x7f; }

bool is_key(std::string_view psk) { return psk.size() == kKeyDigits && std::ranges::all_of(psk, is_hex); }

void check(const WifiSettings& settings, base::Fields& fields) {
  const auto& [ssid, psk, country, hidden] = settings;
  if (ssid.empty() || ssid.size() > kMaxSsidBytes)
    fields.reject("ssid", std::format("must have 1 to {} bytes, this has {}", kMaxSsidBytes, ssid.size()));
  if (std::ranges::any_of(ssid, is_control)) fields.reject("ssid", "must not have control characters");
  if (!psk.empty() && !is_key(psk)) {
    if (psk.size() < kMinPassphrase || psk.size() > kMaxPassphrase)
      fields.reject("psk",
                    std::format("must have {} to {} characters or be {} hex digits, this has {}; for a network without "
                                "one write \"\"",
                                kMinPassphrase, kMaxPassphrase, kKeyDigits, psk.size()));
    if (!std::ranges::all_of(psk, is_printable))
      fields.reject("psk", "may have only printable ASCII characters; write it as 64 hex digits instead");
  }
  if (country.size() != 2 || !std::ranges::all_of(country, is_upper))
    fields.reject("country", "must be two capital letters, e.g. DE");
}

/// As iwd reads a value: a leading space and backslashes are escaped.
std::string escaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\')
      result += "\\\\";
    else if (text[i] == ' ' && i == 0)
      result += "\\s";
    else
      result += text[i];
  }
  return result;
}

std::string file_name(const WifiSettings& settings) {
  std::string name;
  if (std::ranges::all_of(settings.ssid, is_plain)) {
    name = settings.ssid;
  } else {
    name = "=";
    for (const char c : settings.ssid) name += std::format("{:02x}", static_cast<unsigned char>(c));
  }
  return name + (settings.psk.empty() ? ".open" : ".psk");
}

}  // namespace

base::Result<WifiSettings> parse_wifi(std::string_view text, std::string_view file_name) {
  WAYSIDE_TRY(const auto root, base::parse_yaml(text, file_name));
  base::Fields fields(root, file_name, "");
  WifiSettings settings;
  for (const char* key : {"ssid", "psk", "country"}) fields.require(key);
  const bool complete =
      fields.read("ssid", settings.ssid) & fields.read("psk", settings.psk) & fields.read("country", settings.country);
  fields.read("hidden", settings.hidden);
  if (complete) check(settings, fields);
  WAYSIDE_CHECK(fields.finish());
  return settings;
}

std::vector<WifiFile> iwd_files(const WifiSettings& settings) {
  std::string network = std::format("[Settings]\nAutoConnect=true\nHidden={}\n", settings.hidden);
  if (is_key(settings.psk)) {
    std::string key = settings.psk;
    std::ranges::transform(key, key.begin(), [](char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; });
    network += std::format("\n[Security]\nPreSharedKey={}\n", key);
  } else if (!settings.psk.empty()) {
    network += std::format("\n[Security]\nPassphrase={}\n", escaped(settings.psk));
  }
  return {{"main.conf", std::format("[General]\nEnableNetworkConfiguration=false\nCountry={}\n", settings.country)},
          {file_name(settings), network}};
}

}  // namespace wayside::agent
