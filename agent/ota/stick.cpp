// SPDX-License-Identifier: Apache-2.0
// Listing, opening, copying.
#include "agent/ota/stick.h"

#include <dirent.h>

#include <algorithm>
#include <format>
#include <memory>
#include <nlohmann/json.hpp>

#include "ota/package/canonical_json.h"
#include "ota/updater/command.h"

namespace wayside::agent {
namespace {

using ota::Step;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

bool is_package(std::string_view name) {
  return name.size() > kPackageEnding.size() && name.ends_with(kPackageEnding) && ota::is_command_name(name);
}

/// The folder as Storage; nothing when it is not there (opening would make it).
base::Result<base::DiskStorage> storage_of(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) return base::fail(base::Code::not_found, "the stick has gone");
  return base::DiskStorage::open(folder);
}

}  // namespace

std::vector<std::string> Stick::packages() const {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(folder_.c_str()));
  if (!directory) return names;
  const dirent* entry = nullptr;
  for (std::size_t i = 0; i < kMaxEntries && (entry = ::readdir(directory.get())) != nullptr; ++i) {
    const bool file = entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;
    if (file && is_package(entry->d_name)) names.emplace_back(entry->d_name);
  }
  std::ranges::sort(names);
  if (names.size() > kMaxPackages) names.resize(kMaxPackages);
  return names;
}

ota::Checked<StickPackage> Stick::open(const std::string& name) const {
  WAYSIDE_TRY_IO(auto storage, storage_of(folder_));
  auto head = ota::read_head(storage, name);
  if (!head) return std::unexpected(head.error());
  WAYSIDE_TRY_IO(const auto manifest, ota::sha256_of(std::as_bytes(std::span(head->manifest))));
  return StickPackage{.name = name, .head = std::move(*head), .manifest = manifest};
}

std::string Stick::policy_beside(const std::string& name) const {
  auto storage = storage_of(folder_);
  if (!storage) return {};
  const auto bytes =
      storage->read(name.substr(0, name.size() - kPackageEnding.size()) + ".policy.json", kMaxPolicyBytes);
  return bytes ? std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size()) : std::string();
}

std::optional<StickPackage> Stick::find(const ota::Digest& manifest) const {
  for (const auto& name : packages()) {
    auto package = open(name);
    if (package && package->manifest == manifest) return std::move(*package);
  }
  return std::nullopt;
}

std::string envelope_text(const ota::ContainerHead& head) {
  // The strict reader of envelopes refuses whatever the raw signatures could do to the frame around them.
  return std::format(R"({{"body":{},"signatures":{},"type":"{}"}})", ota::canonical(head.manifest), head.signatures,
                     ota::claimed_type(head.manifest));
}

Step StickCopy::unreadable(const base::Error& error) const {
  return Step::failed(
      std::format("stick: {}: cannot be read to its end ({}); plug the stick in again, or copy the "
                  "package anew",
                  package_.name, error.message));
}

Step StickCopy::step(const ota::Blob& blob) {
  const auto entry = std::ranges::find(package_.head.entries, blob,
                                       [](const ota::ContainerEntry& one) -> const ota::Blob& { return one.blob; });
  if (entry == package_.head.entries.end())
    return Step::failed(std::format("stick: {}: has no file {}", package_.name, blob.digest.hex()));
  if (!writer_ || writer_->blob() != blob) {
    auto writer = store_->stage(blob);
    if (!writer) return Step::failed(writer.error().message);
    writer_.emplace(std::move(*writer));
  }
  auto storage = storage_of(folder_);
  if (!storage) return unreadable(storage.error());
  const std::uint64_t at = writer_->written_bytes();
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(blob.size_bytes - at, kStepBytes)));
  if (const auto read = storage->read_at(package_.name, entry->offset + at, piece); !read)
    return unreadable(read.error());
  if (const auto kept = writer_->append(piece); !kept) return Step::failed(kept.error().message);
  copied_bytes_ += piece.size();
  if (writer_->written_bytes() < blob.size_bytes) return Step::working();
  const auto whole = writer_->commit();
  writer_.reset();
  if (whole) return Step::done();
  if (whole.error().code != base::Code::corrupt) return Step::failed(whole.error().message);
  return Step::failed(
      std::format("stick: {}: file {} has other contents; copy the package anew", package_.name, blob.digest.hex()));
}

}  // namespace wayside::agent
