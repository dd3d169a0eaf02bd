// SPDX-License-Identifier: Apache-2.0
// posix_spawn with redirected output.
#include "tests/system/agent_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

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
  std::vector<char*> raw{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) std::abort();
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes must not leave its programs behind
  ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDOUT_FILENO);
  ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), STDERR_FILENO);
  ::execv(program.c_str(), raw.data());
  ::_exit(127);
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
