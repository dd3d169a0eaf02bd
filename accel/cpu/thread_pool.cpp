// SPDX-License-Identifier: Apache-2.0
// ThreadPool by one atomic ticket: late or sleeping workers never hold up a finished job.
#include "accel/cpu/thread_pool.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <thread>

namespace wayside::accel::cpu {
namespace {

/// Pauses before a waiting thread goes to sleep: about 50 us on current x86 cores (a pause takes 20-45 ns), longer than
/// the gap between two layers of a network and short against a frame.
constexpr unsigned kSpinCount = 1500;
/// Index part of the ticket while no job is open.
constexpr std::uint64_t kClosed = 0xFFFFFFFFU;
constexpr unsigned kEpochShift = 32;

void cpu_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace

/// The ticket holds (epoch, next index). A worker claims an index by compare-and-swap of the whole ticket, so an index
/// of an old job can never be claimed; run() waits for finished indices, not for workers.
struct ThreadPool::State {
  std::atomic<std::uint64_t> ticket{kClosed};
  std::atomic<std::uint32_t> epoch{0};  // same as the ticket's; 32 bits so that waiting is a bare futex
  std::atomic<std::uint32_t> done{0};
  std::atomic<std::uint32_t> count{0};
  std::atomic<Task> task{nullptr};
  std::atomic<void*> context{nullptr};
  std::atomic<bool> stop{false};
  unsigned spin_count = 0;
  unsigned worker_count = 0;
  std::array<std::thread, kMaxThreads> workers;

  void work(unsigned thread);
  void serve(unsigned thread);
};

void ThreadPool::State::work(unsigned thread) {
  auto seen = ticket.load(std::memory_order_acquire);
  for (;;) {
    const auto index = seen & kClosed;
    const auto total = count.load(std::memory_order_acquire);
    if (index == kClosed || index >= total) return;
    const auto run_task = task.load(std::memory_order_acquire);
    const auto argument = context.load(std::memory_order_acquire);
    if (!ticket.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    run_task(argument, static_cast<std::size_t>(index), thread);
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == total) done.notify_one();
    seen = ticket.load(std::memory_order_acquire);
  }
}

void ThreadPool::State::serve(unsigned thread) {
  std::uint32_t seen = 0;
  while (!stop.load(std::memory_order_acquire)) {
    for (unsigned spin = 0; spin < spin_count && epoch.load(std::memory_order_acquire) == seen; ++spin) cpu_pause();
    epoch.wait(seen, std::memory_order_acquire);
    seen = epoch.load(std::memory_order_acquire);
    work(thread);
  }
}

ThreadPool::ThreadPool(unsigned thread_count) : state_(std::make_unique<State>()) {
  const unsigned core_count = std::max(1U, std::thread::hardware_concurrency());
  const unsigned wanted = std::min(thread_count == 0 ? core_count : thread_count, kMaxThreads);
  state_->spin_count = wanted <= core_count ? kSpinCount : 0;
  state_->worker_count = wanted - 1;
  for (unsigned worker = 0; worker < state_->worker_count; ++worker) {
    state_->workers[worker] = std::thread([state = state_.get(), worker] { state->serve(worker + 1); });
  }
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_release);
  state_->epoch.fetch_add(1, std::memory_order_acq_rel);
  state_->epoch.notify_all();
  for (unsigned worker = 0; worker < state_->worker_count; ++worker) state_->workers[worker].join();
}

unsigned ThreadPool::thread_count() const { return state_->worker_count + 1; }

void ThreadPool::run(std::size_t count, Task task, void* context) {
  if (state_->worker_count == 0 || count <= 1) {
    for (std::size_t index = 0; index < count; ++index) task(context, index, 0);
    return;
  }
  State& state = *state_;
  const auto next_epoch = state.epoch.load(std::memory_order_relaxed) + 1;
  const auto high = static_cast<std::uint64_t>(next_epoch) << kEpochShift;
  // Closed first: whoever reads a field of the new job fails its compare-and-swap on the old ticket.
  state.ticket.store(high | kClosed, std::memory_order_release);
  state.done.store(0, std::memory_order_release);
  state.task.store(task, std::memory_order_release);
  state.context.store(context, std::memory_order_release);
  state.count.store(static_cast<std::uint32_t>(count), std::memory_order_release);
  state.ticket.store(high, std::memory_order_release);
  state.epoch.store(next_epoch, std::memory_order_release);
  state.epoch.notify_all();
  state.work(0);
  const auto total = static_cast<std::uint32_t>(count);
  for (unsigned spin = 0; spin < state.spin_count; ++spin) {
    if (state.done.load(std::memory_order_acquire) == total) return;
    cpu_pause();
  }
  for (auto seen = state.done.load(std::memory_order_acquire); seen != total;
       seen = state.done.load(std::memory_order_acquire)) {
    state.done.wait(seen, std::memory_order_acquire);
  }
}

}  // namespace wayside::accel::cpu
