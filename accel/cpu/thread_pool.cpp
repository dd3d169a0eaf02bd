// SPDX-License-Identifier: Apache-2.0
// ThreadPool by one atomic ticket a thread: late or sleeping workers never hold up a finished job.
#include "accel/cpu/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <thread>

namespace wayside::accel::cpu {
namespace {

using Clock = std::chrono::steady_clock;

/// Pauses between two looks at the clock: 0.3 to 0.7 us on current x86 cores (a pause takes 20-45 ns).
constexpr unsigned kPausesPerLook = 16;
/// Index part of a ticket while no job is open.
constexpr std::uint64_t kClosed = 0xFFFFFFFFU;
constexpr std::size_t kCacheLineBytes = 64;
constexpr unsigned kEpochShift = 32;
/// A scheduler that puts two threads on one core again at once is not fought.
constexpr std::chrono::milliseconds kBetweenMoves{10};
constexpr int kNobodyWaits = std::numeric_limits<int>::min();

void cpu_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// Waits awake until `done()` or for `bound`.
template <class Done>
void spin_until(std::chrono::nanoseconds bound, const Done& done) {
  if (bound.count() == 0 || done()) return;
  const auto end = Clock::now() + bound;
  do {
    for (unsigned i = 0; i < kPausesPerLook; ++i) {
      cpu_pause();
      if (done()) return;
    }
  } while (Clock::now() < end);
}

void pin_this_thread(const std::vector<unsigned>& cores) {
  if (cores.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned core : cores) {
    if (core < CPU_SETSIZE) CPU_SET(core, &set);
  }
  ::sched_setaffinity(0, sizeof set, &set);  // best effort, see ThreadPoolOptions::cores
}

/// Leaves the cores of `taken` for another one that this thread may use, if there is any, and may use all again then.
void move_off(const cpu_set_t& taken) {
  cpu_set_t all, others;
  if (::sched_getaffinity(0, sizeof all, &all) != 0) return;
  CPU_AND(&others, &all, &taken);
  CPU_XOR(&others, &others, &all);
  if (CPU_COUNT(&others) == 0 || ::sched_setaffinity(0, sizeof others, &others) != 0) return;
  ::sched_setaffinity(0, sizeof all, &all);
}

/// Cores that this process may use.
unsigned allowed_core_count() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
  return std::max(1U, std::thread::hardware_concurrency());
}

std::uint64_t next_pool_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

/// One that waits for its turn; lives on its own stack.
struct Waiter {
  int priority;
  bool granted = false;
  Waiter* next = nullptr;
  std::condition_variable wake{};
};

/// Who may use the pool.
class Turnstile {
 public:
  void enter(int priority) {
    std::unique_lock lock(mutex_);
    if (busy_) {
      wait(lock, priority, false);
    } else {
      busy_ = true;
    }
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    grant_next();
  }
  /// Lets those with a higher priority go first; before all that came later with the same. In one step, so that no
  /// equal slips in between.
  void give_way(int priority) {
    std::unique_lock lock(mutex_);
    if (first_ == nullptr || first_->priority <= priority) return;
    wait(lock, priority, true);
  }
  [[nodiscard]] int highest_waiting() const { return highest_waiting_.load(std::memory_order_relaxed); }

 private:
  /// Queues up; with `holding`, gives the turn to the first in the queue, which is another one.
  void wait(std::unique_lock<std::mutex>& lock, int priority, bool holding) {
    Waiter me{.priority = priority};
    Waiter** place = &first_;
    const auto goes_first = [&](const Waiter& other) {
      return other.priority > priority || (other.priority == priority && !holding);
    };
    while (*place != nullptr && goes_first(**place)) place = &(*place)->next;
    me.next = *place;
    *place = &me;
    publish();
    if (holding) grant_next();
    me.wake.wait(lock, [&me] { return me.granted; });
  }
  void grant_next() {
    busy_ = first_ != nullptr;
    if (!busy_) return;
    Waiter& next = *first_;
    first_ = next.next;
    next.granted = true;
    publish();
    next.wake.notify_one();  // under the lock: afterwards the waiter may be gone
  }
  void publish() { highest_waiting_.store(first_ == nullptr ? kNobodyWaits : first_->priority); }

