// SPDX-License-Identifier: Apache-2.0
// TargetDisk: what the kernel tells about a disk, and whether an image may be written over it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace wayside::fleet {

/// Where the kernel's tables are; another place in tests.
struct KernelView {
  std::filesystem::path sys = "/sys", proc = "/proc", dev = "/dev";
};

/// A whole disk (not a partition), as sysfs names it.
struct TargetDisk {
  std::string name;  ///< kernel name: "sda", "mmcblk0"
  std::filesystem::path node;
  std::uint64_t bytes = 0;
  std::string model;       ///< vendor and model, may be empty
  bool removable = false;  ///< a card, or anything on USB
  bool read_only = false;
  std::vector<std::string> uses;  ///< "/dev/sda1 is mounted on /home", "/dev/sda2 is in use by dm-0", ...

  /// "sda: Generic Card Reader, 31.9 GB, removable"
  [[nodiscard]] std::string describe() const;
};

/// Looks a device node up. Errors: not_found; invalid_argument for what is no block device and for a partition (names
/// the disk to use instead).
base::Result<TargetDisk> examine_disk(const std::filesystem::path& node, const KernelView& view = {});

/// By kernel name ("sda"): what sysfs and the mount tables say.
base::Result<TargetDisk> read_disk(const std::string& name, const KernelView& view = {});

/// All disks with a size, sorted by name; virtual ones (zram, dm, unused loop) are left out.
base::Result<std::vector<TargetDisk>> list_disks(const KernelView& view = {});

struct FlashPermission {
  bool fixed_disk = false;  ///< the user said that an internal disk is meant
};
/// Refuses a disk that is in use, read-only, too small for `image_bytes` (0: not known yet), or internal without
/// permission.
base::Result<void> may_overwrite(const TargetDisk& disk, std::uint64_t image_bytes, FlashPermission permission);

}  // namespace wayside::fleet
