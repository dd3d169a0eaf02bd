// SPDX-License-Identifier: Apache-2.0
// SignalWatcher: SIGTERM and SIGINT become one call in a thread of their own.
#pragma once

#include <functional>
#include <thread>

namespace wayside::agent {

/// A second signal ends the program at once, for people who press Ctrl-C twice.
class SignalWatcher {
 public:
  /// Blocks the signals for the calling thread and those that it makes: call first in main.
  static void block_signals();
  explicit SignalWatcher(std::function<void()> on_stop);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  std::function<void()> on_stop_;
  std::thread thread_;
};

}  // namespace wayside::agent