  std::mutex mutex_;
  bool busy_ = false;
  Waiter* first_ = nullptr;
  std::atomic<int> highest_waiting_{kNobodyWaits};
};

}  // namespace

/// Each thread has a share of a job's indices and a ticket that holds (epoch, next index of the share). Threads claim
/// from their own share first, then from the others': as long as nobody is late, the same part of each layer's rows is
/// computed by the same core, which finds in its own cache what it wrote for the layer before. An index is claimed by
/// compare-and-swap of the whole ticket, so that one of an old job never is; run() waits for finished indices, not for
/// workers.
struct ThreadPool::State {
  struct alignas(kCacheLineBytes) Ticket {
    std::atomic<std::uint64_t> next{kClosed};
    std::atomic<int> core{-1};  // that its thread ran on when it last looked
  };
  std::array<Ticket, kMaxThreads> tickets;
  std::atomic<std::uint32_t> epoch{0};  // same as the tickets'; 32 bits so that waiting is a bare futex
  std::atomic<std::uint32_t> done{0};
  std::atomic<std::uint32_t> count{0};
  std::atomic<Task> task{nullptr};
  std::atomic<void*> context{nullptr};
  std::atomic<bool> stop{false};
  Turnstile turnstile;
  std::uint64_t id = next_pool_id();
  std::vector<unsigned> cores;
  std::chrono::microseconds spin{0};
  unsigned worker_count = 0;
  std::array<std::thread, kMaxThreads> workers;

  /// The first index of thread `share`'s; that of the next thread's is its end.
  [[nodiscard]] std::uint64_t share_begin(std::uint64_t total, unsigned share) const {
    return total * share / (worker_count + 1);
  }
  void work(unsigned thread, std::uint32_t job);
  [[nodiscard]] std::uint32_t work_on(unsigned share, unsigned thread, std::uint32_t job);
  void take_own_core(unsigned thread, Clock::time_point& last_move);  // workers only
  void serve(unsigned thread);
};

void ThreadPool::State::work(unsigned thread, std::uint32_t job) {
  for (unsigned i = 0; i <= worker_count; ++i) {
    const std::uint32_t finished = work_on((thread + i) % (worker_count + 1), thread, job);
    if (finished == 0) continue;
    // `count` is still this job's: run() cannot return before these are counted.
    if (done.fetch_add(finished, std::memory_order_acq_rel) + finished == count.load(std::memory_order_acquire)) {
      done.notify_one();
    }
  }
}

