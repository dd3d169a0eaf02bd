// SPDX-License-Identifier: Apache-2.0
// Two files in, a pipe out, and how it ended.
#include "agent/sandbox/jailed_delta.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <vector>

namespace wayside::agent {
namespace {

using base::fail_errno;
using base::Result;
using base::UniqueFd;

constexpr int kWait_ms = 20;

Result<UniqueFd> open_to_read(const std::filesystem::path& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return fail_errno(path.string());
  return file;
}

}  // namespace

Result<std::unique_ptr<ota::DeltaMaker>> JailedDelta::open(const std::filesystem::path& program,
                                                           const std::filesystem::path& delta,
                                                           const std::filesystem::path& old_file,
                                                           const ota::DeltaExpectation& expected) {
  WAYSIDE_TRY(const UniqueFd delta_file, open_to_read(delta));
  WAYSIDE_TRY(const UniqueFd base_file, open_to_read(old_file));
  WAYSIDE_TRY(Pipe out, Pipe::make());
  WAYSIDE_TRY(Pipe errors, Pipe::make());
  WAYSIDE_TRY(Child child,
              start_child(program,
                          {"delta", expected.target_hash.hex(), std::to_string(expected.target_bytes),
                           expected.base_hash.hex()},
                          std::array{delta_file.get(), out.write.get(), errors.write.get(), base_file.get()}));
  for (const int fd : {out.read.get(), errors.read.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return std::unique_ptr<ota::DeltaMaker>(
      new JailedDelta(std::move(child), std::move(out.read), std::move(errors.read), expected.target_bytes));
}

Result<bool> JailedDelta::step(ota::ByteSink& sink, std::size_t max_bytes) {
  std::vector<std::byte> piece(std::min<std::size_t>(max_bytes, 64 * 1024));
  pollfd wanted{output_.get(), POLLIN, 0};
  if (::poll(&wanted, 1, kWait_ms) < 0 && errno != EINTR) return fail_errno("poll");
  for (std::size_t taken = 0; taken < max_bytes;) {
    const ssize_t count = ::read(output_.get(), piece.data(), piece.size());
    if (count < 0) {
      if (errno == EAGAIN || errno == EINTR) return false;
      return fail_errno("read");
    }
    if (count == 0) return finish();
    if (static_cast<std::uint64_t>(count) > left_)
      return base::fail(base::Code::corrupt, "wayside-fetch delta made more than the new file has");
    left_ -= static_cast<std::uint64_t>(count);
    taken += static_cast<std::size_t>(count);
    WAYSIDE_CHECK(sink.write(std::span(piece).first(static_cast<std::size_t>(count))));
  }
  return false;
}

Result<bool> JailedDelta::finish() {
  const int status = child_.end();  // it may have closed its output only
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && left_ == 0) return true;
  std::string words(1024, '\0');
  const ssize_t count = ::read(errors_.get(), words.data(), words.size());
  words.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return std::unexpected(verdict_on("wayside-fetch", "delta", status, words));
}

}  // namespace wayside::agent
