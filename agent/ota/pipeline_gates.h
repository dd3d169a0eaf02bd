// SPDX-License-Identifier: Apache-2.0
// PipelineGates: the updater's gates with the agent's real parts: transfer over its connection, its accelerator, its
// pipeline.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/config.h"
#include "agent/ota/disagreement.h"
#include "agent/ota/firmware.h"
#include "agent/ota/model_loader.h"
#include "agent/ota/model_slot.h"
#include "agent/ota/stick.h"
#include "agent/ota/update_link.h"
#include "agent/pipeline.h"
#include "ota/transfer/fetcher.h"
#include "ota/updater/gates.h"

namespace wayside::agent {

/// What the gates measured for the update in progress; for its reports.
struct UpdateFigures {
  std::uint64_t bytes = 0;          ///< fetched, repeats included; or copied from a stick
  std::uint64_t planned_bytes = 0;  ///< price of the file being fetched, and of those before it
  Disagreement shadow;
  std::optional<std::uint64_t> swap_dropped_frames, swap_ms, rollback_ms;
};

struct PipelineGatesOptions {
  const Config& config;
  std::filesystem::path store_root;
  ota::PieceParser& parser;  ///< of what the transfer brings
  const Stick& stick;
};

/// Belongs to the updater's thread, but for attach(). Everything passed in must outlive it.
class PipelineGates final : public ota::Gates {
 public:
  PipelineGates(PipelineGatesOptions options, base::Storage& storage, ota::BlobStore& store,
                accel::Accelerator& accelerator, UpdateLink& link, base::Clock& clock);

  /// The first model, before there is a pipeline; `installed` may be nothing. Errors: those of ModelLoader::load().
  base::Result<std::unique_ptr<FrameProcessor>> first_model(const std::optional<ota::Installed>& installed);
  /// A candidate that was found not to load at the start: its trial fails with this reason.
  void give_up_on(const ota::Installed& installed, std::string reason);
  /// The running pipeline; before the thread that polls the updater is started.
  void attach(ModelSlot& slot, const Pipeline& pipeline);
  /// Whose installed models serve as bases of a transfer.
  void use_slots_of(const ota::Updater& updater) { updater_ = &updater; }

  [[nodiscard]] const LoadedModel& active() const { return active_; }
  [[nodiscard]] const UpdateFigures& figures() const { return figures_; }
  [[nodiscard]] unsigned install_percent() const { return firmware_.percent(); }
  /// On a new system: why it should not be called good; empty when the installed models answer there as they should.
  /// Any thread.
  [[nodiscard]] std::string system_problem() const;

  /// A new update begins: its figures start at 0.
  void begin() { figures_ = {}; }
  void on_event(const LinkEvent& event);
  /// Carries out what the transfer wants; when it wants to be called again.
  std::optional<base::MonotonicTime> pump();

  ota::Step fetch(const ota::Task& task, const std::vector<ota::Blob>& missing) override;
  ota::Step compile(const ota::Task& task) override;
  ota::Step self_test(const ota::Task& task) override;
  ota::Step shadow(const ota::Task& task) override;
  ota::Step swap(const std::string& role, const std::optional<ota::Installed>& installed) override;
  ota::Step install(const ota::Task& task) override;
  ota::Step watch(const ota::Task& task) override;
  void forget(const ota::Job& job) override;

 private:
  void note_fetch();
  ota::Step fetch_from_stick(const ota::Task& task, const std::vector<ota::Blob>& missing);
  void start_fetch(const ota::Task& task, const ota::Blob& blob);
  void begin_fetches(const ota::Task& task);
  [[nodiscard]] std::uint64_t budget_left(const ota::Job& job) const;
  base::Result<void> need_candidate(const ota::Installed& installed);
  base::Result<LoadedModel> take_model(const std::optional<ota::Installed>& installed);
  void tell_model(const LoadedModel& model, std::string state);
  void compare(const TappedFrame& frame);
  ota::Step judge_window(const ota::Task& task, base::MonotonicTime now, bool last);
  ota::Step found_wanting(std::string reason);
  [[nodiscard]] std::uint64_t frames_lost() const;
  ota::Step watch_firmware(const ota::Task& task);
  [[nodiscard]] std::string test_on_new_system();

  PipelineGatesOptions options_;
  base::Storage* storage_;
  ota::BlobStore* store_;
  accel::Accelerator* accelerator_;
  UpdateLink* link_;
  base::Clock* clock_;
  ModelLoader loader_;
  Firmware firmware_;
  const ota::Updater* updater_ = nullptr;
  ModelSlot* slot_ = nullptr;
  const Pipeline* pipeline_ = nullptr;

  LoadedModel active_;                    ///< its processor is in the slot
  std::optional<LoadedModel> candidate_;  ///< from the self-test until it is in the slot
  std::optional<LoadedModel> standby_;    ///< warm, from the swap until the end of the probation
  std::optional<ota::Installed> hopeless_;
  std::string hopeless_reason_;
  UpdateFigures figures_;

  std::unique_ptr<ota::Fetcher> fetcher_;
  std::optional<ota::Digest> fetching_;
  std::map<ota::Digest, std::uint64_t> had_;  ///< files in the store before this update
  std::uint64_t fetched_bytes_ = 0;           ///< by the fetches that ended; on disk, so that a restart frees no budget
  std::string fetching_for_;                  ///< command of the update whose files are fetched; empty: none
  std::optional<std::uint32_t> connected_;

  std::optional<StickCopy> stick_copy_;
  std::optional<base::MonotonicTime> stick_missed_;  ///< since when it is not there

  std::uint32_t shadowed_frames_ = 0;
  bool tapping_ = false;
  std::unique_ptr<FrameReport> shadow_report_;

  struct Watching {
    base::MonotonicTime last_poll{0}, window_start{0};
    std::chrono::nanoseconds watched{0};  ///< while the camera delivered
    std::uint64_t frames_in = 0, first_frames_in = 0, window_frames_in = 0, window_frames = 0, rss_bytes = 0;
    unsigned windows = 0, strikes = 0;
  };
  std::optional<Watching> watching_;
  std::optional<base::MonotonicTime> decided_;  ///< that the new model must go

  mutable std::mutex problem_mutex_;
  std::optional<std::string> system_problem_;  ///< nothing: the models were not tried since the start
};

/// Resident set of this process, from /proc/self/statm; 0 where there is none.
[[nodiscard]] std::uint64_t resident_bytes();

}  // namespace wayside::agent
