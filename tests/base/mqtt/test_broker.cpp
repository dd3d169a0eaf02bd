// SPDX-License-Identifier: Apache-2.0
// Starts and stops mosquitto for tests; readiness is read from its log, so nothing sleeps.
#include "tests/base/mqtt/test_broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <format>
#include <fstream>

namespace wayside::test {
namespace {

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "test broker: %s\n", why.c_str());
  std::abort();
}

/// A program that is started as PROGRAM PORT FOLDER in mosquitto's place and says " running"; null: there is none.
const char* other_broker() { return std::getenv("WAYSIDE_TEST_BROKER"); }

std::string find_mosquitto() {
  for (const char* path : {"/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return {};
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "wayside-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) give_up("mkdtemp failed");
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::uint16_t free_port() {
  const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    give_up("no free loopback port");
  }
  return ntohs(address.sin_port);
}

bool TestBroker::available() { return other_broker() != nullptr || !find_mosquitto().empty(); }

bool TestBroker::is_mosquitto() { return other_broker() == nullptr; }

TestBroker::TestBroker(std::string extra_config) : extra_config_(std::move(extra_config)), port_(free_port()) {
  start();
}

TestBroker::TestBroker(std::string config, std::uint16_t port)
    : extra_config_(std::move(config)), whole_(true), port_(port) {
  start();
}

TestBroker::~TestBroker() { kill(); }

void TestBroker::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void TestBroker::start() {
  const auto config = dir_.path() / "mosquitto.conf";
  std::string whole = extra_config_;
  for (std::size_t at = whole.find("@PORT@"); at != std::string::npos; at = whole.find("@PORT@")) {
    whole.replace(at, 6, std::to_string(port_));
  }
  std::ofstream(config) << (whole_ ? whole
                                   : std::format(
                                         "listener {} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest stderr\n"
                                         "connection_messages false\nlog_type error\nlog_type warning\nlog_type "
                                         "information\n{}\n",     // few lines: nobody
                                         port_, extra_config_));  // empties the pipe
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) give_up("pipe failed");
  log_.reset(ends[0]);
  base::UniqueFd write_end(ends[1]);

  const bool other = other_broker() != nullptr;
  const std::string program = other ? other_broker() : find_mosquitto();
  const std::string first = other ? std::to_string(port_) : "-c";
  const std::string second = other ? dir_.path().string() : config.string();
  pid_ = ::fork();
  if (pid_ < 0) give_up("fork failed");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes must not leave its broker behind
    ::dup2(write_end.get(), STDERR_FILENO);
    ::dup2(write_end.get(), STDOUT_FILENO);
    ::execl(program.c_str(), program.c_str(), first.c_str(), second.c_str(), nullptr);
    ::_exit(127);
  }
  write_end.reset();

  std::string seen;
  char chunk[512];
  while (seen.find(" running") == std::string::npos) {
    const ssize_t count = ::read(log_.get(), chunk, sizeof(chunk));
    if (count <= 0) give_up(program + " ended early: " + seen);
    seen.append(chunk, static_cast<std::size_t>(count));
  }
}

}  // namespace wayside::test
