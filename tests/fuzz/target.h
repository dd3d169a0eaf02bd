// SPDX-License-Identifier: Apache-2.0
// What a fuzz target tells the driver beside not crashing.
#pragma once

#include <cstddef>

namespace wayside::fuzz {

/// Inputs that the target's parser accepted; each target defines and counts it.
extern std::size_t accepted_count;

}  // namespace wayside::fuzz
