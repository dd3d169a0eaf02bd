// SPDX-License-Identifier: Apache-2.0
// A package on a medium that somebody else may write (a stick, a download folder) is swapped while it is installed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "tests/base/mqtt/test_broker.h"
#include "tests/ota/package/package_kit.h"
#include "tests/support/figures.h"

namespace wayside::ota {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// Writes the stick without pause, never the device. What it swaps against each other: the package, one of a stranger's
/// key, a torn one, a symbolic link, a folder; the folder of all of them and a link out of the stick; bytes in place.
class Attacker {
 public:
  Attacker(fs::path stick, Bytes good, const Bytes& evil) : stick_(std::move(stick)), good_(std::move(good)) {
    file_ = base::UniqueFd(::open((stick_ / "in/package.wsm").c_str(), O_WRONLY | O_CLOEXEC));
    half_ = good_;
    std::copy_n(evil.begin(), std::min(evil.size(), good_.size()) / 2, half_.begin());
    thread_ = std::thread([this] {
      while (!stop_) strike();
    });
  }
  ~Attacker() {
    stop_ = true;
    thread_.join();
  }
  std::atomic<bool> installing{false};
  std::atomic<std::uint64_t> races{0};  ///< swaps while something was being installed

 private:
  void strike() {
    static constexpr const char* kOthers[] = {"in/stranger.wsm", "in/torn.wsm", "in/link.wsm", "in/folder.wsm"};
    const bool counts = installing;
    bool done = false;
    switch (random_() % 4) {
      case 0: done = exchange("in", "away"); break;
      case 1:
        done = ::pwrite(file_.get(), half_.data(), half_.size(), 0) > 0;
        done = ::pwrite(file_.get(), good_.data(), good_.size(), 0) > 0 && done;
        break;
      default: done = exchange("in/package.wsm", kOthers[random_() % std::size(kOthers)]); break;
    }
    if (counts && done) ++races;
  }
  bool exchange(const char* one, const char* other) const {
    return ::renameat2(AT_FDCWD, (stick_ / one).c_str(), AT_FDCWD, (stick_ / other).c_str(), RENAME_EXCHANGE) == 0;
  }
  fs::path stick_;
  Bytes good_, half_;
  base::UniqueFd file_;
  std::mt19937 random_{20'261'122};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class SwapRace : public testing::Test {
 protected:
  void SetUp() override {
    fill(kit, "of the stick");
    fill(outside, "of elsewhere");
    fill(stranger, "of a stranger");
    fs::create_directories(stick / "in/folder.wsm");
    fs::create_directories(dir.path() / "outside");
    const Bytes good = kit.package();
    put(stick / "in/package.wsm", good);
    put(stick / "in/stranger.wsm", stranger.package());
    put(stick / "in/torn.wsm", Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(good.size() / 2)));
    const std::string text = outside.manifest.serialize();
    put(dir.path() / "outside/package.wsm", kit.package(text, kit.sign(text), outside.files()));
    fs::create_symlink(dir.path() / "outside/package.wsm", stick / "in/link.wsm");
    fs::create_symlink(dir.path() / "outside", stick / "away");
  }
  /// Its own golden inputs, and a model that takes a while to install.
  static void fill(PackageKit& made, std::string_view mark) {
    made.manifest.variants[1].file = made.add(std::string(300'000, 'm'));
    made.manifest.golden.inputs = made.add(mark);
    const auto used = made.manifest.referenced();
    std::erase_if(made.blobs, [&](const auto& blob) { return !used.contains(blob.first); });
    std::erase_if(made.manifest.files, [&](const auto& file) { return !used.contains(file.first); });
  }
  test::TempDir dir;
  fs::path stick = dir.path() / "stick";
  PackageKit kit, outside, stranger;
};

TEST_F(SwapRace, NothingButTheSignedPackageOfTheStickGetsIn) {
  const auto wanted =
      testing_support::tries<std::uint64_t>({.test = 5'000, .quick = 20'000, .ci = 100'000, .full = 1'000'000});
  auto medium = base::DiskStorage::open(stick).value();
  base::FaultyStorage device(1);
  auto store = BlobStore::open(device).value();
  std::uint64_t installed = 0, refused = 0, won = 0;
  {
    Attacker attacker(stick, kit.package(), stranger.package());
    while (attacker.races < wanted || installed == 0 || refused == 0) {
      attacker.installing = true;
      const auto manifest = kit.install(medium, "in/package.wsm", store);
      attacker.installing = false;
      ++(manifest ? installed : refused);
      if (manifest && manifest->golden.inputs != kit.manifest.golden.inputs) ++won;
      const auto stored = store.list().value();
      for (const auto& digest : stored) won += kit.blobs.contains(digest) && store.verify(digest) ? 0U : 1U;
      ASSERT_TRUE(store.collect({}));
    }
    testing_support::figure("swap_races", attacker.races.load());
  }
  testing_support::figure("swap_races_won", won);
  RecordProperty("installed", std::to_string(installed));
  RecordProperty("refused", std::to_string(refused));
  EXPECT_EQ(won, 0) << installed << " installed, " << refused << " refused";
}

}  // namespace
}  // namespace wayside::ota
