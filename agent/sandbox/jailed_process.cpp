// SPDX-License-Identifier: Apache-2.0
// Pipes and poll.
#include "agent/sandbox/jailed_process.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <format>
#include <optional>

#include "agent/sandbox/child.h"
#include "base/clock.h"

namespace wayside::agent {
namespace {

using base::Code;
using base::fail;
using base::fail_errno;
using base::Result;
using base::UniqueFd;

constexpr std::size_t kMaxErrorBytes = 1024;

/// Moves bytes until both outputs are closed. Writing ends early when the program does not want all of its input.
class Pump {
 public:
  Pump(const JailedJob& job, Pipe& in, Pipe& out, Pipe& error)
      : job_(job), in_(in), out_(out), error_(error), left_(job.input) {
    for (const int fd : {in_.write.get(), out_.read.get(), error_.read.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
    in_.read.reset();
    out_.write.reset();
    error_.write.reset();
  }
  Result<void> run() {
    auto& clock = base::Clock::real();
    const auto deadline = clock.now() + job_.limit;
    while (out_.read.valid() || error_.read.valid()) {
      if (left_.empty()) in_.write.reset();
      const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock.now()).count();
      if (left_ms <= 0)
        return fail(Code::timeout, std::format("{} {} took longer than {} ms", job_.program.filename().string(),
                                               job_.name, job_.limit.count()));
      std::array<pollfd, 3> fds{pollfd{in_.write.valid() ? in_.write.get() : -1, POLLOUT, 0},
                                pollfd{out_.read.valid() ? out_.read.get() : -1, POLLIN, 0},
                                pollfd{error_.read.valid() ? error_.read.get() : -1, POLLIN, 0}};
      if (::poll(fds.data(), fds.size(), static_cast<int>(left_ms)) < 0 && errno != EINTR) return fail_errno("poll");
      if (fds[0].revents != 0) feed();
      if (fds[1].revents != 0) WAYSIDE_CHECK(take(out_.read, output, job_.max_output_bytes, true));
      if (fds[2].revents != 0) WAYSIDE_CHECK(take(error_.read, errors, kMaxErrorBytes, false));
    }
    return {};
  }
  std::vector<std::byte> output, errors;

 private:
  void feed() {
    const ssize_t count = ::write(in_.write.get(), left_.data(), left_.size());
    if (count >= 0)
      left_ = left_.subspan(static_cast<std::size_t>(count));
    else if (errno != EAGAIN && errno != EINTR)
      left_ = {};  // EPIPE: it has ended; its status tells why
  }
  Result<void> take(UniqueFd& from, std::vector<std::byte>& into, std::size_t max_bytes, bool strict) {
    std::array<std::byte, 16 * 1024> chunk{};
    const ssize_t count = ::read(from.get(), chunk.data(), chunk.size());
    if (count < 0) return errno == EAGAIN || errno == EINTR ? Result<void>() : fail_errno("read");
    if (count == 0) {
      from.reset();
      return {};
    }
    const auto room = max_bytes - into.size();
    if (strict && static_cast<std::size_t>(count) > room)
      return fail(Code::exhausted, std::format("{} wrote more than {} bytes", job_.name, max_bytes));
    into.insert(into.end(), chunk.begin(),
                chunk.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(room, count)));
    return {};
  }
  const JailedJob& job_;
  Pipe &in_, &out_, &error_;
  std::span<const std::byte> left_;
};

}  // namespace

Result<std::vector<std::byte>> run_jailed(const JailedJob& job) {
  WAYSIDE_TRY(auto in, Pipe::make());
  WAYSIDE_TRY(auto out, Pipe::make());
  WAYSIDE_TRY(auto error, Pipe::make());
  // A write to a program that has ended must be an error, not a signal; per thread, undone below.
  sigset_t pipe_signal, before;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  auto started = start_child(job.program, {job.name}, std::array{in.read.get(), out.write.get(), error.write.get()});
  Result<void> pumped;
  std::optional<Pump> pump;
  int status = 0;
  if (started) {
    Child child = std::move(*started);
    pump.emplace(job, in, out, error);
    pumped = pump->run();
    if (pumped) status = child.end();
  }
  const timespec now{0, 0};
  while (::sigtimedwait(&pipe_signal, nullptr, &now) > 0) {
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!started) return std::unexpected(started.error());
  if (!pumped) return std::unexpected(pumped.error());
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string_view words(reinterpret_cast<const char*>(pump->errors.data()), pump->errors.size());
    return std::unexpected(verdict_on(job.program.filename().string(), job.name, status, words));
  }
  return std::move(pump->output);
}

}  // namespace wayside::agent
