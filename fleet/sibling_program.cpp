// SPDX-License-Identifier: Apache-2.0
// Looks for the program and execs it.
#include "fleet/sibling_program.h"

#include <unistd.h>

#include <cstdlib>
#include <format>

namespace wayside::fleet {
namespace {

bool is_program(const std::filesystem::path& path) { return ::access(path.c_str(), X_OK) == 0; }

}  // namespace

base::Result<std::filesystem::path> find_program(const SiblingProgram& program, const std::filesystem::path& self,
                                                 std::string_view search_path) {
  const auto folder = self.parent_path();
  for (const auto& candidate : {folder / program.name, folder.parent_path() / program.build_folder / program.name}) {
    if (is_program(candidate)) return candidate;
  }
  for (std::size_t start = 0; start < search_path.size();) {
    const auto end = std::min(search_path.find(':', start), search_path.size());
    const auto candidate = std::filesystem::path(search_path.substr(start, end - start)) / program.name;
    if (end > start && is_program(candidate)) return candidate;
    start = end + 1;
  }
  return base::fail(base::Code::not_found,
                    std::format("cannot find {} in {} or in PATH: {}", program.name, folder.string(), program.remedy));
}

base::Error exec_program(const SiblingProgram& program, const std::vector<std::string>& arguments) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const char* search_path = std::getenv("PATH");
  const auto path = find_program(program, self, search_path != nullptr ? search_path : "");
  if (!path) return path.error();
  std::vector<char*> raw{const_cast<char*>(path->c_str())};
  for (const auto& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  ::execv(path->c_str(), raw.data());
  return base::fail_errno("cannot run " + path->string()).error();
}

}  // namespace wayside::fleet
