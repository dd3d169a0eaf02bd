// SPDX-License-Identifier: Apache-2.0
// File names, notes of what was checked, and the bound of the directory.
#include "accel/cpu/packed_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <format>

#include "base/log.h"
#include "base/unique_fd.h"

namespace wayside::accel::cpu {
namespace {

using base::Code;
using base::fail;
using base::MappedFile;
using base::Result;

constexpr std::string_view kSuffix = ".packed", kUnfinished = ".new";
constexpr std::size_t kMaxNoteBytes = 1024;
/// A file may change again within one tick of the clock that stamps it: a model this fresh is not noted as checked.
constexpr std::chrono::seconds kSettled{2};

/// One file for each path and level: a model that replaces another replaces its packed weights too.
std::string name_of(const std::filesystem::path& path, Level level) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error).string();
  ContentHasher hasher;
  hasher.update(std::as_bytes(std::span(absolute)));
  return std::format("{:016x}-{}{}", hasher.digest()[0], to_string(level), kSuffix);
}

/// In pieces whose pages are given back, so that memory stays as it was.
ContentDigest digest_of(const MappedFile& file) {
  constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  ContentHasher hasher;
  for (auto left = file.bytes(); !left.empty();) {
    const auto piece = left.first(std::min(left.size(), kPieceBytes));
    hasher.update(piece);
    file.release(piece);
    left = left.subspan(piece.size());
  }
  return hasher.digest();
}

std::string text_of(const base::FileIdentity& file) {
  return std::format("{} {} {} {} {}", file.device, file.inode, file.size_bytes, file.modified_ns, file.changed_ns);
}

/// Empty where the kernel does not say. A stream would cost more than all else that find() does.
std::string boot_id() {
  const base::UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text{};
  const ssize_t length = fd.valid() ? ::read(fd.get(), text.data(), text.size()) : 0;
  const std::string_view whole(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  return std::string(whole.substr(0, whole.find('\n')));
}

/// Empty where the kernel does not say which start of the machine this is: nothing is then taken as checked.
std::string note_of(const MappedFile& model, const MappedFile& packed) {
  const std::string boot = boot_id();
  if (boot.empty()) return {};
  return std::format("{}\nmodel {}\npacked {}\n", boot, text_of(model.identity()), text_of(packed.identity()));
}

bool is_settled(const MappedFile& model) {
  const auto& identity = model.identity();
  const std::chrono::nanoseconds changed(std::max(identity.changed_ns, identity.modified_ns));
  return std::chrono::system_clock::now().time_since_epoch() - changed > kSettled;
}

}  // namespace

Result<PackedCache> PackedCache::open(std::filesystem::path directory, std::uint64_t max_bytes) {
  WAYSIDE_TRY(auto storage, base::DiskStorage::open(directory));
  return PackedCache(std::move(directory), std::move(storage), max_bytes);
}

bool PackedCache::was_checked(const std::string& name, const std::string& note) {
  const auto kept = storage_.read(name + ".checked", kMaxNoteBytes);
  return kept && !note.empty() && std::ranges::equal(*kept, std::as_bytes(std::span(note)));
}

/// A note that is torn or lost only costs another check.
void PackedCache::note_checked(const std::string& name, const MappedFile& model, const std::string& note) {
  if (note.empty() || !is_settled(model)) return;
  if (auto done = storage_.write(name + ".checked", std::as_bytes(std::span(note))); !done) {
    base::log_debug("event=packed_weights_note_failed reason=\"{}\"", done.error().message);
  }
}

std::unique_ptr<PackedModel> PackedCache::find(const std::filesystem::path& path, const MappedFile& model,
                                               Level level) {
  const std::string name = name_of(path, level);
  auto opened = PackedModel::open(directory_ / name);
  if (!opened) {
    if (opened.error().code != Code::not_found) {
      base::log_info("event=packed_weights_refused model={} reason=\"{}\"", path.string(), opened.error().message);
    }
    return nullptr;
  }
  auto packed = std::move(*opened);
  if (packed->key().level != level || packed->key().model_bytes != model.bytes().size()) return nullptr;
  const std::string note = note_of(model, packed->file());
  if (was_checked(name, note)) return packed;
  if (packed->key().model != digest_of(model)) return nullptr;  // the model was replaced
  if (!packed->contents_are_whole()) {
    base::log_warn("event=packed_weights_damaged model={} file={} remedy=packed_anew", path.string(), name);
    return nullptr;
  }
  note_checked(name, model, note);
  return packed;
}

Result<void> PackedCache::make_room(const std::string& name, std::uint64_t bytes) {
  WAYSIDE_TRY(const auto free, storage_.free_bytes());
  if (bytes > max_bytes_ || bytes > free / 4) {
    return fail(Code::exhausted, std::format("{}: no room for {} bytes of packed weights", directory_.string(), bytes));
  }
  WAYSIDE_TRY(const auto names, storage_.list(""));
  std::uint64_t others = 0;
  const auto size_of = [&](const std::string& file) { return storage_.file_bytes(file).value_or(0); };
  for (const auto& file : names) {
    if (file.ends_with(kUnfinished)) WAYSIDE_CHECK(storage_.remove(file));  // of a program that was ended
    if (file.ends_with(kSuffix) && file != name) others += size_of(file);
  }
  for (const auto& file : names) {
    if (others + bytes <= max_bytes_) break;
    if (!file.ends_with(kSuffix) || file == name) continue;
    others -= size_of(file);
    WAYSIDE_CHECK(storage_.remove(file));
    WAYSIDE_CHECK(storage_.remove(file + ".checked"));
  }
  return {};
}

Result<void> PackedCache::keep(const std::filesystem::path& path, const MappedFile& model, Level level,
                               std::span<const PackedNode> nodes) {
  const std::string name = name_of(path, level);
  std::uint64_t bytes = 0;
  for (const auto& node : nodes) {
    if (node.conv) bytes += node.conv->weights.size() + node.conv->requant.size_bytes();
    if (node.table) bytes += node.table->size();
  }
  WAYSIDE_CHECK(make_room(name, bytes));
  // A name of its own: two programs that load the same model at once do not write into one file.
  const std::string unfinished = std::format("{}.{}{}", name, ::getpid(), kUnfinished);
  const PackedKey key{.model = digest_of(model), .model_bytes = model.bytes().size(), .level = level};
  auto written = write_packed_model(storage_, unfinished, key, nodes);
  if (written) written = storage_.rename(unfinished, name);
  if (!written) {
    (void)storage_.remove(unfinished);
    return written;
  }
  WAYSIDE_TRY(const auto file, MappedFile::open(directory_ / name));
  note_checked(name, model, note_of(model, file));
  return {};
}

}  // namespace wayside::accel::cpu
