// SPDX-License-Identifier: Apache-2.0
// machine-cut: cuts the power of a whole emulated machine (real kernel, ext4, agent, broker, chunk server) while it
// switches between signed models, again and again on one disk, and looks at what is left. usage: machine-cut [CUTS
// [SEED]]; prints "key value" lines; ends with 1 at the first finding, whose disk is kept in build/machine-cut.
//
// $WAYSIDE_MACHINE_ROOT: folder with Debian's user-mode-linux and e2fsprogs (./dev reliability --ci makes it).
// $WAYSIDE_MACHINE_CONTROL=lying: the disk ignores flushes. This must end with a finding, or the test finds nothing.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <numeric>

#include "tests/support/figures.h"
#include "tests/system/machine_cut/disk_log.h"
#include "tests/system/machine_cut/ledger.h"
#include "tests/system/machine_cut/machine.h"
#include "tests/system/machine_cut/unpacked.h"
#include "tests/system/ota_agent/update_world.h"

namespace {

using namespace wayside;
using namespace wayside::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr unsigned kMaxBoots = 3;  ///< after a cut, until the device works again
constexpr auto kBootLimit = 90s;   ///< of one boot; on a machine that does much else
constexpr unsigned kMeasuredUpdates = 4;
constexpr std::uint64_t kMediumBytes = std::uint64_t{64} << 20U;
/// One cut in so many comes before the device has seen its first frame.
constexpr unsigned kInBootEach = 8;
/// With a cache: so much at most is written between the random moment and the cut, and so long is it waited for at
/// most.
constexpr std::uint64_t kWritesBeforeCutBytes = std::uint64_t{96} << 10U;
constexpr auto kAwaitWrites = 2s;

/// Four versions of the shipped detector, so that one is always new to the device: it keeps the active one and two
/// more.
std::map<std::string, std::string> make_versions(const fs::path& folder) {
  UpdateWorld world(folder, fs::path(WAYSIDE_SOURCE_DIR) / "models/street/street.tflite");
  fs::create_directories(folder / "envelopes");
  std::map<std::string, std::string> manifests;
  for (unsigned number = 1; number <= 4; ++number) {
    // The first has all bytes of the shipped one but its end; each further one also differs somewhere else.
    const auto retrain = [number](std::string& model) { model += std::string(16 * number, static_cast<char>(number)); };
    const auto version = std::format("{}.0.0", number);
    const auto digest =
        world.publish({.version = version,
                       .retrain = retrain,
                       .watch = {.shadow_frames = 3, .shadow_one_in = 1, .probation_s = 1, .max_restarts = 20}});
    std::ofstream(folder / "envelopes" / version, std::ios::binary) << world.envelope(digest);
    manifests[version] = digest.hex();
  }
  return manifests;
}

/// As image/initrd/init makes the data partition.
bool make_medium(const MachineFiles& files) {
  std::ofstream(files.medium()).flush();
  fs::resize_file(files.medium(), kMediumBytes);
  const auto done = run_unpacked(files.root, "usr/sbin/mke2fs",
                                 {"-q", "-F", "-b", "4096", "-t", "ext4", "-L", "data", "-m", "2", "-E",
                                  "lazy_itable_init=1,nodiscard", files.medium()});
  if (done.exit_code != 0) std::fprintf(stderr, "machine-cut: mke2fs: %s\n", done.errors.c_str());
  return done.exit_code == 0;
}

struct Totals {
  unsigned cuts = 0, cuts_in_boot = 0, boots = 0, bricks = 0;
  std::array<unsigned, kMaxBoots + 1> healthy_after{};  ///< by number of boots
  CutFigures disk;
  std::vector<double> boot_seconds;
};

class Trial {
 public:
  Trial(MachineFiles files, std::map<std::string, std::string> versions, std::uint64_t seed, bool lying)
      : files_(std::move(files)), ledger_(std::move(versions)), random_(seed), lying_(lying) {}

  /// The first life: a healthy device and the mean time of an update. False when the machine cannot run here.
  bool measure() {
    power_on();
    const auto limit = std::chrono::steady_clock::now() + 10 * kBootLimit;
    while (ledger_.update_seconds.size() < kMeasuredUpdates && ledger_.failures == 0 && !ledger_.dead() &&
           listen_once(limit)) {
    }
    if (ledger_.update_seconds.size() < kMeasuredUpdates) return false;
    // The first brings a device that has nothing to its first package.
    const auto& took = ledger_.update_seconds;
    update_s_ = std::accumulate(took.begin() + 1, took.end(), 0.0) / static_cast<double>(took.size() - 1);
    totals_.boot_seconds.push_back(frames_after_s_);
    boot_s_ = frames_after_s_;
    return true;
  }

