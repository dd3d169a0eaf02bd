// SPDX-License-Identifier: Apache-2.0
// The agent as a whole: opens what the configuration names, wires it, and runs until told to stop.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "accel/accelerator.h"
#include "agent/config.h"
#include "agent/detector.h"
#include "base/result.h"
#include "drivers/camera/camera.h"

namespace wayside::agent {

struct RunOptions {
  std::optional<std::chrono::seconds> run_for{};  ///< absent: until a signal
};

struct RunSummary {
  std::uint64_t frames_in = 0, frames_processed = 0, frames_dropped = 0, frames_failed = 0;
  std::uint64_t detections = 0, events = 0, events_dropped = 0;
  std::size_t outbox_bytes = 0;  ///< of events that the broker has not got; they are sent by the next run
};

/// Runs the agent; returns when it was asked to stop, when the time is over, or when a finite replay has ended.
/// Errors: everything that prevents the start; each names the thing and the remedy.
base::Result<RunSummary> run_agent(const Config& config, const RunOptions& options);

/// Where packed weights are kept between runs (accel/cpu/packed_cache.h): "packed" in the state folder.
[[nodiscard]] std::filesystem::path packed_dir_of(const Config& config);

/// The accelerators of this machine, in the order of preference when a configuration names none.
[[nodiscard]] std::vector<std::unique_ptr<accel::Accelerator>> available_accelerators(
    const std::filesystem::path& packed_dir = {});

/// The first accelerator of the model's preference list that is present, or not_found naming those that are.
base::Result<std::unique_ptr<accel::Accelerator>> choose_accelerator(const ModelConfig& model,
                                                                     const std::filesystem::path& packed_dir = {});

/// What the configuration says about a model.
[[nodiscard]] DetectorOptions detector_options(const ModelConfig& model, std::uint16_t model_index);
/// Loads the model on an accelerator of its preference list.
base::Result<std::unique_ptr<Detector>> load_detector(const ModelConfig& model, std::uint16_t model_index,
                                                      accel::Accelerator& accelerator);

struct OpenCamera {
  std::unique_ptr<drivers::Camera> camera;
  drivers::CameraFormat format;
};
/// Opens and configures the camera; logs what was adjusted.
base::Result<OpenCamera> open_configured_camera(const CameraConfig& config);

}  // namespace wayside::agent
