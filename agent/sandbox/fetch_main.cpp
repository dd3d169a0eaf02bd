// SPDX-License-Identifier: Apache-2.0
// wayside-fetch: parses downloaded bytes in a jail. Job name as the only argument, input on 0, checked result on 1.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "agent/sandbox/jail.h"
#include "ota/rollout_policy.h"

namespace {

using wayside::base::Result;

constexpr std::size_t kMaxInputBytes = std::size_t{16} << 20U;

/// A job gets untrusted bytes and returns bytes that the agent may trust to be well-formed.
struct Job {
  std::string_view name;
  Result<std::string> (*run)(const std::string& input);
};

Result<std::string> rollout_policy(const std::string& input) {
  WAYSIDE_TRY(const auto policy, wayside::ota::parse_rollout_policy(input));
  return wayside::ota::to_json(policy);
}

constexpr std::array kJobs{Job{"rollout-policy", rollout_policy}};

Result<std::string> read_all() {
  std::string all;
  std::array<char, 64 * 1024> chunk{};
  while (true) {
    const ssize_t count = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (count < 0) return wayside::base::fail_errno("read");
    if (count == 0) return all;
    if (all.size() + static_cast<std::size_t>(count) > kMaxInputBytes)
      return wayside::base::fail(wayside::base::Code::exhausted, "input is larger than 16 MiB");
    all.append(chunk.data(), static_cast<std::size_t>(count));
  }
}

/// No stdio after the jail is closed: it would ask the kernel about the descriptor.
bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

int complain(const wayside::base::Error& error) {
  (void)write_all(STDERR_FILENO, error.message + "\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const Job* job = nullptr;
  for (const auto& one : kJobs) {
    if (argc == 2 && one.name == argv[1]) job = &one;
  }
  if (job == nullptr) {
    (void)write_all(STDERR_FILENO, "usage: wayside-fetch rollout-policy <INPUT >OUTPUT\n");
    return 2;
  }
  if (const auto jailed = wayside::agent::enter_jail(); !jailed) return complain(jailed.error());
  const auto input = read_all();
  if (!input) return complain(input.error());
  const auto output = job->run(*input);
  if (!output) return complain(output.error());
  return write_all(STDOUT_FILENO, *output) ? 0 : 1;
}
