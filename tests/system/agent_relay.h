// SPDX-License-Identifier: Apache-2.0
// Relay: a TCP relay between agent and broker that a test can cut, so that "the network is gone" is exact and
// repeatable.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace wayside::test {

class Relay {
 public:
  /// Listens on a free loopback port and forwards to `broker_port`.
  explicit Relay(std::uint16_t broker_port);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Ends all connections; new ones are closed at once. Returns when it is so.
  void cut();
  void resume();
  /// Forwarded so far, both ways together.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  void work();
  std::uint16_t broker_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<bool> cut_{false};
  std::atomic<bool> cut_seen_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace wayside::test
