// SPDX-License-Identifier: Apache-2.0
// Child and Pipe: a started program that does not outlive its owner, and a pipe to it.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace wayside::agent {

struct Pipe {
  base::UniqueFd read, write;
  static base::Result<Pipe> make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return base::fail_errno("pipe");
    return Pipe{base::UniqueFd(ends[0]), base::UniqueFd(ends[1])};
  }
};

/// Kills and reaps on destruction unless it was reaped.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    (void)reap();
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Of one that should have ended by now, and may not want to: the status is still that of its own end, if it had one.
  int end() {
    ::kill(pid_, SIGKILL);
    return reap();
  }
  /// Waits for its end; the status as waitpid(2) gives it.
  int reap() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_;
};

/// wayside-fetch beside the running program.
[[nodiscard]] std::filesystem::path fetch_program();

/// Starts `program` without an environment; descriptors[i] becomes its descriptor i.
[[nodiscard]] base::Result<Child> start_child(const std::filesystem::path& program, std::vector<std::string> arguments,
                                              std::span<const int> descriptors);

/// Why a jailed program did not end with 0: refused its input (corrupt), or was killed (bad_state). `words`: what it
/// wrote on standard error, of which the first line is told; the writer is not trusted with our log.
[[nodiscard]] base::Error verdict_on(std::string_view program, std::string_view job, int status,
                                     std::string_view words);

}  // namespace wayside::agent
