// SPDX-License-Identifier: Apache-2.0
// ThreadPool: the engine's own few worker threads; the caller's thread works too.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace wayside::accel::cpu {

class ThreadPool {
 public:
  /// thread_count includes the caller's thread: 1 makes no threads at all; 0 means one per core. Bounded to
  /// kMaxThreads.
  static constexpr unsigned kMaxThreads = 16;
  explicit ThreadPool(unsigned thread_count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] unsigned thread_count() const;

  /// Calls task(context, index, thread) for each index in [0, count), `thread` in [0, thread_count()); returns when all
  /// are done. One caller at a time. Allocates nothing.
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

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace wayside::accel::cpu
