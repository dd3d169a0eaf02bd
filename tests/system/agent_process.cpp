// SPDX-License-Identifier: Apache-2.0
// posix_spawn with redirected output.
#include "tests/system/agent_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

extern char** environ;

namespace wayside::test {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

AgentProcess::AgentProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments) {
  const std::string out = (dir_.path() / "out").string();
  const std::string err = (dir_.path() / "err").string();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::vector<char*> raw{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  if (::posix_spawn(&pid_, program.c_str(), &actions, nullptr, raw.data(), environ) != 0) std::abort();
  posix_spawn_file_actions_destroy(&actions);
}

AgentProcess::~AgentProcess() {
  if (exit_code_) return;
  send(SIGKILL);
  wait();
}

void AgentProcess::send(int signal) const { ::kill(pid_, signal); }

int AgentProcess::wait() {
  if (!exit_code_) {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return *exit_code_;
}

std::string AgentProcess::output() const { return contents(dir_.path() / "out"); }
std::string AgentProcess::errors() const { return contents(dir_.path() / "err"); }

Finished run_to_end(const std::filesystem::path& program, const std::vector<std::string>& arguments) {
  AgentProcess process(program, arguments);
  const int exit_code = process.wait();
  return {exit_code, process.output(), process.errors()};
}

}  // namespace wayside::test
