// SPDX-License-Identifier: Apache-2.0
// One request at a time over a pair of sockets, with a deadline.
#include "agent/sandbox/jailed_parser.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <format>

#include "base/clock.h"
#include "base/plain_line.h"

namespace wayside::agent {
namespace {

using base::Code;
using base::fail;
using base::fail_errno;
using base::Result;
using base::UniqueFd;
using ota::Bytes;
using ota::BytesView;
using ota::Refusal;

constexpr std::string_view kJob = "parse";

/// A reason that a program in a jail gives: one line of plain text.
std::string reason_in(BytesView bytes) { return base::plain_line(ota::text_of(bytes), kMaxReasonBytes); }

/// Sends and receives on one non-blocking socket until a deadline.
class Line {
 public:
  Line(int fd, std::chrono::milliseconds limit) : fd_(fd), end_(clock_.now() + limit) {}
  Result<void> send(BytesView bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0)
        bytes = bytes.subspan(static_cast<std::size_t>(count));
      else
        WAYSIDE_CHECK(wait(POLLOUT));
    }
    return {};
  }
  Result<void> receive(std::span<std::byte> into) {
    while (!into.empty()) {
      const ssize_t count = ::recv(fd_, into.data(), into.size(), 0);
      if (count == 0) return fail(Code::end_of_stream, "it closed its end");
      if (count > 0)
        into = into.subspan(static_cast<std::size_t>(count));
      else
        WAYSIDE_CHECK(wait(POLLIN));
    }
    return {};
  }

 private:
  /// After a call that could not go on.
  Result<void> wait(short event) {
    if (errno != EAGAIN && errno != EINTR) return fail_errno("its socket");
    const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - clock_.now()).count();
    pollfd wanted{fd_, event, 0};
    if (left_ms <= 0 || ::poll(&wanted, 1, static_cast<int>(left_ms)) == 0) return fail(Code::timeout, "too long");
    return {};
  }
  base::Clock& clock_ = base::Clock::real();
  int fd_;
  base::MonotonicTime end_;
};

}  // namespace

Result<void> JailedParser::start() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("socketpair");
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  WAYSIDE_TRY(Pipe errors, Pipe::make());
  WAYSIDE_TRY(Child child,
              start_child(program_, {std::string(kJob)}, std::array{theirs.get(), theirs.get(), errors.write.get()}));
  for (const int fd : {ours.get(), errors.read.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  worker_.emplace(Worker{.child = std::move(child), .line = std::move(ours), .errors = std::move(errors.read)});
  return {};
}

/// Of a worker that does not answer as it should: it is ended. What it died of, or what it said.
base::Error JailedParser::autopsy(std::string_view job) {
  const int status = worker_->child.end();
  std::string words(1024, '\0');
  const ssize_t count = ::read(worker_->errors.get(), words.data(), words.size());
  words.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  worker_.reset();
  auto error = verdict_on(program_.filename().string(), job, status, words);
  error.code = Code::bad_state;  // also one that ended of its own will: it has not refused its input, it is gone
  return error;
}

Result<JailedParser::Answer> JailedParser::exchange(const ParseRequest& request, BytesView input) {
  Line line(worker_->line.get(), limit_);
  WAYSIDE_CHECK(line.send(std::as_bytes(std::span(&request, 1))));
  WAYSIDE_CHECK(line.send(input));
  Answer answer;
  WAYSIDE_CHECK(line.receive(std::as_writable_bytes(std::span(&answer.head, 1))));
  if (answer.head.bytes > (answer.head.good != 0 ? max_answer_bytes(request) : kMaxReasonBytes))
    return fail(Code::exhausted, "its answer is too large");
  answer.bytes.resize(answer.head.bytes);
  WAYSIDE_CHECK(line.receive(answer.bytes));
  return answer;
}

Result<JailedParser::Answer> JailedParser::ask(const ParseRequest& request, BytesView input) {
  if (!worker_) WAYSIDE_CHECK(start());
  auto answer = exchange(request, input);
  if (answer) return answer;
  const std::string what = std::format("{} {}", program_.filename().string(), kJob);
  if (answer.error().code == Code::timeout) {
    worker_.reset();
    return fail(Code::timeout,
                std::format("{} took longer than {} ms: its input may be an attack", what, limit_.count()));
  }
  if (answer.error().code == Code::exhausted) {
    worker_.reset();
    return fail(Code::bad_state, std::format("{}: {}", what, answer.error().message));
  }
  return std::unexpected(autopsy(kJob));
}

Result<ota::ChunkIndex> JailedParser::index(BytesView document) {
  WAYSIDE_TRY(const Answer answer,
              ask({.job = ParseJob::index, .input_bytes = static_cast<std::uint32_t>(document.size())}, document));
  if (answer.head.good == 0) return fail(Code::corrupt, reason_in(answer.bytes));
  return index_of(answer.bytes);
}

Result<Bytes> JailedParser::inflate(BytesView deflated, std::size_t raw_bytes) {
  WAYSIDE_TRY(Answer answer, ask({.job = ParseJob::inflate,
                                  .input_bytes = static_cast<std::uint32_t>(deflated.size()),
                                  .raw_bytes = static_cast<std::uint32_t>(raw_bytes)},
                                 deflated));
  if (answer.head.good == 0) return fail(Code::corrupt, reason_in(answer.bytes));
  if (answer.bytes.size() != raw_bytes) return fail(Code::corrupt, "the parser's answer is not a chunk of this size");
  return std::move(answer.bytes);
}

ota::Checked<ota::Envelope> JailedParser::envelope(std::string_view text) {
  if (text.size() > ota::kMaxDocumentBytes + ota::kMaxSignaturesBytes)
    return ota::refuse(Refusal::manifest_too_large,
                       std::format("a signed document exceeds {} bytes", ota::kMaxDocumentBytes));
  const auto answer =
      ask({.job = ParseJob::envelope, .input_bytes = static_cast<std::uint32_t>(text.size())}, ota::bytes_of(text));
  if (!answer) return ota::refuse(Refusal::parser_failed, answer.error().message);
  if (answer->head.good == 0) return ota::refuse(ota::refusal_of(answer->head.refusal), reason_in(answer->bytes));
  auto envelope = envelope_of(answer->bytes);
  if (!envelope) return ota::refuse(Refusal::parser_failed, envelope.error().message);
  return std::move(*envelope);
}

ota::Checked<std::optional<ota::UpdateCommand>> JailedParser::command(std::string_view id, std::string_view payload) {
  if (!ota::is_command_name(id))
    return ota::refuse(Refusal::command_malformed, "a command id has 1 to 64 of A-Z a-z 0-9 . _ -");
  if (payload.size() > ota::kMaxCommandBytes)
    return ota::refuse(Refusal::command_malformed, std::format("a command exceeds {} bytes", ota::kMaxCommandBytes));
  const auto answer = ask({.job = ParseJob::command, .input_bytes = static_cast<std::uint32_t>(payload.size())},
                          ota::bytes_of(payload));
  if (!answer) return ota::refuse(Refusal::parser_failed, answer.error().message);
  if (answer->head.good == 0) return ota::refuse(ota::refusal_of(answer->head.refusal), reason_in(answer->bytes));
  auto command = command_of(answer->bytes);
  if (!command) return ota::refuse(Refusal::parser_failed, command.error().message);
  if (*command) (*command)->id = id;
  return std::move(*command);
}

}  // namespace wayside::agent
