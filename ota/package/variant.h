// SPDX-License-Identifier: Apache-2.0
// Which variant of a model fits this board: decided by probed runtime versions, not by the board's name.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ota/package/refusal.h"

namespace wayside::ota {

/// Up to four dotted numbers; missing ones are 0: 4.20 == 4.20.0.0.
struct RuntimeVersion {
  std::array<std::uint32_t, 4> part{};
  auto operator<=>(const RuntimeVersion&) const = default;
  [[nodiscard]] static Checked<RuntimeVersion> parse(std::string_view text);
};

/// ">=4.20 <4.21": all comparisons must hold; operators >= > <= < =, at most kMaxComparisons.
class VersionRange {
 public:
  static constexpr std::size_t kMaxComparisons = 4;
  [[nodiscard]] static Checked<VersionRange> parse(std::string_view text);
  [[nodiscard]] bool holds(const RuntimeVersion& version) const;

 private:
  struct Comparison {
    std::string_view symbol;  // points into a constant table
    RuntimeVersion bound;
  };
  std::vector<Comparison> all_;
};

/// One accelerator as probed: what it is and the versions of what drives it.
struct Runtime {
  std::string accelerator;  ///< "cpu-int8", "opencl", "hailo8", "rk3588", "tensorrt"
  /// "hailort" -> "4.20.0", "librknnrt" -> "2.3.0", "tensorrt" -> "8.2.1", "gpu_arch" -> "sm_53" (names equal exactly)
  std::map<std::string, std::string> versions;
};

/// What a variant asks of its runtime. A value with a comparison operator is a range, otherwise it must be equal.
using Requirements = std::map<std::string, std::string>;

[[nodiscard]] Checked<void> check_requirements(const Requirements& requirements);
/// Every requirement is met by what was probed; what was not probed is not met.
[[nodiscard]] bool fits(const Requirements& requirements, const Runtime& runtime);

}  // namespace wayside::ota
