// SPDX-License-Identifier: Apache-2.0
// BatchLoader: makes augmented training batches ahead of the training loop, the same ones for the same seed.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "optimizer/data/augment.h"

namespace wayside::optimizer {

struct Batch {
  std::int64_t step = 0;
  std::vector<std::uint8_t> pixels;          ///< u8 [size, height_px, width_px, 3]
  std::vector<std::vector<LabelBox>> boxes;  ///< per picture, px
};

struct LoaderOptions {
  int width_px = 320, height_px = 192;
  std::size_t batch_size = 32;
  std::uint64_t seed = 1;
  std::int64_t first_step = 0;
  std::int64_t plain_from_step = 0;  ///< from this step on no mosaics: the last part sees pictures as they come
  AugmentOptions augment;
};

/// Batches that wait at most; three are enough to hide the making of a slow one.
inline constexpr std::size_t kPreparedBatches = 3;

/// One worker thread. `folders` must outlive the loader; at least one, none empty. A batch depends on seed and step
/// only, so that a resumed training sees what an uninterrupted one would have seen.
class BatchLoader {
 public:
  BatchLoader(std::span<const Folder> folders, const LoaderOptions& options);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// The batch of the next step; waits for it. One caller.
  Batch next();

 private:
  void work(const std::stop_token& stop);
  Batch make(std::int64_t step) const;
  const Sample& draw(Random& random) const;

  std::span<const Folder> folders_;
  LoaderOptions options_;
  double total_weight_ = 0;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Batch> ready_;
  std::jthread worker_;  ///< last: starts when everything else stands
};

}  // namespace wayside::optimizer
