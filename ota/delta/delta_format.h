// SPDX-License-Identifier: Apache-2.0
// Names of the delta document that writer and reader share.
#pragma once

#include <string_view>

#include "ota/delta/digest_io.h"
#include "ota/delta/wire.h"

namespace wayside::ota {

inline constexpr std::string_view kDeltaMagic = "WDL1";
inline constexpr std::size_t kMaxDeltaHeaderBytes = 4 + 2 * (kDigestBytes + kMaxVarintBytes);

}  // namespace wayside::ota
