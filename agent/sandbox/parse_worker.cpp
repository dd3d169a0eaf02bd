// SPDX-License-Identifier: Apache-2.0
// Parsing in a jail.
#include "agent/sandbox/parse_worker.h"

#include <unistd.h>

#include "agent/sandbox/jail.h"
#include "ota/delta/deflate.h"

namespace wayside::agent {
namespace {

using ota::Bytes;
using ota::BytesView;

/// Of a whole life: an update of hours on a slow core. Its owner's patience with one request is much shorter.
constexpr JailLimits kLimits{.memory_bytes = std::size_t{96} << 20U, .cpu_s = 3600};

Parsed good(Bytes plain) {
  const auto size = static_cast<std::uint32_t>(plain.size());
  return {.answer = {.good = 1, .refusal = 0, .bytes = size}, .plain = std::move(plain)};
}

Parsed refused(std::string_view reason, ota::Refusal refusal = {}) {
  const auto bytes = ota::bytes_of(reason.substr(0, kMaxReasonBytes));
  return {.answer = {.good = 0,
                     .refusal = static_cast<std::uint32_t>(refusal),
                     .bytes = static_cast<std::uint32_t>(bytes.size())},
          .plain = Bytes(bytes.begin(), bytes.end())};
}

bool read_all(std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t count = ::read(STDIN_FILENO, into.data(), into.size());
    if (count <= 0) return false;
    into = into.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool write_all(BytesView bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

Parsed parse(const ParseRequest& request, BytesView input) {
  switch (request.job) {
    case ParseJob::index: {
      const auto index = ota::ChunkIndex::parse(input);
      return index ? good(to_plain(*index)) : refused(index.error().message);
    }
    case ParseJob::inflate: {
      if (request.raw_bytes > ota::kMaxChunkBytes) return refused("a chunk is not that large");
      auto raw = ota::inflate_chunk(input, request.raw_bytes);
      return raw ? good(std::move(*raw)) : refused(raw.error().message);
    }
    case ParseJob::envelope: {
      const auto envelope = ota::Envelope::parse(ota::text_of(input));
      return envelope ? good(to_plain(*envelope)) : refused(envelope.error().message, envelope.error().reason);
    }
    case ParseJob::command: {
      const auto command = ota::parse_update_command("of-the-topic", ota::text_of(input));
      return command ? good(to_plain(*command)) : refused(command.error().message, command.error().reason);
    }
  }
  return refused("no such job");
}

int serve_parser(Parse* parse) {
  if (const auto jailed = enter_jail(kLimits); !jailed) {
    (void)::write(STDERR_FILENO, jailed.error().message.data(), jailed.error().message.size());
    return 1;
  }
  ParseRequest request;
  Bytes input;
  while (read_all(std::as_writable_bytes(std::span(&request, 1)))) {
    if (request.input_bytes > kMaxParseInputBytes) return 1;
    input.resize(request.input_bytes);
    if (!read_all(input)) return 1;
    const Parsed parsed = parse(request, input);
    if (!write_all(std::as_bytes(std::span(&parsed.answer, 1))) || !write_all(parsed.plain)) return 1;
  }
  return 0;
}

}  // namespace wayside::agent
