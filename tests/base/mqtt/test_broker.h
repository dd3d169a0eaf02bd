// SPDX-License-Identifier: Apache-2.0
// TestBroker: a real mosquitto on a free loopback port, for the life of one test; can be killed and started again.
// With WAYSIDE_TEST_BROKER=tests/support/rabbitmq another broker, which knows nothing of mosquitto's settings.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/unique_fd.h"

namespace wayside::test {

/// A fresh directory under the system's temporary folder; removed with everything in it on destruction.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A TCP port on 127.0.0.1 that was free a moment ago.
[[nodiscard]] std::uint16_t free_port();

class TestBroker {
 public:
  /// False where mosquitto is not installed: the caller skips.
  [[nodiscard]] static bool available();
  /// False for the other broker: without shared subscriptions, and without retained messages for wildcards.
  [[nodiscard]] static bool is_mosquitto();
  /// Starts at once; aborts the test program when the broker does not come up. `extra_config`: more lines.
  explicit TestBroker(std::string extra_config = "");
  /// A broker with this configuration only; every "@PORT@" becomes its port.
  static TestBroker whole_config(const std::string& config) { return TestBroker(config, free_port()); }
  ~TestBroker();
  TestBroker(const TestBroker&) = delete;
  TestBroker& operator=(const TestBroker&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// SIGKILL: sessions and retained messages are lost, as with a crash without persistence.
  void kill();
  /// Starts again on the same port; returns when it listens.
  void start();

 private:
  TestBroker(std::string config, std::uint16_t port);
  TempDir dir_;
  std::string extra_config_;
  bool whole_ = false;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
  base::UniqueFd log_;  // kept open, so that the broker can go on writing
};

}  // namespace wayside::test
