// SPDX-License-Identifier: Apache-2.0
// run_jailed(): hands untrusted bytes to a program that jails itself, and takes its answer; the agent outlives whatever
// happens.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace wayside::agent {

struct JailedJob {
  std::filesystem::path program;     ///< wayside-fetch
  std::string name;                  ///< its only argument: which job
  std::span<const std::byte> input;  ///< to its standard input
  std::size_t max_output_bytes = std::size_t{1} << 20U;
  std::chrono::milliseconds limit{30'000};
};

/// Starts the program with an empty environment and three pipes, and waits for its end. The answer is what it wrote to
/// standard output before it ended with code 0. Errors: corrupt (it refused the input; the message is its first line on
/// standard error), bad_state (killed for a forbidden system call, or crashed: take the input for an attack), exhausted
/// (too much output), timeout, io (cannot be started). It never runs on after this returns. Blocks; not for the vision
/// thread.
base::Result<std::vector<std::byte>> run_jailed(const JailedJob& job);

}  // namespace wayside::agent
