// SPDX-License-Identifier: Apache-2.0
// Starts Debian's linux.uml in a session of its own; its root is this file system, read-only, through hostfs.
#include "tests/system/machine_cut/machine.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "tests/system/machine_cut/disk_log.h"

namespace wayside::test {
namespace {

/// Room for agent, broker, chunk server and page cache.
constexpr const char* kMemory = "mem=256M";

/// Ends the whole machine when whoever started it is no more: its disk thread and processes would outlive a killed
/// test.
void leave_watcher(int owner, int output) {
  if (::fork() != 0) return;
  ::close(output);  // its end tells that the machine has ended
  char none = 0;
  while (::read(owner, &none, 1) < 0) {
  }
  ::kill(0, SIGKILL);
}

/// `owner` reads the end of a pipe that the caller's process holds.
[[noreturn]] void become_machine(const MachineFiles& files, int output, int owner) {
  ::setsid();
  leave_watcher(owner, output);
  ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::setenv("LD_PRELOAD", WAYSIDE_VOLATILE_DISK, 1);
  ::setenv("WAYSIDE_DISK", files.image().c_str(), 1);
  ::setenv("WAYSIDE_DISK_LOG", files.log().c_str(), 1);
  const std::vector<std::string> words = {files.kernel(),
                                          kMemory,
                                          "uml_dir=" + files.folder.string() + "/",
                                          "umid=machine",
                                          "ubd0=" + files.image().string(),
                                          "root=/dev/root",
                                          "rootfstype=hostfs",
                                          "rootflags=/",
                                          "ro",
                                          "init=" WAYSIDE_MACHINE_GUEST,
                                          "con=null",
                                          "con0=null,fd:1",
                                          "quiet",
                                          "WAYSIDE_WORLD=" + files.world.string(),
                                          "WAYSIDE_MACHINE_ROOT=" + files.root.string()};
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

}  // namespace

Machine::Machine(const MachineFiles& files) : powered_on_(std::chrono::steady_clock::now()) {
  std::filesystem::copy_file(files.medium(), files.image(), std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(files.image(), std::filesystem::file_size(files.medium()) + kSectorBytes);
  std::ofstream(files.log(), std::ios::binary | std::ios::trunc).flush();
  std::filesystem::remove_all(files.folder / "machine");  // where the one before had its control socket
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe for the console");
  output_.reset(pipe[0]);
  std::array<int, 2> life{};
  if (::pipe2(life.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe for the machine's watcher");
  life_.reset(life[1]);
  pid_ = ::fork();
  if (pid_ == 0) {
    life_.reset();
    become_machine(files, pipe[1], life[0]);
  }
  ::close(pipe[1]);
  ::close(life[0]);
  if (pid_ < 0) throw std::runtime_error("no process for the machine");
}

std::optional<std::string> Machine::take_line() {
  while (true) {
    const auto end = console_.find('\n', looked_at_);
    if (end == std::string::npos) return std::nullopt;
    std::string line = console_.substr(looked_at_, end - looked_at_);
    looked_at_ = end + 1;
    if (line.ends_with('\r')) line.pop_back();
    if (line.starts_with("MC ")) return line.substr(3);
  }
}

std::optional<std::string> Machine::hear(MachineTime deadline) {
  while (true) {
    if (auto line = take_line()) return line;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (ended_ || left.count() <= 0) return std::nullopt;
    pollfd wanted{output_.get(), POLLIN, 0};
    if (::poll(&wanted, 1, static_cast<int>(left.count())) <= 0) continue;
    std::array<char, 4096> text{};
    const auto got = ::read(output_.get(), text.data(), text.size());
    if (got <= 0) ended_ = true;
    if (got <= 0) continue;
    console_.append(text.data(), static_cast<std::size_t>(got));
    if (std::getenv("WAYSIDE_MACHINE_CONSOLE") != nullptr)
      std::fwrite(text.data(), 1, static_cast<std::size_t>(got), stderr);
  }
}

void Machine::cut_power() {
  if (pid_ <= 0) return;
  // The kernel, its disk thread and the processes in it are one process group.
  ::kill(-pid_, SIGKILL);
  while (::waitpid(-pid_, nullptr, 0) > 0) {
  }
  pid_ = -1;
}

}  // namespace wayside::test
