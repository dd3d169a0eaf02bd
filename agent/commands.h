// SPDX-License-Identifier: Apache-2.0
// The commands of waysided besides running: check, devices, bench. Each prints for people or as JSON.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "agent/config.h"

namespace wayside::agent {

enum class Output { text, json };

/// Opens the model, the camera (and takes one picture), the state directory and the broker, as running would, and says
/// for each whether it works and what to do. Returns the exit code: 0 when all work.
int check_command(const Config& config, Output output);

/// Cameras, accelerators and temperature sensors of this machine. Exit code 0.
int devices_command(Output output);

struct BenchOptions {
  std::filesystem::path model;
  std::chrono::seconds duration{5};
  unsigned thread_count = 1;
};
/// Loads a model and runs it on a grey picture: load time, first run, steady percentiles of pre-processing, inference
/// and post-processing, memory. Exit code 1 when the model cannot be used.
int bench_command(const BenchOptions& options, Output output);

}  // namespace wayside::agent
