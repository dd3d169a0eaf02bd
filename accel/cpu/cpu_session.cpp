// SPDX-License-Identifier: Apache-2.0
// Running a built session: the loop over its steps, and the items of a batch.
#include "accel/cpu/cpu_session.h"

#include <cstdlib>

namespace wayside::accel::cpu {

using base::Result;

void CpuSession::AlignedDelete::operator()(std::byte* /*bytes*/) const { std::free(memory); }

Result<void> CpuSession::set_batch(std::size_t count) {
  WAYSIDE_CHECK(Session::set_batch(count));
  const auto resize = [&](std::vector<TensorInfo>& infos, auto& spans) {
    for (std::size_t i = 0; i < infos.size(); ++i) {
      auto& shape = infos[i].shape;
      const std::size_t item_bytes = spans[i].size() / batch_;
      if (shape.empty()) shape.push_back(1);
      shape[0] = static_cast<std::int32_t>(static_cast<std::size_t>(shape[0]) / batch_ * count);
      spans[i] = {spans[i].data(), item_bytes * count};
    }
  };
  if (count == batch_) return {};
  resize(inputs_, input_bytes_);
  resize(outputs_, output_bytes_);
  batch_ = count;
  return {};
}

void CpuSession::Lane::select(std::size_t item) {
  for (const auto& slot : input_slots) *slot.pointer = slot.of_first_item + (item * slot.item_bytes);
  for (const auto& slot : output_slots) *slot.pointer = slot.of_first_item + (item * slot.item_bytes);
}

void CpuSession::run_step(const Step& step, ThreadPool& pool) {
  step.op->run({.inputs = step.inputs, .outputs = step.outputs, .scratch = step.scratch, .pool = pool});
}

void CpuSession::run_steps(const Lane& lane, ThreadPool::Turn& turn) {
  using ProfileClock = std::chrono::steady_clock;
  for (const Step& step : lane.steps) {
    turn.offer();
    ThreadPool& pool = step.parallel ? *pool_ : alone_;
    if (profiler_ == nullptr) {
      run_step(step, pool);
      continue;
    }
    const auto start = ProfileClock::now();
    run_step(step, pool);
    profiler_->on_operator(step.number, ProfileClock::now() - start);
  }
}

Result<void> CpuSession::run() {
  ThreadPool::Turn turn(*pool_, priority_);
  const bool whole_items = items_in_parallel_ && lanes_.size() > 1 && profiler_ == nullptr;
  const std::size_t side_by_side = whole_items ? batch_ / lanes_.size() * lanes_.size() : 0;
  if (side_by_side > 0) {
    pool_->for_each(side_by_side, [this](std::size_t item, unsigned thread) {
      Lane& lane = lanes_[thread];
      lane.select(item);
      for (const Step& step : lane.steps) run_step(step, alone_);
    });
  }
  for (std::size_t item = side_by_side; item < batch_; ++item) {
    lanes_[0].select(item);
    run_steps(lanes_[0], turn);
  }
  return {};
}

}  // namespace wayside::accel::cpu
