// SPDX-License-Identifier: Apache-2.0
// Disks by sysfs (Documentation/ABI/stable/sysfs-block) and the mount tables (proc_pid_mountinfo(5), proc_swaps(5)).
#include "fleet/flash/target_disk.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <format>
#include <fstream>
#include <sstream>

namespace wayside::fleet {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Result;

constexpr std::uint64_t kSysfsSectorBytes = 512;  // sysfs counts in these, whatever the disk's own sector is

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const auto end = line.find_last_not_of(" \t\n");
  return end == std::string::npos ? std::string() : line.substr(0, end + 1);
}

/// A disk or a partition: its kernel name and "major:minor".
struct BlockName {
  std::string name, number;
};

std::vector<BlockName> names_of(const fs::path& disk) {
  std::vector<BlockName> names{{disk.filename().string(), first_line(disk / "dev")}};
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(disk, ignored)) {
    if (fs::exists(entry.path() / "partition", ignored))
      names.push_back({entry.path().filename().string(), first_line(entry.path() / "dev")});
  }
  std::ranges::sort(names, {}, &BlockName::name);
  return names;
}

/// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digits = text.substr(i + 1, 3);
    if (text[i] == '\\' && digits.size() == 3 &&
        std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '7'; })) {
      out += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + (digits[2] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

void find_mounts(const std::vector<BlockName>& names, const KernelView& view, std::vector<std::string>& uses) {
  std::ifstream mounts(view.proc / "self" / "mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, number, root, place, word, type, source;
    words >> id >> parent >> number >> root >> place;
    while (words >> word && word != "-") {
    }
    words >> type >> source;
    for (const auto& each : names) {
      // btrfs and overlays mount under numbers of their own: there the source tells.
      if (number == each.number || source == "/dev/" + each.name)
        uses.push_back(std::format("/dev/{} is mounted on {}", each.name, unescaped(place)));
    }
  }
}

void find_swaps(const std::vector<BlockName>& names, const KernelView& view, std::vector<std::string>& uses) {
  std::ifstream swaps(view.proc / "swaps");
  for (std::string line; std::getline(swaps, line);) {
    const auto source = line.substr(0, line.find_first_of(" \t"));
    for (const auto& each : names) {
      if (source == "/dev/" + each.name) uses.push_back(source + " is swap space");
    }
  }
}

void find_holders(const fs::path& disk, const std::vector<BlockName>& names, std::vector<std::string>& uses) {
  for (const auto& each : names) {
    const auto folder = each.name == disk.filename() ? disk / "holders" : disk / each.name / "holders";
    std::error_code ignored;
    for (const auto& holder : fs::directory_iterator(folder, ignored))
      uses.push_back(std::format("/dev/{} is in use by {}", each.name, holder.path().filename().string()));
  }
}

/// Cards and everything on USB, whatever their removable flag says (USB disks report 0).
bool is_removable(const fs::path& disk) {
  if (first_line(disk / "removable") == "1") return true;
  std::error_code ignored;
  const auto place = fs::canonical(disk, ignored).string();
  return place.contains("/usb") || place.contains("/mmc_host");
}

}  // namespace

std::string TargetDisk::describe() const {
  return std::format("{}: {}{:.1f} GB, {}", name, model.empty() ? "" : model + ", ", static_cast<double>(bytes) / 1e9,
                     removable ? "removable" : "internal");
}

Result<TargetDisk> read_disk(const std::string& name, const KernelView& view) {
  const auto folder = view.sys / "class" / "block" / name;
  std::error_code error;
  const auto disk = fs::canonical(folder, error);
  if (error) return base::fail(Code::not_found, std::format("the kernel knows no disk '{}'", name));
  if (fs::exists(disk / "partition", error)) {
    const auto whole = disk.parent_path().filename().string();
    return base::fail(Code::invalid_argument,
                      std::format("/dev/{} is a partition; an image needs the whole disk: /dev/{}", name, whole));
  }
  TargetDisk result{.name = name, .node = view.dev / name, .bytes = 0, .model = {}, .uses = {}};
  std::uint64_t sectors = 0;
  std::istringstream(first_line(disk / "size")) >> sectors;
  result.bytes = sectors * kSysfsSectorBytes;
  const auto vendor = first_line(disk / "device" / "vendor");
  result.model = first_line(disk / "device" / "model");
  if (result.model.empty()) result.model = first_line(disk / "device" / "name");  // MMC
  if (!vendor.empty() && !vendor.starts_with("0x")) result.model = vendor + " " + result.model;
  result.removable = is_removable(disk);
  result.read_only = first_line(disk / "ro") == "1";
  const auto names = names_of(disk);
  find_mounts(names, view, result.uses);
  find_swaps(names, view, result.uses);
  find_holders(disk, names, result.uses);
  return result;
}

Result<TargetDisk> examine_disk(const fs::path& node, const KernelView& view) {
  struct stat status{};
  if (::stat(node.c_str(), &status) != 0) return base::fail_errno("look at " + node.string());
  if (!S_ISBLK(status.st_mode))
    return base::fail(Code::invalid_argument, node.string() + " is not a disk; wayside flash --list shows them");
  const auto link = view.sys / "dev" / "block" / std::format("{}:{}", major(status.st_rdev), minor(status.st_rdev));
  std::error_code error;
  const auto folder = fs::canonical(link, error);
  if (error) return base::fail(Code::not_found, std::format("the kernel does not describe {}", node.string()));
  WAYSIDE_TRY(auto disk, read_disk(folder.filename().string(), view));
  disk.node = node;
  return disk;
}

Result<std::vector<TargetDisk>> list_disks(const KernelView& view) {
  std::vector<TargetDisk> disks;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(view.sys / "class" / "block", error)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with("zram") || name.starts_with("dm-") || name.starts_with("ram")) continue;
    if (fs::exists(entry.path() / "partition", error)) continue;
    auto disk = read_disk(name, view);
    if (disk && disk->bytes > 0) disks.push_back(std::move(*disk));
  }
  if (error) return base::fail(Code::io, "list disks: " + error.message());
  std::ranges::sort(disks, {}, &TargetDisk::name);
  return disks;
}

Result<void> may_overwrite(const TargetDisk& disk, std::uint64_t image_bytes, FlashPermission permission) {
  if (!disk.uses.empty()) {
    const auto more = disk.uses.size() > 1 ? std::format(" (and {} more)", disk.uses.size() - 1) : std::string();
    return base::fail(Code::bad_state,
                      std::format("{}: {}{}; unmount it first, and make sure that it is the right disk", disk.name,
                                  disk.uses.front(), more));
  }
  if (disk.read_only)
    return base::fail(Code::bad_state, disk.name + " is read-only; move the card's write-protect switch");
  if (image_bytes > disk.bytes)
    return base::fail(Code::exhausted, std::format("{} is too small: it holds {} bytes, the image needs {}", disk.name,
                                                   disk.bytes, image_bytes));
  if (!disk.removable && !permission.fixed_disk)
    return base::fail(Code::invalid_argument,
                      std::format("{} is an internal disk; add --fixed-disk if that is meant", disk.describe()));
  return {};
}

}  // namespace wayside::fleet
