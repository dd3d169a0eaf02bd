// SPDX-License-Identifier: Apache-2.0
// AgentProcess: a real program of ours under test: started, waited for, killed; what it wrote is kept.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/base/mqtt/test_broker.h"

namespace wayside::test {

class AgentProcess {
 public:
  /// Starts `program` with these arguments; standard output and error go to files.
  AgentProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments);
  ~AgentProcess();  ///< kills it if it still runs
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  void send(int signal) const;
  /// Waits for the end; the exit code, or 128 + signal.
  int wait();
  [[nodiscard]] std::string output() const;
  [[nodiscard]] std::string errors() const;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  TempDir dir_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

/// Runs to the end; convenience for bad-input tests.
struct Finished {
  int exit_code;
  std::string output;
  std::string errors;
};
Finished run_to_end(const std::filesystem::path& program, const std::vector<std::string>& arguments);

}  // namespace wayside::test
