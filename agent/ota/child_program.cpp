// SPDX-License-Identifier: Apache-2.0
// posix_spawn, a pipe that is never waited for, waitpid.
#include "agent/ota/child_program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <format>
#include <utility>

extern char** environ;

namespace wayside::agent {

using base::fail_errno;

base::Result<ChildProgram> ChildProgram::start(const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  base::UniqueFd read(ends[0]), write(ends[1]);
  ::fcntl(read.get(), F_SETFL, O_NONBLOCK);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&actions) != 0 || ::posix_spawnattr_init(&attributes) != 0) {
    return base::fail(base::Code::io, "posix_spawn: no memory");
  }
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, write.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, write.get(), STDERR_FILENO);
  // The agent's threads block the signals that end it; a child must not inherit that. A group of its own: stop() ends
  // what it has started too.
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> texts = arguments;
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  pid_t pid = -1;
  const int code = ::posix_spawnp(&pid, texts.front().c_str(), &actions, &attributes, pointers.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return fail_errno(std::format("cannot start {}: is it installed?", texts.front()), code);
  return ChildProgram(pid, std::move(read));
}

ChildProgram::ChildProgram(ChildProgram&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      exit_code_(other.exit_code_),
      output_(std::move(other.output_)),
      open_line_(std::move(other.open_line_)),
      lines_(std::move(other.lines_)) {}

ChildProgram& ChildProgram::operator=(ChildProgram&& other) noexcept {
  if (this == &other) return *this;
  stop();
  pid_ = std::exchange(other.pid_, -1);
  exit_code_ = other.exit_code_;
  output_ = std::move(other.output_);
  open_line_ = std::move(other.open_line_);
  lines_ = std::move(other.lines_);
  return *this;
}

void ChildProgram::stop() {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void ChildProgram::read_output() {
  constexpr int kMaxReads = 64;  // of one call: a program that writes without end holds nobody up
  std::array<char, 4096> chunk{};
  for (int i = 0; i < kMaxReads && output_.valid(); ++i) {
    const ssize_t count = ::read(output_.get(), chunk.data(), chunk.size());
    if (count <= 0) return;
    for (const char c : std::string_view(chunk.data(), static_cast<std::size_t>(count))) {
      if (c != '\n') {
        if (open_line_.size() < kMaxLineBytes) open_line_ += c >= ' ' && c <= '~' ? c : '?';
        continue;
      }
      if (lines_.size() >= kMaxLines) lines_.erase(lines_.begin());
      lines_.push_back(std::exchange(open_line_, {}));
    }
  }
}

std::optional<int> ChildProgram::poll() {
  if (exit_code_) return exit_code_;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  read_output();
  if (ended != pid_) return std::nullopt;
  pid_ = -1;
  if (!open_line_.empty()) lines_.push_back(std::exchange(open_line_, {}));
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return exit_code_;
}

}  // namespace wayside::agent
