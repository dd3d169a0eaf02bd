// SPDX-License-Identifier: Apache-2.0
// The start of a jailed program, and its autopsy.
#include "agent/sandbox/child.h"

#include <spawn.h>

#include <algorithm>
#include <array>
#include <format>

#include "base/plain_line.h"

namespace wayside::agent {

using base::Code;

std::filesystem::path fetch_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::filesystem::path("/usr/bin/wayside-fetch") : self.parent_path() / "wayside-fetch";
}

base::Result<Child> start_child(const std::filesystem::path& program, std::vector<std::string> arguments,
                                std::span<const int> descriptors) {
  posix_spawn_file_actions_t actions;
  if (::posix_spawn_file_actions_init(&actions) != 0) return base::fail(Code::io, "posix_spawn: no memory");
  // A source that has its number already loses its close-on-exec flag by this (POSIX.1-2024).
  for (std::size_t i = 0; i < descriptors.size(); ++i)
    ::posix_spawn_file_actions_adddup2(&actions, descriptors[i], static_cast<int>(i));
  arguments.insert(arguments.begin(), program.string());
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::array<char*, 1> environment{nullptr};
  pid_t pid = -1;
  const int code = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, pointers.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return base::fail_errno(std::format("cannot start {}: is it installed?", program.string()), code);
  return Child(pid);
}

base::Error verdict_on(std::string_view program, std::string_view job, int status, std::string_view words) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return {.code = Code::bad_state,
            .message = std::format("{} {} {}: its input may be an attack", program, job,
                                   signal == SIGSYS ? "was killed for a forbidden system call"
                                                    : std::format("was killed by signal {}", signal))};
  }
  const std::string line = base::plain_line(words, words.find('\n'));
  return {.code = Code::corrupt,
          .message = std::format("{} refused its input (code {}): {}", job, WEXITSTATUS(status), line)};
}

}  // namespace wayside::agent
