// SPDX-License-Identifier: Apache-2.0
// Machine: a whole emulated computer, user-mode Linux with one disk, from power-on to the cut; what its console says.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/unique_fd.h"

namespace wayside::test {

using MachineTime = std::chrono::steady_clock::time_point;

struct MachineFiles {
  std::filesystem::path root;    ///< folder with Debian's user-mode-linux and e2fsprogs, unpacked
  std::filesystem::path folder;  ///< of this machine's own files; in memory where possible
  std::filesystem::path world;   ///< told to the guest as WAYSIDE_WORLD
  [[nodiscard]] std::filesystem::path kernel() const { return root / "usr/bin/linux.uml"; }
  [[nodiscard]] std::filesystem::path medium() const { return folder / "medium"; }  ///< what outlives a cut
  [[nodiscard]] std::filesystem::path image() const { return folder / "image"; }    ///< what the machine sees
  [[nodiscard]] std::filesystem::path log() const { return folder / "log"; }        ///< DiskLogEntry after entry
};

class Machine {
 public:
  /// Switches it on; its disk is as the medium.
  explicit Machine(const MachineFiles& files);
  ~Machine() { cut_power(); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// What the guest tells next, without its "MC "; nothing at `deadline` or when the machine has ended.
  std::optional<std::string> hear(MachineTime deadline);
  /// Kills every process of the machine and waits until they are gone. The caller must be a child subreaper.
  void cut_power();
  [[nodiscard]] bool running() const { return pid_ > 0 && !ended_; }
  [[nodiscard]] MachineTime powered_on() const { return powered_on_; }
  [[nodiscard]] const std::string& console() const { return console_; }  ///< all of it so far

 private:
  std::optional<std::string> take_line();
  MachineTime powered_on_;
  base::UniqueFd output_, life_;
  pid_t pid_ = -1;
  bool ended_ = false;
  std::string console_;
  std::size_t looked_at_ = 0;
};

}  // namespace wayside::test
