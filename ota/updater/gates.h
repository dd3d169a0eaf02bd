// SPDX-License-Identifier: Apache-2.0
// Gates: what the device does for the updater; the agent implements it with the real transfer, sessions and pipeline.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ota/package/manifest.h"
#include "ota/updater/journal.h"

namespace wayside::ota {

/// Answer to one poll of something that may take long.
struct Step {
  enum class Kind {
    working,      ///< ask again
    done,         ///< ended well
    failed,       ///< ended badly for a reason outside the model (network, disk, deadline): may be tried again
    model_failed  ///< the model itself was found wanting: this manifest is not tried again
  };
  Kind kind = Kind::done;
  std::string reason;  ///< one line, for failed and model_failed

  static Step working() { return {Kind::working, {}}; }
  static Step done() { return {Kind::done, {}}; }
  static Step failed(std::string reason) { return {Kind::failed, std::move(reason)}; }
  static Step model_failed(std::string reason) { return {Kind::model_failed, std::move(reason)}; }
};

/// What the update is about, for the calls below; references live for the call.
struct Task {
  const Job& job;
  const Manifest& manifest;
  const Variant& variant;
};

/// Each call polls and returns soon; the updater calls again while it says working, and may start over after a restart.
class Gates {
 public:
  virtual ~Gates() = default;
  /// Gets the missing blobs into the BlobStore.
  virtual Step fetch(const Task& task, const std::vector<Blob>& missing) = 0;
  /// Builds an engine from the variant's file (only for variants that want it). Deterministic cache key is the
  /// caller's.
  virtual Step compile(const Task& task) = 0;
  /// Golden set and limits on the real accelerator (golden.h judges).
  virtual Step self_test(const Task& task) = 0;
  /// Old and new model on live frames; only when the manifest asks for it.
  virtual Step shadow(const Task& task) = 0;
  /// The pipeline of `role` runs this model from the next frame on; nothing: the model of the configuration.
  virtual Step swap(const std::string& role, const std::optional<Installed>& installed) = 0;
  /// Firmware: the bundle into the other slot, then the restart into it. working until the new system runs, over the
  /// restart; failed and model_failed when it does not, or when the device came back to the old one.
  virtual Step install(const Task&) { return Step::failed("this device takes no firmware"); }
  /// Guard metrics of the new model at work; done when the probation is over. Firmware: done when the system has called
  /// itself good, model_failed when the device came back to the old one.
  virtual Step watch(const Task& task) = 0;
  /// The update is over or given up: stop what the calls above began.
  virtual void forget(const Job& job) = 0;
};

}  // namespace wayside::ota
