// SPDX-License-Identifier: Apache-2.0
// ThreadPool: the engine's own few worker threads, which several sessions may share; the caller's thread works too.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <vector>

namespace wayside::accel::cpu {

struct ThreadPoolOptions {
  unsigned thread_count = 1;  ///< with the caller's thread: 1 makes no threads at all; 0: one per core of `cores`
  /// How long an idle thread waits awake for the next piece of work before it sleeps: longer than the gap between two
  /// layers of a network, short against a frame. 0: it sleeps at once, which saves power and costs a wake-up per layer.
  std::chrono::microseconds spin{50};
  /// Workers, and callers from their first Turn on, run only on these cores; empty: anywhere. Best effort: a core that
  /// the system does not give is no error.
  std::vector<unsigned> cores{};
};

class ThreadPool {
 public:
  static constexpr unsigned kMaxThreads = 16;  ///< more are not made
  explicit ThreadPool(const ThreadPoolOptions& options);
  explicit ThreadPool(unsigned thread_count) : ThreadPool(ThreadPoolOptions{.thread_count = thread_count}) {}
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] unsigned thread_count() const;
  /// 0 also where there are more threads than cores: waiting awake would take the core from those that work.
  [[nodiscard]] std::chrono::microseconds spin() const;

  /// Calls task(context, index, thread) for each index in [0, count), `thread` in [0, thread_count()); returns when all
  /// are done. One caller at a time: where several share the pool, each holds a Turn. Allocates nothing; no system call
  /// but to wake sleeping threads and to sleep.
  using Task = void (*)(void* context, std::size_t index, unsigned thread);
  void run(std::size_t count, Task task, void* context);

  /// run() for a callable `body(index, thread)`.
  template <class Body>
  void for_each(std::size_t count, Body&& body) {
    run(
        count,
        [](void* context, std::size_t index, unsigned thread) {
          (*static_cast<std::remove_reference_t<Body>*>(context))(index, thread);
        },
        const_cast<void*>(static_cast<const volatile void*>(&body)));
  }

  /// The right to use the pool, held for one inference: however many sessions share the pool, thread_count() threads
  /// work. Waits asleep while another holds it; the highest priority goes first, among equals the first that came.
  class Turn {
   public:
    Turn(ThreadPool& pool, int priority);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    /// Between two jobs: lets those with a higher priority that wait go first, then goes on.
    void offer();

   private:
    ThreadPool& pool_;
    int priority_;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wayside::accel::cpu
