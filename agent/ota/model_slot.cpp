// SPDX-License-Identifier: Apache-2.0
// The exchange between two frames, and the tap.
#include "agent/ota/model_slot.h"

#include <algorithm>
#include <cstring>

namespace wayside::agent {
namespace {

/// A picture larger than this is not tapped (a 4K frame in RGB has 25 MB).
constexpr std::size_t kMaxTappedBytes = std::size_t{32} << 20U;

std::size_t bytes_of(const base::ImageView& image) {
  std::size_t total = 0;
  for (unsigned i = 0; i < base::plane_count(image.format); ++i) total += image.planes[i].size_bytes;
  return total;
}

}  // namespace

base::Result<base::ImageView> ModelSlot::process(const base::ImageView& image, FrameReport& report) {
  FrameProcessor* model = nullptr;
  {
    const std::lock_guard lock(mutex_);
    busy_ = true;
    model = current_.get();
  }
  const auto picture = model->process(image, report);
  if (picture) {
    inference_.record(report.times[static_cast<std::size_t>(Stage::inference)]);
    copy_for_tap(*picture, report);
  }
  {
    const std::lock_guard lock(mutex_);
    busy_ = false;
    if (picture) ++figures_.frames;
    if (!picture && picture.error().code != base::Code::corrupt) ++figures_.failures;
    // The picture may lie in the buffers of the model that goes: it lives on in replaced_ until the next exchange.
    if (pending_) exchange_pending();
  }
  changed_.notify_all();
  return picture;
}

void ModelSlot::exchange_pending() {
  replaced_ = std::move(current_);
  current_ = std::move(pending_);
  figures_ = {};
  (void)inference_.take();
}

base::Result<std::unique_ptr<FrameProcessor>> ModelSlot::exchange(std::unique_ptr<FrameProcessor> next,
                                                                  std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  pending_ = std::move(next);
  if (!busy_) exchange_pending();
  if (!changed_.wait_for(lock, limit, [this] { return pending_ == nullptr; })) {
    pending_.reset();
    return base::fail(base::Code::timeout, "the frame in progress does not end");
  }
  return std::move(replaced_);
}

bool ModelSlot::wait_for_first_frame(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return figures_.frames > 0; });
}

SlotFigures ModelSlot::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void ModelSlot::tap(std::uint32_t one_in, std::function<void()> wake) {
  const std::lock_guard lock(tap_mutex_);
  tap_one_in_ = one_in;
  tap_seen_ = 0;
  tap_wake_ = std::move(wake);
  tap_full_.reset();
  tap_spare_ = one_in > 0 ? std::make_unique<TappedFrame>() : nullptr;
}

std::unique_ptr<TappedFrame> ModelSlot::take_tapped() {
  const std::lock_guard lock(tap_mutex_);
  if (tap_spare_ && tap_wants_bytes_ > tap_spare_->pixels.size()) {
    tap_spare_->pixels.resize(std::min(tap_wants_bytes_, kMaxTappedBytes));
  }
  return std::move(tap_full_);
}

void ModelSlot::return_tapped(std::unique_ptr<TappedFrame> frame) {
  const std::lock_guard lock(tap_mutex_);
  if (tap_one_in_ > 0 && !tap_full_) tap_spare_ = std::move(frame);
}

void ModelSlot::copy_for_tap(const base::ImageView& picture, const FrameReport& report) {
  const std::unique_lock lock(tap_mutex_, std::try_to_lock);
  if (!lock || tap_one_in_ == 0 || tap_seen_++ % tap_one_in_ != 0 || !tap_spare_) return;
  tap_wants_bytes_ = bytes_of(picture);
  if (tap_wants_bytes_ > tap_spare_->pixels.size()) {
    if (tap_wake_) tap_wake_();  // the other thread makes room
    return;
  }
  auto* target = tap_spare_->pixels.data();
  tap_spare_->image = picture;
  for (unsigned i = 0; i < base::plane_count(picture.format); ++i) {
    std::memcpy(target, picture.planes[i].data, picture.planes[i].size_bytes);
    tap_spare_->image.planes[i].data = target;
    tap_spare_->image.planes[i].dmabuf_fd = -1;
    target += picture.planes[i].size_bytes;
  }
  tap_spare_->report = report;
  tap_full_ = std::move(tap_spare_);
  if (tap_wake_) tap_wake_();
}

}  // namespace wayside::agent
