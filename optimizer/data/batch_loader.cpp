// SPDX-License-Identifier: Apache-2.0
// Reproducible batches from weighted folders, made by one worker thread.
#include "optimizer/data/batch_loader.h"

#include <algorithm>
#include <utility>

namespace wayside::optimizer {
namespace {

/// Spreads (seed, step, index) over 64 bits: splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

BatchLoader::BatchLoader(std::span<const Folder> folders, const LoaderOptions& options)
    : folders_(folders), options_(options) {
  for (const auto& folder : folders_) total_weight_ += folder.spec.weight;
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

BatchLoader::~BatchLoader() {
  worker_.request_stop();
  changed_.notify_all();
}

const Sample& BatchLoader::draw(Random& random) const {
  double point = static_cast<double>(random() >> 11) * 0x1.0p-53 * total_weight_;
  const Folder* chosen = &folders_.back();
  for (const auto& folder : folders_) {
    if (point < folder.spec.weight) {
      chosen = &folder;
      break;
    }
    point -= folder.spec.weight;
  }
  return chosen->samples[random() % chosen->samples.size()];
}

Batch BatchLoader::make(std::int64_t step) const {
  Batch batch{.step = step, .pixels = {}, .boxes = {}};
  batch.pixels.reserve(options_.batch_size * static_cast<std::size_t>(options_.width_px * options_.height_px * 3));
  AugmentOptions augment_options = options_.augment;
  if (step >= options_.plain_from_step) augment_options.mosaic = 0;
  for (std::size_t i = 0; i < options_.batch_size; ++i) {
    Random random(mix(mix(options_.seed) ^ mix(static_cast<std::uint64_t>(step) * options_.batch_size + i)));
    const Sample* const pool[4] = {&draw(random), &draw(random), &draw(random), &draw(random)};
    Sample sample = augment(pool, options_.width_px, options_.height_px, augment_options, random);
    batch.pixels.insert(batch.pixels.end(), sample.picture.rgb.begin(), sample.picture.rgb.end());
    batch.boxes.push_back(std::move(sample.boxes));
  }
  return batch;
}

void BatchLoader::work(const std::stop_token& stop) {
  for (std::int64_t step = options_.first_step; !stop.stop_requested(); ++step) {
    Batch batch = make(step);
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [this] { return ready_.size() < kPreparedBatches; })) return;
    ready_.push_back(std::move(batch));
    changed_.notify_all();
  }
}

Batch BatchLoader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty(); });
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return batch;
}

}  // namespace wayside::optimizer
