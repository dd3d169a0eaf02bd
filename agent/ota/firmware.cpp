// SPDX-License-Identifier: Apache-2.0
// RAUC's program, the image's records, and one record of our own.
#include "agent/ota/firmware.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "ota/store/blob_store.h"
#include "ota/updater/record.h"

namespace wayside::agent {
namespace {

using Json = nlohmann::json;
using ota::Step;

const std::filesystem::path kRecord = "firmware";
/// Between the end of the installation and the restart: the report of it gets out.
constexpr std::chrono::seconds kBeforeRestart{3};
/// Whoever restarts the machine (wayside-restart.path) does it at once, or never.
constexpr std::chrono::minutes kRestartLimit{10};

/// The first bytes of a small file; empty when there is none.
std::string head_of(const std::filesystem::path& path) {
  constexpr std::size_t kMaxBytes = 4096;
  std::ifstream file(path);
  std::string text(kMaxBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The rest of the first line that starts with `start`; nothing when no line does.
std::optional<std::string> line_after(const std::string& text, std::string_view start) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const auto line = std::string_view(text).substr(at, end - at);
    if (line.starts_with(start)) return std::string(line.substr(start.size()));
    at = end + 1;
  }
  return std::nullopt;
}

/// " 20% Checking bundle done." -> 20.
std::optional<unsigned> percent_in(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  unsigned percent = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), percent);
  if (error != std::errc{} || end == line.data() + line.size() || *end != '%' || percent > 100) return std::nullopt;
  return percent;
}

/// What RAUC gives as the reason: its line "LastError: ...", else the last thing it wrote.
std::string reason_of(const ChildProgram& program) {
  constexpr std::string_view kLastError = "LastError: ";
  for (const auto& line : program.lines()) {
    if (const auto at = line.find(kLastError); at != std::string::npos) return line.substr(at + kLastError.size());
  }
  return program.lines().empty() ? "it said nothing" : program.lines().back();
}

}  // namespace

std::optional<RunningSystem> read_running_system(const std::filesystem::path& system_root) {
  const auto json = Json::parse(head_of(system_root / "run/wayside/os.json"), nullptr, false);
  if (!json.is_object() || text_in(json, "version").empty()) return std::nullopt;
  RunningSystem system{.version = text_in(json, "version"), .slot = text_in(json, "slot")};
  if (const auto left = json.find("rollback"); left != json.end() && left->is_object()) {
    system.failed_version = text_in(*left, "version");
    system.failure = text_in(*left, "stage");
    if (const auto reason = text_in(*left, "reason"); !reason.empty()) system.failure += ": " + reason;
  }
  return system;
}

std::optional<ota::Runtime> probe_installer(const std::filesystem::path& system_root) {
  const auto compatible = line_after(head_of(system_root / "etc/rauc/system.conf"), "compatible=");
  if (!compatible || compatible->empty()) return std::nullopt;
  return ota::Runtime{.accelerator = std::string(ota::kFirmwareInstaller), .versions = {{"compatible", *compatible}}};
}

std::filesystem::path Firmware::bundle_of(const ota::Task& task) const {
  return options_.store_root / ota::BlobStore::blob_path(task.variant.file);
}

std::string Firmware::boot_id() const {
  return line_after(head_of(options_.system_root / "proc/sys/kernel/random/boot_id"), "").value_or("");
}

std::optional<Step> Firmware::objection(const ota::Task& task) const {
  const auto running = read_running_system(options_.system_root);
  if (!running) return Step::failed("firmware: this system does not say what it is (run/wayside/os.json)");
  if (running->version == task.manifest.version)
    return Step::failed(std::format("firmware: {} runs already", running->version));
  if (running->failed_version == task.manifest.version) {
    return Step::model_failed(
        std::format("firmware: {} has failed on this device before: {}", task.manifest.version, running->failure));
  }
  return std::nullopt;
}

/// The device is on another system than the one that it was restarted into.
Step Firmware::came_back(const std::optional<RunningSystem>& running, const ota::Task& task) const {
  const bool told = running && running->failed_version == task.manifest.version;
  return Step::model_failed(std::format("firmware: {} was left for {}: {}", task.manifest.version,
                                        running ? running->version : "another system",
                                        told ? running->failure : "it never started far enough to say why"));
}

Step Firmware::install(const ota::Task& task) {
  if (phase_ == Phase::idle) return begin(task);
  if (phase_ == Phase::inspecting) return inspect(task);
  if (phase_ == Phase::installing) return follow_installation(task);
  return restart();
}

