// SPDX-License-Identifier: Apache-2.0
// Loads models from memory into the engine and runs them.
#include "tests/conformance/engine_run.h"

#include <algorithm>
#include <format>
#include <iterator>

#include "accel/cpu/cpu_session.h"

namespace wayside::conformance {

using accel::cpu::Level;
using base::Result;

std::string to_string(const EngineSetup& setup) {
  return std::format("{} with {} thread(s)", accel::cpu::to_string(setup.level), setup.thread_count);
}

std::vector<Level> supported_levels() {
  constexpr Level kAll[] = {Level::reference, Level::avx2, Level::avx_vnni, Level::avx256_vnni, Level::avx512_vnni,
                            Level::amx,       Level::neon, Level::neon_dot, Level::neon_i8mm};
  std::vector<Level> levels;
  std::ranges::copy_if(kAll, std::back_inserter(levels), accel::cpu::level_supported);
  return levels;
}

Result<std::unique_ptr<accel::Session>> load_model(std::span<const std::uint8_t> model, const EngineSetup& setup) {
  const accel::SessionOptions options{
      .thread_count = setup.thread_count, .max_batch = setup.max_batch, .split_all = true};
  return accel::cpu::CpuSession::create(std::as_bytes(model), options, setup.level);
}

Result<void> run_model(accel::Session& session, std::span<const std::vector<std::uint8_t>> inputs) {
  if (session.inputs().size() != inputs.size()) {
    return base::fail(base::Code::invalid_argument,
                      std::format("the model has {} inputs, the case {}", session.inputs().size(), inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto target = session.input(i);
    if (target.size() != inputs[i].size()) {
      return base::fail(base::Code::invalid_argument,
                        std::format("input {} has {} bytes, the case {}", i, target.size(), inputs[i].size()));
    }
    std::ranges::copy(std::as_bytes(std::span(inputs[i])), target.begin());
  }
  return session.run();
}

}  // namespace wayside::conformance
