// SPDX-License-Identifier: Apache-2.0
// Reads the log into memory (a machine's life of seconds writes some megabytes) and plays it onto the medium.
#include "tests/system/machine_cut/disk_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <span>
#include <stdexcept>
#include <vector>

#include "base/unique_fd.h"

namespace wayside::test {
namespace {

struct Write {
  std::uint64_t offset = 0;
  std::span<const char> bytes;
};

struct Log {
  std::vector<char> text;
  std::vector<Write> flushed, unflushed;
  std::uint64_t flushes = 0;
};

Log read_log(const std::filesystem::path& path, std::uint64_t medium_bytes, bool obeys_flushes) {
  Log log;
  std::ifstream file(path, std::ios::binary);
  log.text.assign(std::istreambuf_iterator<char>(file), {});
  if (!file) throw std::runtime_error("the disk's log cannot be read: " + path.string());
  std::size_t at = 0;
  while (log.text.size() - at >= sizeof(DiskLogEntry)) {
    DiskLogEntry entry;
    std::memcpy(&entry, &log.text[at], sizeof entry);
    at += sizeof entry;
    if (entry.kind != kDiskWrite) throw std::runtime_error("this is no log of a disk: " + path.string());
    auto bytes = std::min<std::uint64_t>(entry.bytes, log.text.size() - at);
    const bool under_way = bytes < entry.bytes;
    if (under_way) bytes -= bytes % kSectorBytes;
    const auto data = std::span(log.text).subspan(at, bytes);
    at += bytes;
    if (entry.offset < medium_bytes) {
      log.unflushed.push_back({entry.offset, data});
    } else if (!under_way) {
      ++log.flushes;
      if (!obeys_flushes) continue;
      log.flushed.insert(log.flushed.end(), log.unflushed.begin(), log.unflushed.end());
      log.unflushed.clear();
    }
    if (under_way) break;
  }
  return log;
}

void put(const base::UniqueFd& medium, const Write& write) {
  const auto done = ::pwrite(medium.get(), write.bytes.data(), write.bytes.size(), static_cast<off_t>(write.offset));
  if (done != static_cast<ssize_t>(write.bytes.size())) throw std::runtime_error("the medium cannot be written");
}

/// A random subset of its sectors.
void put_torn(const base::UniqueFd& medium, const Write& write, std::mt19937_64& random) {
  for (std::size_t at = 0; at < write.bytes.size(); at += kSectorBytes) {
    if (random() % 2 == 0) continue;
    put(medium, {write.offset + at, write.bytes.subspan(at, std::min(kSectorBytes, write.bytes.size() - at))});
  }
}

}  // namespace

CutFigures apply_power_cut(const std::filesystem::path& log_path, const std::filesystem::path& medium_path,
                           DiskCache cache, std::mt19937_64& random) {
  const Log log = read_log(log_path, std::filesystem::file_size(medium_path), cache != DiskCache::lying);
  const base::UniqueFd medium(::open(medium_path.c_str(), O_WRONLY | O_CLOEXEC));
  if (medium.get() < 0) throw std::runtime_error("the medium cannot be opened: " + medium_path.string());
  CutFigures figures{
      .writes = log.flushed.size() + log.unflushed.size(), .flushes = log.flushes, .unflushed = log.unflushed.size()};
  for (const auto& write : log.flushed) put(medium, write);
  // From a cut that loses nearly all to one that loses nearly nothing.
  const std::uint64_t lost_permille = random() % 1000;
  for (const auto& write : log.unflushed) {
    if (cache == DiskCache::write_through) {
      put(medium, write);
    } else if (random() % 1000 < lost_permille) {
      ++figures.lost;
    } else if (random() % 10 == 0) {
      ++figures.torn;
      put_torn(medium, write, random);
    } else {
      put(medium, write);
    }
  }
  return figures;
}

}  // namespace wayside::test
