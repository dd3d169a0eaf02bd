// SPDX-License-Identifier: Apache-2.0
// FaultyStorage: a file system in memory that loses what was not synced when its power is cut.
#include <algorithm>

#include "base/storage.h"

namespace wayside::base {
namespace {

/// What a medium writes in one piece; unsynced data may reach it in any order of these (logical sector, 512 bytes).
constexpr std::size_t kSectorBytes = 512;

std::string parent_of(const std::string& name) {
  const auto slash = name.rfind('/');
  return slash == std::string::npos ? std::string{} : name.substr(0, slash);
}

}  // namespace

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
  if (fail_once_at_ && number == *fail_once_at_) return fail_errno("write", fail_errno_);
  return {};
}

Result<FaultyStorage::Inode> FaultyStorage::find(const std::filesystem::path& path) const {
  const auto found = seen_.files.find(path.string());
  if (found == seen_.files.end()) return fail_errno(path.string(), ENOENT);
  return found->second;
}

void FaultyStorage::apply(const NameChange& change, Tree& tree) {
  if (change.directory) {
    tree.directories.insert(change.name);
  } else if (change.inode) {
    tree.files[change.name] = *change.inode;
  } else {
    tree.files.erase(change.name);
  }
  if (!change.renamed_from.empty()) {
    // Later changes may have given the old name to another file; only the renamed one leaves it.
    const auto old = tree.files.find(change.renamed_from);
    if (old != tree.files.end() && old->second == change.inode) tree.files.erase(old);
  }
}

void FaultyStorage::change(NameChange change) {
  apply(change, seen_);
  pending_.push_back(std::move(change));
}

std::uint64_t FaultyStorage::used_bytes() const {
  std::uint64_t used = 0;
  for (const auto& [name, inode] : seen_.files) used += files_.at(inode).seen.size();
  return used;
}

Result<std::vector<std::byte>> FaultyStorage::read(const std::filesystem::path& path, std::size_t max_bytes) {
  WAYSIDE_TRY(const Inode inode, find(path));
  const File& file = files_.at(inode);
  if (file.seen.size() > max_bytes) return fail(Code::exhausted, path.string() + ": too large");
  return file.seen;
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

Result<void> FaultyStorage::put(const std::filesystem::path& path, std::optional<std::uint64_t> offset,
                                std::span<const std::byte> bytes, bool from_start) {
  auto begun = begin();
  if (begun && used_bytes() + bytes.size() > capacity_bytes_) begun = fail_errno(path.string(), ENOSPC);
  const bool half = !begun && begun.error().sys_errno != 0;  // not for a cut: then nothing happens any more
  if (!begun && !half) return begun;
  const std::string name = path.string();
  if (!seen_.directories.contains(parent_of(name))) return fail_errno(name, ENOENT);
  if (!seen_.files.contains(name)) {
    files_[next_inode_] = {};
    change({.name = name, .inode = next_inode_++});
  }
  const auto kept = half ? bytes.first(bytes.size() / 2) : bytes;
  auto& seen = files_.at(seen_.files.at(name)).seen;
  if (from_start) seen.clear();
  const auto at = static_cast<std::size_t>(offset.value_or(seen.size()));
  if (seen.size() < at + kept.size()) seen.resize(at + kept.size());
  std::ranges::copy(kept, seen.begin() + static_cast<std::ptrdiff_t>(at));
  written_bytes_ += kept.size();
  return begun;
}

Result<void> FaultyStorage::write(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  return put(path, std::nullopt, bytes, true);
}

Result<void> FaultyStorage::append(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  return put(path, std::nullopt, bytes, false);
}

Result<void> FaultyStorage::write_at(const std::filesystem::path& path, std::uint64_t offset,
                                     std::span<const std::byte> bytes) {
  return put(path, offset, bytes, false);
}

Result<void> FaultyStorage::truncate(const std::filesystem::path& path, std::uint64_t size) {
  WAYSIDE_CHECK(begin());
  WAYSIDE_TRY(const Inode inode, find(path));
  auto& seen = files_.at(inode).seen;
  if (size > seen.size())
    return fail(Code::invalid_argument, path.string() + ": is shorter than the size to cut it to");
  seen.resize(static_cast<std::size_t>(size));
  return {};
}

Result<std::uint64_t> FaultyStorage::file_bytes(const std::filesystem::path& path) {
  WAYSIDE_TRY(const Inode inode, find(path));
  return files_.at(inode).seen.size();
}

Result<std::uint64_t> FaultyStorage::free_bytes() {
  const auto used = used_bytes();
  return used >= capacity_bytes_ ? 0 : capacity_bytes_ - used;
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
  if (!seen_.directories.contains(path.string())) return fail_errno(path.string(), ENOENT);
  // Only this directory's changes become durable; order within it is kept.
  const auto in_directory = [&](const NameChange& change) { return parent_of(change.name) == path.string(); };
  for (const auto& change : pending_) {
    if (in_directory(change)) apply(change, durable_);
  }
  std::erase_if(pending_, in_directory);
  return {};
}

Result<void> FaultyStorage::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  WAYSIDE_CHECK(begin());
  WAYSIDE_TRY(const Inode inode, find(from));
  if (!seen_.directories.contains(parent_of(to.string()))) return fail_errno(to.string(), ENOENT);
  change({.name = to.string(), .inode = inode, .renamed_from = from.string()});
  return {};
}

