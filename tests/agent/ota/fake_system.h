// SPDX-License-Identifier: Apache-2.0
// FakeSystem: a folder that looks like a firmware image with two slots to the agent, and a `rauc` on PATH.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <sstream>
#include <string>

namespace wayside::test {

class FakeSystem {
 public:
  explicit FakeSystem(std::filesystem::path root, const std::string& version = "1.0.0") : root_(std::move(root)) {
    put("etc/rauc/system.conf", "[system]\ncompatible=test-board\nbootloader=grub\n");
    std::filesystem::create_directories(root_ / "bin");
    std::filesystem::copy_file(std::filesystem::path(WAYSIDE_SOURCE_DIR) / "tests/agent/ota/fake_rauc",
                               root_ / "bin/rauc");
    if (const char* path = std::getenv("PATH")) ::setenv("PATH", ((root_ / "bin").string() + ":" + path).c_str(), 1);
    ::setenv("FAKE_RAUC", root_.c_str(), 1);
    boot("A", version);
    confirm("good");
  }
  /// A start of the machine; `left`: why the other slot was left, as JSON.
  void boot(const std::string& slot, const std::string& version, const std::string& left = "null") {
    slot_ = slot;
    version_ = version;
    std::filesystem::remove(root_ / "run/waysided/restart");
    put("proc/sys/kernel/random/boot_id", std::format("boot-{}\n", ++boots_));
    put("run/wayside/os.json",
        std::format(R"({{"version":"{}","slot":"{}","data":"ok","settings":"ok","rollback":{}}})", version, slot,
                    left));
    confirm("kernel");
  }
  /// What wayside-confirm writes.
  void confirm(const std::string& stage) {
    put("var/lib/wayside-os/attempt", std::format("slot={} version={} stage={} reason=\n", slot_, version_, stage));
  }
  void fail_installations(const std::string& reason) { put("fail", reason + "\n"); }
  [[nodiscard]] bool restart_wanted() const { return std::filesystem::exists(root_ / "run/waysided/restart"); }
  /// Versions that were installed, one a line.
  [[nodiscard]] std::string installed() const {
    std::ostringstream text;
    text << std::ifstream(root_ / "log").rdbuf();
    return text.str();
  }
  [[nodiscard]] const std::filesystem::path& root() const { return root_; }

 private:
  void put(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::filesystem::path root_;
  std::string slot_, version_;
  int boots_ = 0;
};

}  // namespace wayside::test
