// SPDX-License-Identifier: Apache-2.0
// FaultyStorage: a file system in memory that loses what was not synced when its power is cut.
#include <algorithm>

#include "base/storage.h"

namespace wayside::base {

/// xorshift64* (Vigna 2016): small, seedable, the same on every machine.
std::uint64_t FaultyStorage::next_random() {
  random_state_ ^= random_state_ >> 12U;
  random_state_ ^= random_state_ << 25U;
  random_state_ ^= random_state_ >> 27U;
  return random_state_ * 0x2545F4914F6CDD1DULL;
}

Result<void> FaultyStorage::begin() {
  const std::uint64_t number = operations_++;
  if (cut_at_ && number >= *cut_at_) return fail(Code::io, "power is cut");
  if (fail_once_at_ && number == *fail_once_at_) return fail_errno("write", ENOSPC);
  return {};
}

Result<FaultyStorage::Inode> FaultyStorage::find(const std::filesystem::path& path) const {
  const auto found = names_.find(path.string());
  if (found == names_.end()) return fail_errno(path.string(), ENOENT);
  return found->second;
}

void FaultyStorage::point(const std::filesystem::path& path, std::optional<Inode> inode) {
  if (inode) {
    names_[path.string()] = *inode;
  } else {
    names_.erase(path.string());
  }
  pending_.push_back({path.string(), inode});
}

Result<std::vector<std::byte>> FaultyStorage::read(const std::filesystem::path& path, std::size_t max_bytes) {
  WAYSIDE_TRY(const Inode inode, find(path));
  const File& file = files_.at(inode);
  if (file.seen.size() > max_bytes) return fail(Code::exhausted, path.string() + ": too large");
  return file.seen;
}

std::uint64_t FaultyStorage::used_bytes() const {
  std::uint64_t used = 0;
  for (const auto& [name, inode] : names_) used += files_.at(inode).seen.size();
  return used;
}

Result<void> FaultyStorage::put(const std::filesystem::path& path, std::span<const std::byte> bytes,
                                std::optional<std::uint64_t> offset, bool from_start) {
  const auto begun = begin();
  const bool half = !begun && begun.error().sys_errno == ENOSPC;
  if (!begun && !half) return begun;
  if (used_bytes() + bytes.size() > capacity_bytes_) return fail_errno(path.string(), ENOSPC);
  if (!names_.contains(path.string())) {
    files_[next_inode_] = {};
    point(path, next_inode_++);
  }
  const auto kept = half ? bytes.first(bytes.size() / 2) : bytes;
  auto& seen = files_.at(names_.at(path.string())).seen;
  if (from_start) seen.clear();
  const auto at = static_cast<std::size_t>(offset.value_or(seen.size()));
  seen.resize(std::max(seen.size(), at + kept.size()));
  std::ranges::copy(kept, seen.begin() + static_cast<std::ptrdiff_t>(at));
  return begun;
}

Result<void> FaultyStorage::write(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  return put(path, bytes, std::nullopt, true);
}

Result<void> FaultyStorage::append(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  return put(path, bytes, std::nullopt, false);
}

Result<void> FaultyStorage::write_at(const std::filesystem::path& path, std::uint64_t offset,
                                     std::span<const std::byte> bytes) {
  return put(path, bytes, offset, false);
}

Result<void> FaultyStorage::read_at(const std::filesystem::path& path, std::uint64_t offset, std::span<std::byte> out) {
  WAYSIDE_TRY(const Inode inode, find(path));
  const auto& seen = files_.at(inode).seen;
  if (offset > seen.size() || out.size() > seen.size() - offset) {
    return fail(Code::end_of_stream, path.string() + ": shorter than expected");
  }
  std::ranges::copy(std::span(seen).subspan(static_cast<std::size_t>(offset), out.size()), out.begin());
  return {};
}

Result<std::uint64_t> FaultyStorage::file_bytes(const std::filesystem::path& path) {
  WAYSIDE_TRY(const Inode inode, find(path));
  return files_.at(inode).seen.size();
}

Result<std::uint64_t> FaultyStorage::free_bytes() {
  const std::uint64_t used = used_bytes();
  return used < capacity_bytes_ ? capacity_bytes_ - used : 0;
}

Result<void> FaultyStorage::sync_file(const std::filesystem::path& path) {
  WAYSIDE_CHECK(begin());
  WAYSIDE_TRY(const Inode inode, find(path));
  File& file = files_.at(inode);
  file.durable = file.seen;
  return {};
}

Result<void> FaultyStorage::sync_directory(const std::filesystem::path& path) {
  WAYSIDE_CHECK(begin());
  // Only this directory's changes become durable; order within it is kept.
  const auto in_directory = [&](const NameChange& change) {
    return std::filesystem::path(change.name).parent_path() == path;
  };
  for (const auto& change : pending_) {
    if (!in_directory(change)) continue;
    if (change.inode)
      durable_names_[change.name] = *change.inode;
    else
      durable_names_.erase(change.name);
  }
  std::erase_if(pending_, in_directory);
  return {};
}

Result<void> FaultyStorage::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  WAYSIDE_CHECK(begin());
  WAYSIDE_TRY(const Inode inode, find(from));
  // One atomic change on the medium: the new name first, so that a cut between leaves both, never neither.
  point(to, inode);
  point(from, std::nullopt);
  return {};
}

Result<void> FaultyStorage::remove(const std::filesystem::path& path) {
  WAYSIDE_CHECK(begin());
  if (names_.contains(path.string())) point(path, std::nullopt);
  return {};
}

Result<void> FaultyStorage::make_directory(const std::filesystem::path& path) {
  WAYSIDE_CHECK(begin());
  directories_[path.string()] = true;
  return {};
}

Result<std::vector<std::string>> FaultyStorage::list(const std::filesystem::path& path) {
  std::vector<std::string> found;
  for (const auto& [name, inode] : names_) {
    const std::filesystem::path full(name);
    if (full.parent_path() == path) found.push_back(full.filename().string());
  }
  if (found.empty() && !directories_.contains(path.string())) return fail_errno(path.string(), ENOENT);
  return found;
}

void FaultyStorage::power_cut() {
  cut_at_.reset();
  fail_once_at_.reset();
  // Directory changes reach the medium in order: a random prefix of the pending ones did.
  const std::size_t kept = pending_.empty() ? 0 : next_random() % (pending_.size() + 1);
  for (std::size_t i = 0; i < kept; ++i) {
    if (pending_[i].inode)
      durable_names_[pending_[i].name] = *pending_[i].inode;
    else
      durable_names_.erase(pending_[i].name);
  }
  pending_.clear();
  names_ = durable_names_;
  for (auto& [inode, file] : files_) {
    if (file.seen == file.durable) continue;
    // Unsynced data: lost, all there, or torn at a random place (the old bytes beyond it, zeros where there were none).
    const std::uint64_t fate = next_random() % 3;
    if (fate == 1) file.durable = file.seen;
    if (fate == 2) {
      const std::size_t torn = file.seen.empty() ? 0 : next_random() % file.seen.size();
      std::vector<std::byte> mixed(file.seen.size());
      for (std::size_t i = 0; i < mixed.size(); ++i) {
        mixed[i] = i < torn ? file.seen[i] : i < file.durable.size() ? file.durable[i] : std::byte{0};
      }
      file.durable = std::move(mixed);
    }
    file.seen = file.durable;
  }
}

}  // namespace wayside::base
