// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any text as the agent's configuration; what is accepted must come back the same when it is written out.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <format>
#include <string>

#include "agent/config.h"
#include "base/unique_fd.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

namespace {

using namespace wayside;

/// As a file, because the configuration is one: in memory, under its name in /proc.
base::Result<agent::Config> load(std::string_view text) {
  const base::UniqueFd file(::memfd_create("config", MFD_CLOEXEC));
  if (!file.valid() || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::abort();
  return agent::load_config(std::format("/proc/self/fd/{}", file.get()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = load({reinterpret_cast<const char*>(data), size});
  if (!config) {
    const auto& message = config.error().message;
    if (!message.empty() && !message.contains('\n')) return 0;
    std::fprintf(stderr, "the error message is not one line: '%s'\n", message.c_str());
    std::abort();
  }
  ++fuzz::accepted_count;
  const auto written = agent::to_yaml(*config);
  const auto again = load(written);
  if (again && agent::to_yaml(*again) == written) return 0;
  std::fprintf(stderr, "does not come back: %s\n%s", again ? "differs" : again.error().message.c_str(),
               written.c_str());
  std::abort();
}
