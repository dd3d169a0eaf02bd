// SPDX-License-Identifier: Apache-2.0
// wayside-wifi: turns the wifi.yaml of the config partition into iwd's files. usage: wayside-wifi WIFI.YAML FOLDER
#include <sys/stat.h>

#include <cstdio>
#include <span>

#include "agent/wifi/wifi_settings.h"
#include "base/storage.h"

namespace {

namespace base = wayside::base;
constexpr std::size_t kMaxFileBytes = 16 * 1024;

base::Result<void> run(const std::filesystem::path& source, const char* folder) {
  WAYSIDE_TRY(auto config, base::DiskStorage::open(source.parent_path()));
  WAYSIDE_TRY(const auto bytes, config.read(source.filename(), kMaxFileBytes));
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  WAYSIDE_TRY(const auto settings, wayside::agent::parse_wifi(text, source.filename().string()));
  WAYSIDE_TRY(auto target, base::DiskStorage::open(folder));
  for (const auto& file : wayside::agent::iwd_files(settings))
    WAYSIDE_CHECK(base::replace_file(target, file.name, std::as_bytes(std::span(file.text))));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("wayside-wifi: usage: wayside-wifi WIFI.YAML FOLDER\n", stderr);
    return 2;
  }
  ::umask(0077);  // the passphrase is for root's eyes
  if (const auto done = run(argv[1], argv[2]); !done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