Result<void> FaultyStorage::remove(const std::filesystem::path& path) {
  WAYSIDE_CHECK(begin());
  if (seen_.files.contains(path.string())) change({.name = path.string()});
  return {};
}

Result<void> FaultyStorage::make_directory(const std::filesystem::path& path) {
  WAYSIDE_CHECK(begin());
  std::filesystem::path so_far;
  for (const auto& part : path) {
    so_far /= part;
    if (!seen_.directories.contains(so_far.string())) change({.name = so_far.string(), .directory = true});
  }
  return {};
}

Result<std::vector<std::string>> FaultyStorage::list(const std::filesystem::path& path) {
  if (!seen_.directories.contains(path.string())) return fail_errno(path.string(), ENOENT);
  std::vector<std::string> found;
  const auto take = [&](const std::string& name) {
    if (!name.empty() && parent_of(name) == path.string()) {
      found.push_back(std::filesystem::path(name).filename().string());
    }
  };
  for (const auto& [name, inode] : seen_.files) take(name);
  for (const auto& name : seen_.directories) take(name);
  std::ranges::sort(found);
  return found;
}

void FaultyStorage::settle_names() {
  if (reorder_) {
    for (const auto& change : pending_) {
      if (next_random() % 2 == 0) apply(change, durable_);
    }
  } else {
    // Directory changes reach the medium in order: a random prefix of the pending ones did.
    const std::size_t kept = pending_.empty() ? 0 : next_random() % (pending_.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) apply(pending_[i], durable_);
  }
  pending_.clear();
  // What lies in a directory that never reached the medium is gone with it.
  std::erase_if(durable_.directories,
                [&](const std::string& name) { return !durable_.directories.contains(parent_of(name)); });
  std::erase_if(durable_.files,
                [&](const auto& entry) { return !durable_.directories.contains(parent_of(entry.first)); });
  seen_ = durable_;
}

void FaultyStorage::settle_data(File& file) {
  if (file.seen == file.durable) return;
  // Unsynced data: lost, all there, torn at a random place (the old bytes beyond it, zeros where there were none), or
  // written sector by sector in no order.
  const std::uint64_t fate = next_random() % 4;
  if (fate == 1) file.durable = file.seen;
  if (fate >= 2) {
    const std::size_t torn = file.seen.empty() ? 0 : next_random() % file.seen.size();
    std::vector<std::byte> mixed(file.seen.size());
    bool fresh = false;
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      if (i % kSectorBytes == 0) fresh = next_random() % 2 == 0;
      const bool arrived = fate == 2 ? i < torn : fresh;
      mixed[i] = arrived ? file.seen[i] : i < file.durable.size() ? file.durable[i] : std::byte{0};
    }
    file.durable = std::move(mixed);
  }
  file.seen = file.durable;
}

void FaultyStorage::power_cut() {
  cut_at_.reset();
  fail_once_at_.reset();
  settle_names();
  for (auto& [inode, file] : files_) settle_data(file);
  std::erase_if(files_, [&](const auto& entry) {
    return std::ranges::none_of(seen_.files, [&](const auto& name) { return name.second == entry.first; });
  });
}

}  // namespace wayside::base
