// SPDX-License-Identifier: Apache-2.0
// Looks for waysided and execs it.
#include "fleet/agent_program.h"

#include <unistd.h>

#include <cstdlib>
#include <format>

namespace wayside::fleet {
namespace {

constexpr std::string_view kAgent = "waysided";

bool is_program(const std::filesystem::path& path) { return ::access(path.c_str(), X_OK) == 0; }

}  // namespace

base::Result<std::filesystem::path> find_agent(const std::filesystem::path& self, std::string_view search_path) {
  const auto folder = self.parent_path();
  for (const auto& candidate : {folder / kAgent, folder.parent_path() / "agent" / kAgent}) {
    if (is_program(candidate)) return candidate;
  }
  for (std::size_t start = 0; start < search_path.size();) {
    const auto end = std::min(search_path.find(':', start), search_path.size());
    const auto candidate = std::filesystem::path(search_path.substr(start, end - start)) / kAgent;
    if (end > start && is_program(candidate)) return candidate;
    start = end + 1;
  }
  return base::fail(base::Code::not_found, std::format("cannot find {} in {} or in PATH: is the device side installed?",
                                                       kAgent, folder.string()));
}

base::Error exec_agent(const std::vector<std::string>& arguments) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const char* search_path = std::getenv("PATH");
  const auto agent = find_agent(self, search_path != nullptr ? search_path : "");
  if (!agent) return agent.error();
  std::vector<char*> raw{const_cast<char*>(agent->c_str())};
  for (const auto& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  ::execv(agent->c_str(), raw.data());
  return base::fail_errno("cannot run " + agent->string()).error();
}

}  // namespace wayside::fleet
