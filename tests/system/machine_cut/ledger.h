// SPDX-License-Identifier: Apache-2.0
// Ledger: what the operator knows of a device whose power is cut again and again, and whether the device keeps to it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace wayside::test {

/// Takes the guest's lines (guest.cpp) in order, over all lives of one device.
class Ledger {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Ledger(std::map<std::string, std::string> manifests) : manifests_(std::move(manifests)) {}

  /// A life begins: nothing of this boot has been seen.
  void power_on();
  void hear(const std::string& line, Time at);

  [[nodiscard]] bool healthy() const { return frames_ && examined_; }  ///< runs a model that it may run, sees frames
  [[nodiscard]] bool dead() const { return dead_; }
  /// What the device did that it must not do; each as one line.
  [[nodiscard]] const std::vector<std::string>& findings() const { return findings_; }
  /// For the next boot: the lines of the guest's orders.
  [[nodiscard]] std::string orders() const;

  std::uint64_t unreadable = 0, torn = 0, lost = 0;     ///< findings by kind
  std::uint64_t repaired = 0;                           ///< boots where e2fsck -p did not suffice
  std::uint64_t commits = 0, failures = 0;              ///< updates whose end was told
  std::map<std::string, std::uint64_t> failed_because;  ///< reason: how often
  std::map<std::string, std::uint64_t> found_in;        ///< journal's state at a boot: how often
  std::vector<double> update_seconds;                   ///< of updates that began and ended within one life

 private:
  void find(std::uint64_t& kind, std::string what);
  void examine(const std::string& state, const std::string& committed, const std::string& active);
  void end(const std::string& id, bool good, const std::string& reason, Time at);
  [[nodiscard]] bool may_run(const std::string& manifest) const;

  std::map<std::string, std::string> manifests_;  ///< by version
  std::string known_ = "none";                    ///< manifest of the last commit that was told or seen
  std::string pending_, target_;                  ///< command without an end, its manifest
  std::string last_ended_;
  unsigned next_ = 0;
  std::map<std::string, bool> outcomes_;  ///< of this boot's journal: whether committed
  bool examined_ = false, frames_ = false, dead_ = false, pushed_in_this_life_ = false;
  Time pushed_at_{};
  std::vector<std::string> findings_;
};

}  // namespace wayside::test
