// SPDX-License-Identifier: Apache-2.0
// sigwait in a thread.
#include "agent/signal_watcher.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"

namespace wayside::agent {
namespace {

/// Sent by the destructor to end the thread.
constexpr int kWakeSignal = SIGUSR1;

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, kWakeSignal}) sigaddset(&set, signal);
  return set;
}

}  // namespace

void SignalWatcher::block_signals() {
  const sigset_t set = watched_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

SignalWatcher::SignalWatcher(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {
  block_signals();
  thread_ = std::thread([this] {
    const sigset_t watched = watched_signals();
    bool stopping = false;
    for (int signal = 0; ::sigwait(&watched, &signal) == 0 && signal != kWakeSignal;) {
      if (stopping) ::_exit(128 + signal);
      stopping = true;
      base::log_info("agent event=stopping signal={}", signal);
      on_stop_();
    }
  });
}

SignalWatcher::~SignalWatcher() {
  ::pthread_kill(thread_.native_handle(), kWakeSignal);
  thread_.join();
}

}  // namespace wayside::agent
