// SPDX-License-Identifier: Apache-2.0
// Firmware: hands a bundle to RAUC, asks for the restart, and finds out afterwards which system runs and whether it
// holds.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/ota/child_program.h"
#include "base/clock.h"
#include "base/storage.h"
#include "ota/updater/gates.h"

namespace wayside::agent {

/// What the image says about the running system (run/wayside/os.json, written at every start; docs/operator/images.md).
struct RunningSystem {
  std::string version, slot;
  std::string failed_version;  ///< of the other slot, when it was left
  std::string failure;         ///< "kernel", "unhealthy: the agent has no broker", ...
};
/// Nothing where there is no firmware image. Untrusted only as far as it is bounded.
[[nodiscard]] std::optional<RunningSystem> read_running_system(const std::filesystem::path& system_root);

/// {"rauc", {"compatible": ...}} when this system has RAUC's slots (etc/rauc/system.conf); nothing else.
[[nodiscard]] std::optional<ota::Runtime> probe_installer(const std::filesystem::path& system_root);

struct FirmwareOptions {
  std::filesystem::path system_root = "/";
  std::filesystem::path store_root;  ///< folder of the BlobStore's Storage: RAUC reads the bundle itself
};

/// The bundle was fetched and hashed before; RAUC checks its signature and board once more. Calling a slot good is left
/// to the image's own wayside-confirm. What was installed in which boot is on disk, so that a device that comes back to
/// the old system without a word (a loader that never started the kernel) neither tries for ever nor waits for ever.
/// Thread: the updater's. `storage` and `clock` must outlive it.
class Firmware {
 public:
  Firmware(FirmwareOptions options, base::Storage& storage, const base::Clock& clock)
      : options_(std::move(options)), storage_(&storage), clock_(&clock) {}

  /// Why this firmware is not even fetched: it runs already, or it has failed here. Nothing: go on.
  [[nodiscard]] std::optional<ota::Step> objection(const ota::Task& task) const;
  /// Gates::install and, for a firmware, Gates::watch.
  ota::Step install(const ota::Task& task);
  ota::Step watch(const ota::Task& task) const;
  /// RAUC is told to stop; a record of an installation is forgotten.
  void forget();

  /// Of the installation, as RAUC says it.
  [[nodiscard]] unsigned percent() const { return percent_; }

 private:
  enum class Phase { idle, inspecting, installing, restarting };
  ota::Step begin(const ota::Task& task);
  ota::Step inspect(const ota::Task& task);
  ota::Step follow_installation(const ota::Task& task);
  ota::Step restart();
  [[nodiscard]] ota::Step came_back(const std::optional<RunningSystem>& running, const ota::Task& task) const;
  [[nodiscard]] std::filesystem::path bundle_of(const ota::Task& task) const;
  [[nodiscard]] std::string boot_id() const;

  FirmwareOptions options_;
  base::Storage* storage_;
  const base::Clock* clock_;
  Phase phase_ = Phase::idle;
  std::optional<ChildProgram> program_;
  unsigned percent_ = 0;
  base::MonotonicTime installed_{0};
  bool asked_for_restart_ = false;
};

}  // namespace wayside::agent
