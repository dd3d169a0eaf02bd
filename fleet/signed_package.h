// SPDX-License-Identifier: Apache-2.0
// SignedPackage: a package file that was checked as a device checks it; and the operator's signature under a policy.
#pragma once

#include <string>
#include <vector>

#include "fleet/signing_files.h"
#include "ota/package/manifest.h"
#include "ota/rollout_policy.h"

namespace wayside::fleet {

struct SignedPackage {
  PlacedFile file;
  ota::ContainerHead head;
  ota::Manifest manifest;
  ota::Digest digest;    ///< of the manifest's text
  std::string envelope;  ///< the signed manifest as devices get it
};

/// Everything that can be checked without a device: signatures, time, closed world, every hash.
ota::Checked<SignedPackage> open_package(const std::filesystem::path& path, const ota::Root& root,
                                         std::int64_t now_unix_s);

/// The policy in an envelope signed by these keys. Refused (key_not_for_role, threshold_not_met, ...) when devices that
/// trust `root` would refuse it.
ota::Checked<std::string> sign_policy(const ota::RolloutPolicy& policy, const std::vector<std::string>& key_files,
                                      const ota::Root& root);

}  // namespace wayside::fleet
