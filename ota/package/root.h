// SPDX-License-Identifier: Apache-2.0
// The root document: which keys may sign what, itself signed; each root is vouched for by the one before it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ota/package/signatures.h"

namespace wayside::ota {

inline constexpr std::string_view kRootType = "wayside-root/1";
/// Longest chain of roots that a device follows in one go.
inline constexpr std::size_t kMaxRootChain = 64;

struct Root {
  std::uint32_t version = 1;
  std::int64_t issued_unix_s = 0, expires_unix_s = 0;
  Role root;      ///< may sign the next root
  Role packages;  ///< may sign package manifests
  Role rollouts;  ///< may sign roll-out policies

  /// Every key of every role.
  [[nodiscard]] std::map<Digest, PublicKey> known_keys() const;
  [[nodiscard]] std::string serialize() const;
  /// Refusals: those of parse_canonical and ObjectReader, root_malformed (a role without keys, threshold over its
  /// keys).
  [[nodiscard]] static Checked<Root> parse(std::string_view body);
};

/// The first root, from the device's read-only image or its provisioning: must carry its own threshold. Never expires
/// here: an expired root still says who may sign its successor.
[[nodiscard]] Checked<Root> open_first_root(std::string_view envelope);
/// The successor: version exactly one higher (root_version), signed by the old threshold (root_threshold_old) and by
/// its own (root_threshold_new), so that a mistake cannot lock everybody out. The old root stays in force on any
/// refusal.
[[nodiscard]] Checked<Root> follow_root(const Root& current, std::string_view envelope);
/// The same; the body is not parsed before the old threshold has vouched for it.
[[nodiscard]] Checked<Root> follow_root(const Root& current, const Envelope& envelope);
/// open_first_root, then follow_root for each further one. no_root when empty.
[[nodiscard]] Checked<Root> follow_chain(std::span<const std::string> envelopes);

}  // namespace wayside::ota
