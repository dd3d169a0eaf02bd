// SPDX-License-Identifier: Apache-2.0
// ChildProgram: one program that is started, looked at now and then, and killed when nobody wants it any more.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace wayside::agent {

/// One owner thread. Its standard input is empty; standard output and error are one stream of lines.
class ChildProgram {
 public:
  static constexpr std::size_t kMaxLineBytes = 512;  ///< what is longer is cut
  static constexpr std::size_t kMaxLines = 256;      ///< the oldest are forgotten

  /// `arguments[0]` is looked for on PATH. Errors: io with the remedy when it cannot be started.
  static base::Result<ChildProgram> start(const std::vector<std::string>& arguments);
  ~ChildProgram() { stop(); }
  ChildProgram(ChildProgram&& other) noexcept;
  ChildProgram& operator=(ChildProgram&& other) noexcept;

  /// Takes what it has written; its exit code once it has ended (128 + signal where one ended it). Never waits.
  std::optional<int> poll();
  /// Whole lines so far, without control characters.
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

 private:
  ChildProgram(pid_t pid, base::UniqueFd output) : pid_(pid), output_(std::move(output)) {}
  void read_output();
  void stop();
  pid_t pid_ = -1;  ///< -1: reaped
  std::optional<int> exit_code_;
  base::UniqueFd output_;
  std::string open_line_;
  std::vector<std::string> lines_;
};

}  // namespace wayside::agent