/// How many indices of the share this thread did; all of one job, since no other opens before they are counted.
std::uint32_t ThreadPool::State::work_on(unsigned share, unsigned thread, std::uint32_t job) {
  auto& ticket = tickets[share].next;
  auto seen = ticket.load(std::memory_order_acquire);
  std::uint32_t finished = 0;
  for (;;) {
    const auto index = seen & kClosed;
    const auto total = count.load(std::memory_order_acquire);
    // A late thread leaves the next job to its next round, which begins with its own share.
    if (seen >> kEpochShift != job || index == kClosed || index >= share_begin(total, share + 1)) return finished;
    const auto run_task = task.load(std::memory_order_acquire);
    const auto argument = context.load(std::memory_order_acquire);
    if (!ticket.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    run_task(argument, static_cast<std::size_t>(index), thread);
    ++finished;
    seen = ticket.load(std::memory_order_acquire);
  }
}

/// On a busy machine the kernel may wake a worker on the caller's core. Since one of the two then sleeps while the
/// other works, it sees no reason to part them again, and two threads are as slow as one.
void ThreadPool::State::take_own_core(unsigned thread, Clock::time_point& last_move) {
  const int core = ::sched_getcpu();
  tickets[thread].core.store(core, std::memory_order_relaxed);
  if (core < 0 || spin.count() == 0) return;
  cpu_set_t taken;
  CPU_ZERO(&taken);
  for (unsigned other = 0; other <= worker_count; ++other) {
    const int used = tickets[other].core.load(std::memory_order_relaxed);
    if (other != thread && used >= 0 && used < CPU_SETSIZE) CPU_SET(used, &taken);
  }
  if (core >= CPU_SETSIZE || !CPU_ISSET(core, &taken) || Clock::now() - last_move < kBetweenMoves) return;
  move_off(taken);
  last_move = Clock::now();
  tickets[thread].core.store(::sched_getcpu(), std::memory_order_relaxed);
}

void ThreadPool::State::serve(unsigned thread) {
  pin_this_thread(cores);
  std::uint32_t seen = 0;
  Clock::time_point last_move{};
  while (!stop.load(std::memory_order_acquire)) {
    spin_until(spin, [&] { return epoch.load(std::memory_order_acquire) != seen; });
    epoch.wait(seen, std::memory_order_acquire);
    seen = epoch.load(std::memory_order_acquire);
    take_own_core(thread, last_move);
    work(thread, seen);
  }
}

ThreadPool::ThreadPool(const ThreadPoolOptions& options) : state_(std::make_unique<State>()) {
  const unsigned core_count =
      options.cores.empty() ? allowed_core_count() : static_cast<unsigned>(options.cores.size());
  const unsigned wanted = std::min(options.thread_count == 0 ? core_count : options.thread_count, kMaxThreads);
  state_->cores = options.cores;
  if (wanted <= core_count) state_->spin = options.spin;
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

std::chrono::microseconds ThreadPool::spin() const { return state_->spin; }

void ThreadPool::run(std::size_t count, Task task, void* context) {
  if (state_->worker_count == 0 || count <= 1) {
    for (std::size_t index = 0; index < count; ++index) task(context, index, 0);
    return;
  }
  State& state = *state_;
  state.tickets[0].core.store(::sched_getcpu(), std::memory_order_relaxed);
  const auto next_epoch = state.epoch.load(std::memory_order_relaxed) + 1;
  const auto high = static_cast<std::uint64_t>(next_epoch) << kEpochShift;
  // Closed first: whoever reads a field of the new job fails its compare-and-swap on the old ticket.
  for (unsigned share = 0; share <= state.worker_count; ++share) {
    state.tickets[share].next.store(high | kClosed, std::memory_order_release);
  }
  state.done.store(0, std::memory_order_release);
  state.task.store(task, std::memory_order_release);
  state.context.store(context, std::memory_order_release);
  state.count.store(static_cast<std::uint32_t>(count), std::memory_order_release);
  for (unsigned share = 0; share <= state.worker_count; ++share) {
    state.tickets[share].next.store(high | state.share_begin(count, share), std::memory_order_release);
  }
  state.epoch.store(next_epoch, std::memory_order_release);
  state.epoch.notify_all();
  state.work(0, next_epoch);
  const auto total = static_cast<std::uint32_t>(count);
  spin_until(state.spin, [&] { return state.done.load(std::memory_order_acquire) == total; });
  for (auto seen = state.done.load(std::memory_order_acquire); seen != total;
       seen = state.done.load(std::memory_order_acquire)) {
    state.done.wait(seen, std::memory_order_acquire);
  }
}

ThreadPool::Turn::Turn(ThreadPool& pool, int priority) : pool_(pool), priority_(priority) {
  thread_local std::uint64_t pinned_for = 0;
  State& state = *pool_.state_;
  if (!state.cores.empty() && pinned_for != state.id) {
    pinned_for = state.id;
    pin_this_thread(state.cores);
  }
  state.turnstile.enter(priority_);
}

ThreadPool::Turn::~Turn() { pool_.state_->turnstile.leave(); }

void ThreadPool::Turn::offer() {
  auto& turnstile = pool_.state_->turnstile;
  if (turnstile.highest_waiting() > priority_) turnstile.give_way(priority_);
}

}  // namespace wayside::accel::cpu
