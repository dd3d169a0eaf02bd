// SPDX-License-Identifier: Apache-2.0
// Suite: runs each built model with TFLite's reference kernels and keeps what they gave.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tests/conformance/golden.h"

namespace wayside::conformance {

/// Runs `model` on `inputs` (bytes of each input tensor) with BuiltinRefOpResolver, one thread, no delegate.
/// Fails with TFLite's own message where it refuses the model.
base::Result<std::vector<GoldenOutput>> run_reference(std::span<const std::uint8_t> model,
                                                      std::span<const std::vector<std::uint8_t>> inputs);

/// Collects the cases of all operators, by file name.
class Suite {
 public:
  /// Fills the inputs from `seed`, runs the reference, keeps the case in `<op>.golden`; prints a refusal and drops it.
  void add(const std::string& op, const std::string& name, std::uint64_t seed, std::vector<std::uint8_t> model);
  /// Same with given inputs.
  void add(const std::string& op, const std::string& name, std::uint64_t seed, std::vector<std::uint8_t> model,
           std::vector<std::vector<std::uint8_t>> inputs);
  /// Writes one file per operator; prints sizes and counts.
  base::Result<void> write(const std::filesystem::path& folder) const;
  /// Writes the smallest model of each operator as `<op>.tflite`: the corpus of the fuzz target.
  base::Result<void> write_corpus(const std::filesystem::path& folder) const;
  [[nodiscard]] std::size_t refused() const { return refused_; }

 private:
  std::map<std::string, std::vector<GoldenCase>> cases_;
  std::size_t refused_ = 0;
};

}  // namespace wayside::conformance
