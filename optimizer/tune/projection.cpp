// SPDX-License-Identifier: Apache-2.0
// Signs drawn by torch's generator.
#include "optimizer/tune/projection.h"

#include <cmath>

namespace wayside::optimizer {

torch::Tensor projected(const std::vector<torch::Tensor>& outputs, torch::Generator& random) {
  auto sum = torch::zeros({});
  for (const auto& output : outputs) {
    const auto signs = torch::randint(0, 2, output.sizes(), random, output.options()) * 2 - 1;
    constexpr double kLeast = 1e-6;  // an output that is always zero tells nothing
    const auto size = output.detach().square().mean().sqrt().clamp_min(kLeast);
    sum = sum + (output * signs).mean() / size * std::sqrt(static_cast<double>(output.numel()));
  }
  return sum;
}

}  // namespace wayside::optimizer
