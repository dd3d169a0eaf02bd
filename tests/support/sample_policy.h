// SPDX-License-Identifier: Apache-2.0
// A small roll-out policy that every reader accepts.
#pragma once

#include <string>

#include "ota/rollout_policy.h"

namespace wayside::testing_support {

inline ota::RolloutPolicy sample_policy() {
  ota::RolloutPolicy policy;
  policy.id = "r1";
  policy.role = "detector";
  policy.manifest_sha256 = std::string(64, 'a');
  policy.waves = {{.permille = 1000, .soak_s = 0}};
  policy.expires_unix_s = 1;
  return policy;
}

}  // namespace wayside::testing_support
