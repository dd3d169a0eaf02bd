// SPDX-License-Identifier: Apache-2.0
// Updater: takes signed metadata and commands, and carries out the transition table over journal, slots, store and
// gates.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/storage.h"
#include "ota/package/trust.h"
#include "ota/rollout_policy.h"
#include "ota/store/blob_store.h"
#include "ota/updater/command.h"
#include "ota/updater/counter_floor.h"
#include "ota/updater/gates.h"
#include "ota/updater/journal.h"
#include "ota/updater/slots.h"

namespace wayside::ota {

/// Signed manifests and policies that are kept in memory at a time; the broker's retained copies bring them back.
inline constexpr std::size_t kMaxOffers = 64;

/// How long a state may last before it counts as failed (a probation: this much longer than the manifest says). After a
/// restart the time starts anew; the loop guard bounds the sum.
struct Deadlines {
  std::chrono::seconds local{1800};  ///< accepted, verifying, staged, activating
  std::chrono::seconds downloading{86'400};
  std::chrono::seconds compile{3600};
  std::chrono::seconds self_test{900};
  std::chrono::seconds shadow{86'400};
  std::chrono::seconds probation_grace{3600};
};

struct UpdaterOptions {
  std::string device_id;
  DeviceFacts facts;  ///< counter_floor is filled in, per role
  Root root;
  std::int64_t built_unix_s = 0;  ///< no clock is earlier than the build of this program
  bool require_policy = false;    ///< nothing starts without a signed roll-out policy that admits it
  Deadlines deadlines;
};

/// An installed manifest, read back, hashed and parsed. Errors: not_found, corrupt, io.
[[nodiscard]] base::Result<Manifest> read_manifest(const BlobStore& store, const Digest& digest);

/// Single-threaded; everything passed in must outlive it.
class Updater {
 public:
  /// Reads journal and slots and gets ready to continue. A damaged file is reported by damaged() and does not stop the
  /// device. Call this before loading any model: a model that ends the process is counted here. Errors: io.
  static base::Result<Updater> open(base::Storage& storage, BlobStore& store, Gates& gates, const base::Clock& clock,
                                    UpdaterOptions options);

  /// The model that `role` is to run now; nothing: the one of the configuration.
  [[nodiscard]] std::optional<Installed> active(const std::string& role) const { return slots_.slot(role).active; }

  /// Takes a signed manifest; legal in every state. Returns its digest. The body is parsed after its signatures held.
  Checked<Digest> offer(Envelope envelope);
  Checked<Digest> offer(std::string_view envelope);
  /// Takes a signed roll-out policy; the same.
  Checked<void> offer_policy(const Envelope& envelope);
  Checked<void> offer_policy(std::string_view envelope);
  /// Starts an update. A repeated id is answered with command_repeated and changes nothing. Refusals: command_expired,
  /// command_repeated, busy, manifest_not_known, wrong_role, not_admitted, not_yet (the policy is not known yet, or
  /// does not admit this device before later), failed_before, those of choose_variant, io.
  Checked<void> command(const UpdateCommand& command);
  /// Ignored unless this command is being carried out and not committed yet.
  base::Result<void> cancel(std::string_view command_id);

  /// Does one step; true when something changed. Call until it returns false, then again after a while. An error means
  /// that the medium refused; nothing is lost, call again.
  base::Result<bool> poll();

  [[nodiscard]] State state() const { return entry_.state; }
  [[nodiscard]] const JournalEntry& entry() const { return entry_; }
  [[nodiscard]] const Slots& slots() const { return slots_; }
  [[nodiscard]] bool damaged() const { return damaged_ || slots_.damaged() || floor_.damaged(); }
  /// A root that was followed from the present one (RootStore).
  void replace_root(Root root) { options_.root = std::move(root); }
  /// Packages with a lower security counter are refused.
  [[nodiscard]] std::uint64_t counter_floor(const std::string& role) const;
  /// The manifest of something installed or being installed.
  [[nodiscard]] base::Result<Manifest> manifest_of(const Digest& digest) const;
  /// Of a finished command.
  [[nodiscard]] const Outcome* outcome(std::string_view command_id) const;

 private:
  Updater(base::Storage& storage, BlobStore& store, Gates& gates, const base::Clock& clock, UpdaterOptions options,
          Slots slots, CounterFloor floor);
  base::Result<void> recover();
  base::Result<void> load_task();
  base::Result<void> reselect_variants();
  base::Result<void> apply(Event event, const std::string& reason = {}, bool model_failed = false);
  base::Result<void> enter(Transition next, const std::string& reason, bool model_failed);
  [[nodiscard]] std::chrono::seconds allowed(State state) const;
  [[nodiscard]] std::pair<std::int64_t, bool> now_unix_s() const;
  Checked<void> check_admission(const UpdateCommand& command) const;
  Checked<std::vector<Blob>> blobs_for_models_on(const Variant& firmware) const;
  [[nodiscard]] std::uint64_t byte_budget(const UpdateCommand& command) const;

  // Effects (updater_effects.cpp): each may be run again from its start.
  base::Result<Step> run_effect();
  Step try_model();
  base::Result<Step> reserve();
  base::Result<Step> fetch();
  base::Result<Step> verify();
  base::Result<Step> activate();
  base::Result<Step> commit();
  base::Result<Step> restore();
  base::Result<void> collect(bool keep_job);
  [[nodiscard]] std::vector<Blob> needed_blobs() const;
  [[nodiscard]] std::vector<Blob> missing_blobs() const;
  [[nodiscard]] Task task() const;

  base::Storage* storage_;
  BlobStore* store_;
  Gates* gates_;
  const base::Clock* clock_;
  UpdaterOptions options_;
  Slots slots_;
  CounterFloor floor_;
  JournalEntry entry_;
  std::optional<Manifest> manifest_;  ///< of the job
  base::MonotonicTime deadline_{0};
  bool damaged_ = false;
  std::map<Digest, Envelope> offers_;
  std::map<std::string, RolloutPolicy> policies_;
};

}  // namespace wayside::ota
