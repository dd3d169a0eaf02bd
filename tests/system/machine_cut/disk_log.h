// SPDX-License-Identifier: Apache-2.0
// The disk of an emulated machine: a log of its writes and flushes, and what a power cut leaves of them on the medium.
#pragma once

#include <cstdint>
#include <filesystem>
#include <random>

namespace wayside::test {

/// Before the bytes of each write in the log; made by volatile_disk.cpp in the machine's process. A write at or behind
/// the medium's end is a flush (guest_disk.h).
struct DiskLogEntry {
  std::uint64_t kind = 0;  ///< kDiskWrite
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};
inline constexpr std::uint64_t kDiskWrite = 0x57524954454c4f47;
/// What a disk writes as a whole or not at all.
inline constexpr std::uint64_t kSectorBytes = 512;

/// What a disk does with writes that it acknowledged and that no flush has followed.
enum class DiskCache : std::uint8_t {
  write_through,  ///< it has none: every acknowledged write stays
  volatile_,      ///< each is kept or lost, a tenth of them sector by sector: so later ones may outlive earlier ones
  lying           ///< as volatile_, but it ignores every flush too: the control that must be found out
};

struct CutFigures {
  std::uint64_t writes = 0, flushes = 0;  ///< in the whole log
  std::uint64_t unflushed = 0;            ///< writes after the last flush
  std::uint64_t lost = 0, torn = 0;       ///< of these
};

/// Brings `medium`, as it was when the log began, to what it is after a cut at the log's end. An entry that the log
/// holds only in part was under way: its whole sectors there may be on the medium. Throws std::runtime_error when a
/// file cannot be used or the log is none.
CutFigures apply_power_cut(const std::filesystem::path& log, const std::filesystem::path& medium, DiskCache cache,
                           std::mt19937_64& random);

}  // namespace wayside::test
