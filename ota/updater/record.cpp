// SPDX-License-Identifier: Apache-2.0
// Writing and checking records.
#include "ota/updater/record.h"

#include "ota/package/canonical_json.h"
#include "ota/store/digest.h"

namespace wayside::ota {

base::Result<void> write_record(base::Storage& storage, const std::filesystem::path& path, const nlohmann::json& json) {
  const std::string text = canonical(json);
  WAYSIDE_TRY(const Digest digest, sha256_of(std::as_bytes(std::span(text))));
  const std::string file = digest.hex() + "\n" + text + "\n";
  return base::replace_file(storage, path, std::as_bytes(std::span(file)));
}

base::Result<nlohmann::json> read_record(base::Storage& storage, const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto bytes, storage.read(path, kMaxRecordFileBytes));
  const auto damaged = [&] {
    return base::fail(base::Code::corrupt, path.string() + ": is damaged and not used; check the medium");
  };
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  constexpr std::size_t kHexBytes = 2 * kDigestBytes;
  if (text.size() < kHexBytes + 2 || text[kHexBytes] != '\n' || text.back() != '\n') return damaged();
  const auto expected = Digest::parse(text.substr(0, kHexBytes));
  text = text.substr(kHexBytes + 1, text.size() - kHexBytes - 2);
  WAYSIDE_TRY(const Digest digest, sha256_of(std::as_bytes(std::span(text))));
  if (!expected || digest != *expected) return damaged();
  auto json = parse_canonical(text);
  if (!json) return damaged();
  return std::move(*json);
}

}  // namespace wayside::ota
