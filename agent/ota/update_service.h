// SPDX-License-Identifier: Apache-2.0
// UpdateService: takes updates over the agent's connection or from a stick, on a thread of its own, never in the frame
// path.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "agent/config.h"
#include "agent/ota/model_slot.h"
#include "agent/ota/pipeline_gates.h"
#include "agent/ota/report_book.h"
#include "agent/ota/root_store.h"
#include "agent/ota/stick.h"
#include "agent/ota/update_link.h"
#include "agent/sandbox/jailed_parser.h"
#include "ota/updater/updater.h"

namespace wayside::agent {

/// The disk below `ota.dir` is the truth; the broker only carries wishes and reports. Everything passed in must outlive
/// it.
class UpdateService {
 public:
  /// Commands that wait for their time, their manifest, or the end of another update.
  static constexpr std::size_t kMaxWaiting = 16;

  /// Reads roots, journal, slots and store, and loads the model to start with: the one that the store says, or the one
  /// before it, or that of the configuration. What was on trial and does not load, or ended the process too often, is
  /// rolled back here. Errors: the medium, the first root, or the configuration's own model.
  static base::Result<std::unique_ptr<UpdateService>> open(const Config& config, accel::Accelerator& accelerator,
                                                           base::Clock& clock);
  ~UpdateService() { stop(); }
  UpdateService(const UpdateService&) = delete;
  UpdateService& operator=(const UpdateService&) = delete;

  /// Once.
  [[nodiscard]] std::unique_ptr<FrameProcessor> take_first_model() { return std::move(first_model_); }
  /// The model to start with; legal until start().
  [[nodiscard]] ModelFacts first_facts() const;
  [[nodiscard]] const std::string& first_description() const { return gates_->active().description; }
  [[nodiscard]] UpdateLink& link() { return link_; }

  /// Starts the thread.
  void start(ModelSlot& slot, const Pipeline& pipeline);
  void stop();
  /// False when the thread has not come round for `limit`: an inference of a candidate that does not end.
  [[nodiscard]] bool progressing(std::chrono::nanoseconds limit) const;
  /// Why the system should not be called good, while it is new and on trial; empty: nothing against it. Any thread.
  [[nodiscard]] std::string system_problem() const { return new_system_ ? gates_->system_problem() : std::string(); }

 private:
  UpdateService(const Config& config, base::DiskStorage storage, base::Clock& clock);
  base::Result<void> load_first_model();
  base::Result<void> settle();
  void reconcile();
  void run();
  void handle(const LinkEvent& event);
  void on_connected();
  void on_message(const LinkEvent& event);
  void on_command(const std::string& id, const std::string& payload, bool firmware);
  void on_manifest(const std::string& hex, const std::string& text);
  void on_root(const std::string& name, const std::string& text);
  void begin_waiting();
  bool try_begin(const ota::UpdateCommand& command);
  [[nodiscard]] std::optional<ota::Refused> role_problem(const ota::UpdateCommand& command) const;
  void note_begun(const std::string& id);
  void refuse_command(const ota::UpdateCommand& command, const ota::Refused& why);
  bool step();
  void report_state();
  void report_progress();
  void report_end();
  void say(UpdateReport report);
  void publish(const UpdateReport& report);
  void publish_inventory();
  void subscribe(std::string filter);
  /// By its full name: not every broker sends what is retained for filters with wildcards.
  void subscribe_next_root();
  void tend_stick();
  bool tend_package();
  void begin_package();
  [[nodiscard]] ota::UpdateCommand command_for(const StickPackage& package) const;
  ota::Checked<void> admit_package(const StickPackage& package, ota::UpdateCommand& command);
  void tell_stick(std::string result);
  void write_stick_result(bool done);
  [[nodiscard]] std::int64_t unix_now() const;
  [[nodiscard]] bool model_on_trial() const;
  [[nodiscard]] bool job_is_firmware() const;

  const Config& config_;
  base::DiskStorage storage_;
  base::Clock& clock_;
  std::optional<ota::BlobStore> store_;
  std::optional<RootStore> roots_;
  std::optional<ReportBook> book_;
  UpdateLink link_;
  JailedParser parser_{fetch_program()};
  int quiet_rounds_ = 0;  ///< of the thread, without a message
  std::optional<PipelineGates> gates_;
  std::optional<ota::Updater> updater_;
  std::unique_ptr<FrameProcessor> first_model_;

  std::vector<ota::Runtime> runtimes_;  ///< as probed; RAUC is one of them
  bool takes_firmware_ = false;
  std::string device_prefix_, command_prefix_, firmware_prefix_, manifest_prefix_, policy_prefix_, root_prefix_;
  std::map<std::string, ota::UpdateCommand> waiting_;  ///< by command id
  std::string asked_manifest_;                         ///< hash whose topic is subscribed to; empty: none
  std::string job_;                                    ///< command id of the update in progress
  ota::State told_ = ota::State::idle;
  std::uint64_t told_percent_ = 0;
  bool subscribed_ = false;

  /// What is done about the stick that is plugged in; made when it appears, dropped when it has gone.
  struct StickSession {
    std::deque<std::string> left;         ///< packages not looked at yet
    std::optional<StickPackage> package;  ///< being looked at, or installed by `command`
    std::string command;                  ///< empty: not begun
    std::vector<std::string> results;     ///< a line for each package that is through
    bool done = false;
  };
  Stick stick_;
  std::filesystem::path stick_result_;
  std::optional<StickSession> stick_session_;
  base::MonotonicTime stick_look_{0};
  bool medium_failed_ = false;

  std::atomic<bool> stopping_{false};
  std::atomic<bool> new_system_{false};  ///< a firmware is between its restart and its end
  std::atomic<std::int64_t> alive_ns_{0};
  std::thread thread_;
};

}  // namespace wayside::agent
