// SPDX-License-Identifier: Apache-2.0
// Stick: signed packages on a medium that a person has plugged in; its names, sizes and bytes are untrusted.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ota/package/container.h"
#include "ota/store/blob_store.h"
#include "ota/updater/gates.h"

namespace wayside::agent {

/// Ids of updates from a stick begin like this; those that come over MQTT may not.
inline constexpr std::string_view kStickCommand = "stick-";
inline constexpr std::string_view kPackageEnding = ".wmp";

struct StickPackage {
  std::string name;  ///< of the file, for messages: 1 to 64 of A-Z a-z 0-9 . _ -
  ota::ContainerHead head;
  ota::Digest manifest;  ///< hash of the manifest's bytes, whoever signed them
};

/// A folder that may be absent, appear and go at any time. Every call looks anew. Links in it are not followed.
class Stick {
 public:
  /// Packages beyond the first of them, in the order of their names, are left.
  static constexpr std::size_t kMaxPackages = 16;
  /// Entries of the folder that are looked at.
  static constexpr std::size_t kMaxEntries = 4096;
  static constexpr std::size_t kMaxPolicyBytes = std::size_t{64} << 10U;

  explicit Stick(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Names of its *.wmp files, sorted; empty where there is no stick.
  [[nodiscard]] std::vector<std::string> packages() const;
  /// Header, signed texts, table. Refusals: those of ota::read_head.
  [[nodiscard]] ota::Checked<StickPackage> open(const std::string& name) const;
  /// The signed roll-out policy beside a package (street.policy.json for street.wmp); empty: none, or too large.
  [[nodiscard]] std::string policy_beside(const std::string& name) const;
  /// The package with this manifest; nothing when none has it.
  [[nodiscard]] std::optional<StickPackage> find(const ota::Digest& manifest) const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

/// The signed texts of a package as the document that travels over MQTT; nothing is parsed for it.
[[nodiscard]] std::string envelope_text(const ota::ContainerHead& head);

/// Copies files of one package into the store, a bounded piece with each call, hashed while they are written; a file is
/// in the store whole or not at all. The store must outlive it.
class StickCopy {
 public:
  /// Bytes in one call: 0.1 s of a slow stick.
  static constexpr std::uint64_t kStepBytes = std::uint64_t{1} << 20U;

  StickCopy(const Stick& stick, StickPackage package, ota::BlobStore& store)
      : folder_(stick.folder()), package_(std::move(package)), store_(&store) {}

  /// Goes on with `blob`, or begins it. done: it is in the store.
  ota::Step step(const ota::Blob& blob);
  [[nodiscard]] std::uint64_t copied_bytes() const { return copied_bytes_; }

 private:
  [[nodiscard]] ota::Step unreadable(const base::Error& error) const;
  std::filesystem::path folder_;
  StickPackage package_;
  ota::BlobStore* store_;
  std::optional<ota::StagingWriter> writer_;
  std::uint64_t copied_bytes_ = 0;
};

}  // namespace wayside::agent
