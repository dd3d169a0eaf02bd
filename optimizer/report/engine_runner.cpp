// SPDX-License-Identifier: Apache-2.0
// Between real numbers and the model's own types.
#include "optimizer/report/engine_runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <format>

namespace wayside::optimizer {

base::Result<void> fill_input(accel::Session& session, const ir::Values& input) {
  const auto& q = session.inputs()[0].quantization;
  const auto bytes = session.input(0);
  if (bytes.size() != input.size())
    return base::fail(base::Code::invalid_argument,
                      std::format("a sample has {} values, the model takes {}", input.size(), bytes.size()));
  for (std::size_t i = 0; i < input.size(); ++i) {
    const float steps = std::nearbyint(input[i] / q.scale) + static_cast<float>(q.zero_point);
    bytes[i] = static_cast<std::byte>(static_cast<std::int8_t>(std::clamp(steps, -128.0F, 127.0F)));
  }
  return {};
}

base::Result<EngineRunner> EngineRunner::load(const std::filesystem::path& file) {
  EngineRunner runner;
  runner.engine_ = accel::make_cpu_accelerator();
  WAYSIDE_TRY(runner.session_, runner.engine_->load(file, {}));
  return runner;
}

base::Result<std::vector<ir::Values>> EngineRunner::run(const ir::Values& input) {
  WAYSIDE_CHECK(fill_input(*session_, input));
  WAYSIDE_CHECK(times_.run(*session_));
  std::vector<ir::Values> out;
  for (std::size_t i = 0; i < session_->outputs().size(); ++i) {
    const auto& q = session_->outputs()[i].quantization;
    ir::Values values;
    for (const std::byte byte : session_->output(i))
      values.push_back(q.scale * static_cast<float>(static_cast<std::int8_t>(byte) - q.zero_point));
    out.push_back(std::move(values));
  }
  return out;
}

base::Result<EngineRunner::GoldenSet> EngineRunner::golden_set(const std::vector<ir::Values>& samples) {
  GoldenSet out;
  for (const auto& sample : samples) {
    WAYSIDE_CHECK(fill_input(*session_, sample));
    const auto input = session_->input(0);
    out.inputs.insert(out.inputs.end(), input.begin(), input.end());
    WAYSIDE_CHECK(session_->run());
    for (std::size_t i = 0; i < session_->outputs().size(); ++i) {
      const auto output = session_->output(i);
      out.outputs.insert(out.outputs.end(), output.begin(), output.end());
    }
    ++out.count;
  }
  return out;
}

double EngineRunner::percentile_ms(double share) const {
  return std::chrono::duration<double, std::milli>(times_.percentile(share)).count();
}

}  // namespace wayside::optimizer
