// SPDX-License-Identifier: Apache-2.0
// The status of dm-verity as RAUC before 1.15 understands it: since Linux 6.19 it has a second word.
#pragma once

#include <linux/dm-ioctl.h>

#include <cstddef>
#include <cstring>

namespace wayside::agent {

/// `answer`: what DM_TABLE_STATUS has written (include/uapi/linux/dm-ioctl.h: the header, then for each target a
/// dm_target_spec and its text). Cuts "V -" of a verity target to "V"; whatever else it says stays.
inline void trim_verity_status(dm_ioctl& answer) {
  constexpr std::size_t kText = sizeof(dm_target_spec);
  if ((answer.flags & (DM_STATUS_TABLE_FLAG | DM_BUFFER_FULL_FLAG)) != 0 || answer.target_count != 1) return;
  if (answer.data_start > answer.data_size || answer.data_size - answer.data_start < kText + 2) return;
  char* const target = reinterpret_cast<char*>(&answer) + answer.data_start;
  dm_target_spec spec;
  std::memcpy(&spec, target, sizeof(spec));
  if (std::strncmp(spec.target_type, "verity", sizeof(spec.target_type)) != 0) return;
  if (target[kText] == 'V' && target[kText + 1] == ' ') target[kText + 1] = '\0';
}

}  // namespace wayside::agent
