// SPDX-License-Identifier: Apache-2.0
// Reading and writing of the operator's files.
#include "fleet/signing_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>

#include "base/unique_fd.h"

namespace wayside::fleet {

using ota::Checked;
using ota::Refusal;

ota::Checked<PlacedFile> place(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    return ota::refuse(Refusal::io, folder.string() + ": no such folder; make it first");
  }
  WAYSIDE_TRY_IO(auto storage, base::DiskStorage::open(folder));
  return PlacedFile{std::move(storage), path.filename()};
}

ota::Checked<std::string> read_text(const std::filesystem::path& path, std::size_t max_bytes) {
  auto file = place(path);
  if (!file) return std::unexpected(file.error());
  const auto bytes = file->storage.read(file->name, max_bytes);
  if (!bytes) return ota::refuse(Refusal::io, path.string() + ": " + bytes.error().message);
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

ota::Checked<void> write_text(const std::filesystem::path& path, const std::string& text, bool secret) {
  if (secret) {
    const base::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!fd.valid() || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(fd.get()) != 0) {
      return ota::refuse(base::fail_errno(path.string()).error());
    }
    return {};
  }
  auto file = place(path);
  if (!file) return std::unexpected(file.error());
  WAYSIDE_CHECK_IO(base::replace_file(file->storage, file->name, std::as_bytes(std::span(text))));
  return {};
}

ota::Checked<ota::SecretKey> read_secret_key(const std::filesystem::path& path) {
  const auto text = read_text(path);
  if (!text) return std::unexpected(text.error());
  auto key = ota::SecretKey::from_pem(*text);
  if (!key) return ota::refuse(Refusal::bad_key, path.string() + ": " + key.error().message);
  return std::move(*key);
}

ota::Checked<ota::PublicKey> read_public_key(const std::filesystem::path& path) {
  const auto text = read_text(path);
  if (!text) return std::unexpected(text.error());
  auto key = ota::PublicKey::from_pem(*text);
  if (!key) return ota::refuse(Refusal::bad_key, path.string() + ": " + key.error().message);
  return *key;
}

ota::Checked<ota::Root> read_roots(const std::vector<std::string>& paths) {
  std::vector<std::string> chain;
  for (const auto& path : paths) {
    auto text = read_text(path);
    if (!text) return std::unexpected(text.error());
    chain.push_back(std::move(*text));
  }
  return ota::follow_chain(chain);
}

std::int64_t now_unix_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

int report(bool as_json, const std::function<ota::Checked<Report>()>& work) {
  const auto result = work();
  if (result) {
    const auto text = as_json ? result->json.dump(2) + "\n" : result->text;
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  const auto& refused = result.error();
  if (as_json) {
    const nlohmann::json json = {
        {"error", to_string(refused.reason)}, {"code", code_of(refused.reason)}, {"message", refused.message}};
    std::fprintf(stdout, "%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
  std::fprintf(stderr, "wayside: %s\n", describe(refused).c_str());
  return 1;
}

}  // namespace wayside::fleet
