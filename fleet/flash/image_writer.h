// SPDX-License-Identifier: Apache-2.0
// write_image: copies an image to a disk, whole or by its block map, and reads it back.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/result.h"
#include "fleet/flash/block_map.h"
#include "fleet/flash/image_reader.h"

namespace wayside::fleet {

enum class FlashStage { write, verify };

struct FlashProgress {
  FlashStage stage = FlashStage::write;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;  ///< 0: not known (compressed, no block map)
};

struct FlashOptions {
  const BlockMap* map = nullptr;   ///< without one every byte is written
  bool verify = true;              ///< read back what was written and compare
  std::uint64_t target_bytes = 0;  ///< what the target holds; an image that goes on behind it is refused
  std::function<void(const FlashProgress&)> progress;
  std::function<bool()> stop_requested;
};

struct FlashResult {
  std::uint64_t written_bytes = 0, image_bytes = 0;
  bool verified = false;
};

/// Writes to `fd` (a block device or a file). The first MiB, which holds the partition table, is cleared first and
/// written last: what was interrupted does not look like a disk that boots. Errors: corrupt (the image is damaged, or
/// what is read back differs: then the message blames the disk), exhausted (target too small), bad_state (interrupted),
/// io.
base::Result<FlashResult> write_image(ImageReader& image, int fd, const FlashOptions& options);

}  // namespace wayside::fleet