Step Firmware::begin(const ota::Task& task) {
  const auto running = read_running_system(options_.system_root);
  if (running && running->version == task.manifest.version) return Step::done();
  const auto record = ota::read_record(*storage_, kRecord);
  if (record && record->is_object() && text_in(*record, "manifest") == task.job.target.manifest.hex()) {
    if (text_in(*record, "boot_id") != boot_id()) return came_back(running, task);
    installed_ = clock_->now();  // the agent was started again before the machine was
    phase_ = Phase::restarting;
    return Step::working();
  }
  if (auto objection = this->objection(task)) return *objection;
  auto program = ChildProgram::start({"rauc", "info", "--output-format=shell", bundle_of(task).string()});
  if (!program) return Step::failed("firmware: " + program.error().message);
  program_ = std::move(*program);
  phase_ = Phase::inspecting;
  return Step::working();
}

/// What RAUC reads in the bundle, after it has checked its signature: the version that the system will call itself must
/// be the one that was signed here, or nobody could tell later which one runs.
Step Firmware::inspect(const ota::Task& task) {
  const auto code = program_->poll();
  if (!code) return Step::working();
  if (*code != 0) return Step::model_failed("firmware: RAUC refuses the bundle: " + reason_of(*program_));
  std::string version;
  constexpr std::string_view kVersion = "RAUC_MF_VERSION='";
  for (const auto& line : program_->lines()) {
    if (line.starts_with(kVersion)) version = line.substr(kVersion.size(), line.rfind('\'') - kVersion.size());
  }
  if (version != task.manifest.version) {
    return Step::model_failed(
        std::format("firmware: the bundle holds version \"{}\", its package says {}", version, task.manifest.version));
  }
  auto program = ChildProgram::start({"rauc", "install", bundle_of(task).string()});
  if (!program) return Step::failed("firmware: " + program.error().message);
  program_ = std::move(*program);
  percent_ = 0;
  phase_ = Phase::installing;
  base::log_info("ota event=firmware_installing version={}", version);
  return Step::working();
}

Step Firmware::follow_installation(const ota::Task& task) {
  const auto code = program_->poll();
  for (const auto& line : program_->lines()) percent_ = std::max(percent_, percent_in(line).value_or(0));
  if (!code) return Step::working();
  if (*code != 0) return Step::failed("firmware: RAUC: " + reason_of(*program_));
  // Before the restart, and before anything can come back from it.
  const Json record = {{"boot_id", boot_id()}, {"manifest", task.job.target.manifest.hex()}};
  if (const auto kept = ota::write_record(*storage_, kRecord, record); !kept)
    return Step::failed("firmware: " + kept.error().message);
  program_.reset();
  percent_ = 100;
  installed_ = clock_->now();
  phase_ = Phase::restarting;
  base::log_info("ota event=firmware_installed version={}", task.manifest.version);
  return Step::working();
}

Step Firmware::restart() {
  const auto waited = clock_->now() - installed_;
  if (waited > kRestartLimit) {
    return Step::failed("firmware: installed, but nobody restarted the machine (is wayside-restart.path enabled?)");
  }
  if (waited < kBeforeRestart || asked_for_restart_) return Step::working();
  const auto wish = options_.system_root / "run/waysided/restart";
  std::error_code ignored;
  std::filesystem::create_directories(wish.parent_path(), ignored);
  if (!(std::ofstream(wish) << "firmware\n").flush()) {
    return Step::failed(std::format("firmware: cannot ask for the restart: {} is not writable", wish.string()));
  }
  asked_for_restart_ = true;
  base::log_info("ota event=restart_wanted file={}", wish.string());
  return Step::working();
}

Step Firmware::watch(const ota::Task& task) const {
  const auto running = read_running_system(options_.system_root);
  if (!running || running->version != task.manifest.version) return came_back(running, task);
  const auto attempt = line_after(head_of(options_.system_root / "var/lib/wayside-os/attempt"),
                                  std::format("slot={} version={} stage=", running->slot, running->version));
  return attempt && (*attempt + " ").starts_with("good ") ? Step::done() : Step::working();
}

void Firmware::forget() {
  program_.reset();
  phase_ = Phase::idle;
  percent_ = 0;
  asked_for_restart_ = false;
  if (storage_->file_bytes(kRecord)) (void)storage_->remove(kRecord);
}

}  // namespace wayside::agent
