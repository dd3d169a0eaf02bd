// SPDX-License-Identifier: Apache-2.0
// MappedFile over open, fstat and mmap.
#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/unique_fd.h"

namespace wayside::base {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno(path.string());
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(path.string());
  if (!S_ISREG(info.st_mode)) return fail(Code::invalid_argument, path.string() + ": not a regular file");
  if (info.st_size <= 0) return fail(Code::corrupt, path.string() + ": the file is empty");
  const auto size_bytes = static_cast<std::size_t>(info.st_size);
  void* data = ::mmap(nullptr, size_bytes, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return fail_errno(path.string() + ": mmap");
  MappedFile file(static_cast<const std::byte*>(data), size_bytes);
  const auto ns = [](const timespec& time) { return (std::int64_t{time.tv_sec} * 1'000'000'000) + time.tv_nsec; };
  file.identity_ = {.device = info.st_dev,
                    .inode = info.st_ino,
                    .size_bytes = size_bytes,
                    .modified_ns = ns(info.st_mtim),
                    .changed_ns = ns(info.st_ctim)};
  return file;
}

void MappedFile::release(std::span<const std::byte> part) const {
  const std::byte* const end = part.data() + part.size();
  if (part.empty() || part.data() < data_ || end > data_ + size_bytes_) return;
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto first = static_cast<std::size_t>(part.data() - data_) / page_bytes * page_bytes;
  ::madvise(const_cast<std::byte*>(data_) + first, static_cast<std::size_t>(end - data_) - first, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      identity_(other.identity_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(identity_, other.identity_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_bytes_);
}

}  // namespace wayside::base
