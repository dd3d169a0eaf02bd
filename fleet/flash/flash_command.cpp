// SPDX-License-Identifier: Apache-2.0
// The command line of wayside flash: asks, shows progress, tells the result.
#include "fleet/flash/flash_command.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <format>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/storage.h"
#include "base/unique_fd.h"
#include "fleet/commands/stop_signal.h"
#include "fleet/flash/block_map.h"
#include "fleet/flash/image_reader.h"
#include "fleet/flash/image_writer.h"
#include "fleet/flash/target_disk.h"

namespace wayside::fleet {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Result;
using Json = nlohmann::json;

struct Options {
  std::string image, disk, block_map;
  bool list = false, yes = false, no_block_map = false, no_verify = false, json = false;
  FlashPermission permission;
};

/// Beside the image, as bmap-tools looks for it: image.img.zst.bmap, image.img.bmap, image.bmap.
std::optional<fs::path> find_block_map(const fs::path& image) {
  for (auto base = image;; base.replace_extension()) {
    auto candidate = base;
    candidate += ".bmap";
    std::error_code ignored;
    if (fs::is_regular_file(candidate, ignored)) return candidate;
    if (!base.has_extension()) return std::nullopt;
  }
}

Result<std::optional<BlockMap>> load_block_map(const Options& options) {
  if (options.no_block_map) return std::nullopt;
  const auto path = options.block_map.empty() ? find_block_map(options.image) : fs::path(options.block_map);
  if (!path) return std::nullopt;
  const auto folder = path->has_parent_path() ? path->parent_path() : fs::path(".");
  WAYSIDE_TRY(auto storage, base::DiskStorage::open(folder));
  auto bytes = storage.read(path->filename(), kMaxBlockMapBytes);
  if (!bytes) return std::unexpected(bytes.error().context(path->string()));
  auto map = BlockMap::parse({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (!map) return std::unexpected(map.error().context(path->string()));
  return *map;
}

/// A line that is written over on a terminal; elsewhere one line per tenth.
class ProgressLine {
 public:
  void show(const FlashProgress& now) {
    if (now.stage != stage_) {
      finish();
      stage_ = now.stage;
      started_ = Clock::now();
      shown_tenths_ = 0;
    }
    const auto seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    const auto rate = seconds > 0 ? static_cast<double>(now.done_bytes) / seconds : 0;
    const auto what = stage_ == FlashStage::write ? "writing" : "checking";
    const auto mega = static_cast<double>(now.done_bytes) / 1e6;
    std::string line;
    if (now.total_bytes == 0) {
      line = std::format("{} {:7.0f} MB, {:.1f} MB/s", what, mega, rate / 1e6);
    } else {
      const auto left = rate > 0 ? static_cast<double>(now.total_bytes - now.done_bytes) / rate : 0;
      line = std::format("{} {:3} %, {:.0f} of {:.0f} MB, {:.1f} MB/s, {:.0f} s left", what,
                         now.done_bytes * 100 / now.total_bytes, mega, static_cast<double>(now.total_bytes) / 1e6,
                         rate / 1e6, left);
    }
    if (terminal_) {
      std::fprintf(stderr, "\r%-70s", line.c_str());
      open_ = true;
    } else if (const auto tenths = now.total_bytes == 0 ? 0 : now.done_bytes * 10 / now.total_bytes;
               tenths > shown_tenths_) {
      shown_tenths_ = tenths;
      std::fprintf(stderr, "%s\n", line.c_str());
    }
  }
  void finish() {
    if (open_) std::fputc('\n', stderr);
    open_ = false;
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_ = ::isatty(STDERR_FILENO) != 0, open_ = false;
  FlashStage stage_ = FlashStage::write;
  Clock::time_point started_ = Clock::now();
  std::uint64_t shown_tenths_ = 0;
};

Result<void> confirm(const TargetDisk& disk) {
  if (::isatty(STDIN_FILENO) == 0)
    return base::fail(Code::invalid_argument, "nobody is there to confirm; add --yes to write without being asked");
  std::fprintf(stderr, "%s\nEverything on it will be lost. Type %s to go on: ", disk.describe().c_str(),
               disk.name.c_str());
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != disk.name) return base::fail(Code::bad_state, "not confirmed; nothing was written");
  return {};
}

Result<Json> flash(const Options& options) {
  WAYSIDE_TRY(const auto disk, examine_disk(options.disk));
  WAYSIDE_TRY(auto image, ImageReader::open(options.image));
  WAYSIDE_TRY(const auto map, load_block_map(options));
  const auto image_bytes = map ? map->image_bytes : image.compressed() ? 0 : image.file_bytes();
  WAYSIDE_CHECK(may_overwrite(disk, image_bytes, options.permission));
  if (!options.yes) WAYSIDE_CHECK(confirm(disk));

  // O_EXCL: the kernel refuses it while anything has the disk mounted or claimed, whatever the tables said.
  const base::UniqueFd fd(::open(disk.node.c_str(), O_RDWR | O_EXCL | O_CLOEXEC));
  if (!fd.valid()) return base::fail_errno("open " + disk.node.string());
  stop_on_signals();
  ProgressLine line;
  const auto started = std::chrono::steady_clock::now();
  const auto done = write_image(image, fd.get(),
                                {.map = map ? &*map : nullptr,
                                 .verify = !options.no_verify,
                                 .target_bytes = disk.bytes,
                                 .progress = [&](const FlashProgress& now) { line.show(now); },
                                 .stop_requested = stop_requested});
  line.finish();
  if (!done) return std::unexpected(done.error());
  ::ioctl(fd.get(), BLKRRPART);  // the desktop sees the new partitions; a refusal does no harm
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return Json{{"disk", disk.node.string()},
              {"image", options.image},
              {"image_bytes", done->image_bytes},
              {"written_bytes", done->written_bytes},
              {"block_map", map.has_value()},
              {"verified", done->verified},
              {"seconds", seconds}};
}

int fail_with(const base::Error& error) {
  std::fprintf(stderr, "wayside flash: %s\n", error.message.c_str());
  return 1;
}

int list(const Options& options) {
  const auto disks = list_disks();
  if (!disks) return fail_with(disks.error());
  Json rows = Json::array();
  for (const auto& disk : *disks) {
    rows.push_back({{"disk", disk.node.string()},
                    {"bytes", disk.bytes},
                    {"model", disk.model},
                    {"removable", disk.removable},
                    {"uses", disk.uses}});
    if (!options.json)
      std::printf("%s%s\n", disk.describe().c_str(),
                  disk.uses.empty() ? "" : std::format(" (in use: {})", disk.uses.front()).c_str());
  }
  if (options.json) std::printf("%s\n", rows.dump(2).c_str());
  return 0;
}

int run(const Options& options) {
  if (options.list) return list(options);
  if (options.image.empty() || options.disk.empty())
    return fail_with({Code::invalid_argument, 0, "say IMAGE and DISK, or --list to see the disks"});
  const auto result = flash(options);
  if (!result) return fail_with(result.error());
  if (options.json) {
    std::printf("%s\n", result->dump(2).c_str());
  } else {
    std::printf("%s: %.0f MB written in %.0f s%s\n", options.disk.c_str(),
                result->at("written_bytes").get<double>() / 1e6, result->at("seconds").get<double>(),
                result->at("verified").get<bool>() ? ", read back and equal; it may be unplugged" : ", not checked");
  }
  return 0;
}

}  // namespace

void add_flash(CLI::App& app, std::function<int()>& chosen) {
  auto* command = app.add_subcommand("flash", "Write a firmware image to a card or disk, and check it");
  auto options = std::make_shared<Options>();
  command->add_option("image", options->image, "Image: .img, or .img.zst");
  command->add_option("disk", options->disk, "The whole disk: /dev/sdb, /dev/mmcblk0");
  command->add_flag("--list", options->list, "Show the disks of this machine instead");
  command->add_option("--bmap", options->block_map, "Block map (default: the .bmap beside the image)");
  command->add_flag("--no-bmap", options->no_block_map, "Write every block, the empty ones too");
  command->add_flag("--no-verify", options->no_verify, "Do not read back what was written");
  command->add_flag("--fixed-disk", options->permission.fixed_disk, "An internal disk is meant");
  command->add_flag("-y,--yes", options->yes, "Do not ask");
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->callback([=, &chosen] { chosen = [=] { return run(*options); }; });
}

}  // namespace wayside::fleet