  /// One life and the cut that ends it; false at a finding.
  bool cut_once() {
    const bool in_boot = totals_.cuts % kInBootEach == kInBootEach - 1;
    if (!machine_) power_on();
    if (!in_boot && !until_healthy()) return false;
    const double moment_s = uniform() * (in_boot ? boot_s_ : 1.1 * update_s_);
    const auto begin = in_boot ? machine_->powered_on() : std::chrono::steady_clock::now();
    const auto end = begin + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                 std::chrono::duration<double>(moment_s));
    while (listen_once(end)) {
    }
    if (next_cache() != DiskCache::write_through) await_writes();
    cut();
    totals_.cuts_in_boot += in_boot ? 1 : 0;
    return sound();
  }

  /// After the last cut: the device works, ends what it was doing and takes one more update.
  bool last_life() {
    if (!machine_) power_on();
    if (!until_healthy()) return false;
    const auto wanted = ledger_.commits + 2;
    const auto limit = std::chrono::steady_clock::now() + kBootLimit;
    while (ledger_.commits < wanted && listen_once(limit)) {
    }
    machine_.reset();
    if (ledger_.commits < wanted) problem_ = "after the last cut no update is committed any more";
    return sound();
  }

  void keep_evidence(const fs::path& folder) const {
    fs::create_directories(folder);
    for (const auto& [from, name] :
         {std::pair{files_.medium(), "medium"}, {files_.log(), "log"}, {before_cut(), "medium-before"}}) {
      std::error_code none;
      fs::copy_file(from, folder / name, fs::copy_options::overwrite_existing, none);
    }
    std::ofstream(folder / "console") << consoles_;
  }
  [[nodiscard]] std::string problem() const {
    return !problem_.empty() || ledger_.findings().empty() ? problem_ : ledger_.findings().front();
  }
  [[nodiscard]] const Totals& totals() const { return totals_; }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] double update_s() const { return update_s_; }
  [[nodiscard]] double boot_s() const { return boot_s_; }
  [[nodiscard]] std::string console() const { return consoles_ + (machine_ ? machine_->console() : ""); }

 private:
  [[nodiscard]] fs::path before_cut() const { return files_.folder / "medium-before"; }
  double uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  [[nodiscard]] bool sound() const { return problem_.empty() && ledger_.findings().empty(); }

  void power_on() {
    std::ofstream(files_.world / "orders") << ledger_.orders();
    ledger_.power_on();
    ++totals_.boots;
    machine_ = std::make_unique<Machine>(files_);
    frames_after_s_ = 0;
  }

  /// False when nothing more is to be heard until then.
  bool listen_once(MachineTime until) {
    const auto line = machine_->hear(until);
    if (!line) return false;
    const auto now = std::chrono::steady_clock::now();
    ledger_.hear(*line, now);
    if (*line == "frames") frames_after_s_ = std::chrono::duration<double>(now - machine_->powered_on()).count();
    return sound();
  }

  [[nodiscard]] DiskCache next_cache() const {
    if (lying_) return DiskCache::lying;
    return totals_.cuts % 2 == 0 ? DiskCache::write_through : DiskCache::volatile_;
  }

  /// A cache is seldom dirty: most moments find nothing in it. So from the random moment on, until the disk is being
  /// written.
  void await_writes() {
    const auto wanted = fs::file_size(files_.log()) + random_() % kWritesBeforeCutBytes;
    const auto limit = std::chrono::steady_clock::now() + kAwaitWrites;
    while (sound() && fs::file_size(files_.log()) <= wanted && std::chrono::steady_clock::now() < limit)
      listen_once(std::chrono::steady_clock::now() + 1ms);
  }

  bool until_healthy() {
    for (unsigned boot = 1; boot <= kMaxBoots; ++boot) {
      if (boot > 1) {
        cut();
        power_on();
      }
      const auto limit = machine_->powered_on() + kBootLimit;
      while (!ledger_.healthy() && !ledger_.dead() && listen_once(limit)) {
      }
      if (!sound()) return false;
      if (!ledger_.healthy()) continue;
      ++totals_.healthy_after.at(boot);
      totals_.boot_seconds.push_back(frames_after_s_);
      return true;
    }
    ++totals_.bricks;
    problem_ = std::format("not healthy after {} boots", kMaxBoots);
    return false;
  }

  void cut() {
    const auto cache = next_cache();
    machine_->cut_power();
    ++totals_.cuts;
    consoles_ = consoles_.substr(consoles_.size() - std::min<std::size_t>(consoles_.size(), 100'000)) +
                std::format("--- power-on, then cut {}\n", totals_.cuts) + machine_->console();
    machine_.reset();
    fs::copy_file(files_.medium(), before_cut(), fs::copy_options::overwrite_existing);
    const auto figures = apply_power_cut(files_.log(), files_.medium(), cache, random_);
    totals_.disk.writes += figures.writes;
    totals_.disk.flushes += figures.flushes;
    totals_.disk.unflushed += figures.unflushed;
    totals_.disk.lost += figures.lost;
    totals_.disk.torn += figures.torn;
  }

  MachineFiles files_;
  Ledger ledger_;
  std::mt19937_64 random_;
  bool lying_;
  std::unique_ptr<Machine> machine_;
  Totals totals_;
  double update_s_ = 0, boot_s_ = 0, frames_after_s_ = 0;
  std::string problem_, consoles_;
};

void report(const Trial& trial) {
  const auto& totals = trial.totals();
  const auto& ledger = trial.ledger();
  const auto tell = [](const std::string& key, auto value) {
    std::printf("%s %s\n", key.c_str(), std::format("{}", value).c_str());
    testing_support::figure(key, value);
  };
  tell("machine_cuts", totals.cuts);
  tell("machine_cuts_in_boot", totals.cuts_in_boot);
  tell("machine_boots", totals.boots);
  for (unsigned boots = 1; boots <= kMaxBoots; ++boots)
    tell(std::format("machine_healthy_after_{}_boots", boots), totals.healthy_after.at(boots));
  tell("machine_bricks", totals.bricks + ledger.unreadable);
  tell("machine_torn_models", ledger.torn);
  tell("machine_lost_states", ledger.lost);
  tell("machine_fs_repaired", ledger.repaired);
  tell("machine_updates_committed", ledger.commits);
  tell("machine_updates_failed", ledger.failures);
  tell("machine_disk_writes", totals.disk.writes);
  tell("machine_disk_flushes", totals.disk.flushes);
  tell("machine_disk_unflushed_at_cut", totals.disk.unflushed);
  tell("machine_disk_lost", totals.disk.lost);
  tell("machine_disk_torn", totals.disk.torn);
  for (const auto& [state, count] : ledger.found_in) tell("machine_found_in_" + state, count);
  for (const auto& [reason, count] : ledger.failed_because)
    std::printf("# %llu updates failed:%s\n", static_cast<unsigned long long>(count), reason.c_str());
}

int skip(const std::string& why) {
  std::printf("machine-cut: SKIPPED, no machine was cut: %s\n", why.c_str());
  testing_support::figure("machine_cuts_skipped", 1);
  return 0;
}

int run(unsigned cuts, std::uint64_t seed) {
  const char* root = std::getenv("WAYSIDE_MACHINE_ROOT");
  if (root == nullptr || !TestBroker::available())
    return skip("WAYSIDE_MACHINE_ROOT is not set; ./dev reliability --ci sets it");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 1);
  const TempDir scratch;
  const MachineFiles files{.root = root, .folder = scratch.path(), .world = scratch.path() / "world"};
  if (run_to_end(files.kernel(), {"--version"}).exit_code != 0) return skip("Debian's linux.uml does not run here");
  const auto versions = make_versions(files.world);
  if (!make_medium(files)) return 1;
  const char* control = std::getenv("WAYSIDE_MACHINE_CONTROL");
  Trial trial(files, versions, seed, control != nullptr && std::string_view(control) == "lying");
  if (!trial.measure()) {
    std::fprintf(stderr, "%s\n", trial.console().c_str());
    return trial.console().contains("MC ") ? 1 : skip("the machine does not start; its console is above");
  }
  std::fprintf(stderr, "machine-cut: seed %llu, an update takes %.2f s, frames %.2f s after power-on\n",
               static_cast<unsigned long long>(seed), trial.update_s(), trial.boot_s());
  const auto began = std::chrono::steady_clock::now();
  bool good = true;
  while (good && trial.totals().cuts < cuts) {
    good = trial.cut_once();
    if (trial.totals().cuts % 10 != 0) continue;
    std::fprintf(
        stderr, "machine-cut: %u of %u cuts, %llu updates committed, %lld s\n", trial.totals().cuts, cuts,
        static_cast<unsigned long long>(trial.ledger().commits),
        static_cast<long long>(
            std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began).count()));
  }
  good = good && trial.last_life();
  report(trial);
  if (good) return 0;
  trial.keep_evidence("build/machine-cut");
  std::fprintf(stderr, "machine-cut: seed %llu, cut %u: %s; disk and console are in build/machine-cut\n",
               static_cast<unsigned long long>(seed), trial.totals().cuts, trial.problem().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  unsigned cuts = testing_support::tries<unsigned>({.test = 2, .quick = 2, .ci = 20, .full = 1000});
  std::uint64_t seed = 20261121;
  const auto number = [](const char* text, auto& value) {
    const std::string_view view(text);
    const auto read = std::from_chars(view.data(), view.data() + view.size(), value);
    return read.ec == std::errc{} && read.ptr == view.data() + view.size();
  };
  if (argc > 3 || (argc > 1 && (!number(argv[1], cuts) || cuts == 0)) || (argc > 2 && !number(argv[2], seed))) {
    std::fprintf(stderr, "usage: machine-cut [CUTS [SEED]]\n");
    return 2;
  }
  return run(cuts, seed);
}
