// SPDX-License-Identifier: Apache-2.0
// ReportBook: what the device has said about each update command; on disk before it is said, and said again until the
// operator's side has confirmed it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/storage.h"
#include "ota/store/digest.h"

namespace wayside::agent {

/// One command's latest report (docs/topics.md, Roll-outs).
struct UpdateReport {
  std::string command_id;
  ota::Digest manifest;
  std::string status;  ///< "scheduled", "download", ..., and the two terminal ones "successful" and "failed"
  std::string step, code, reason;
  std::uint64_t seq = 0;  ///< grows with every report of the command
  std::uint64_t progress_percent = 0;
  std::uint64_t bytes = 0;                    ///< fetched for it, repeats included
  std::uint64_t compared = 0, disagreed = 0;  ///< shadow
  std::optional<std::uint64_t> swap_dropped_frames, swap_ms, rollback_ms;
  bool firmware = false;   ///< it is told on cmd/firmware_update
  bool confirmed = false;  ///< the operator's side has the result
  bool operator==(const UpdateReport&) const = default;

  [[nodiscard]] bool terminal() const { return status == "successful" || status == "failed"; }
};

class ReportBook {
 public:
  /// Oldest confirmed ones are forgotten beyond this, then the oldest.
  static constexpr std::size_t kMaxReports = 64;

  /// Missing or damaged: empty (the updater's journal knows what was done). Errors: io.
  static base::Result<ReportBook> load(base::Storage& storage);

  [[nodiscard]] const std::vector<UpdateReport>& all() const { return reports_; }
  [[nodiscard]] const UpdateReport* find(const std::string& command_id) const;
  /// Replaces the command's report, with the next seq. On an error it is in memory only.
  base::Result<void> put(UpdateReport report);
  /// Nothing happens for a command that is unknown or not at its end.
  base::Result<void> confirm(const std::string& command_id);

 private:
  explicit ReportBook(base::Storage& storage) : storage_(&storage) {}
  base::Result<void> save();
  base::Storage* storage_;
  std::vector<UpdateReport> reports_;  ///< oldest first
};

/// As it is published on te/device/<id>///cmd/model_update/<command>, or firmware_update.
[[nodiscard]] std::string report_json(const UpdateReport& report, const std::string& time);

}  // namespace wayside::agent
