// SPDX-License-Identifier: Apache-2.0
// Plain forms: what the jailed parser answers: fixed-size fields at fixed places, which take no parsing to check.
#pragma once

#include <optional>

#include "ota/delta/chunk_index.h"
#include "ota/package/signatures.h"
#include "ota/updater/command.h"

namespace wayside::agent {

/// What the parser is asked for, and how its answer begins; both in the byte order of the machine, which is the same.
enum class ParseJob : std::uint32_t { index, inflate, envelope, command };
struct ParseRequest {
  ParseJob job{};
  std::uint32_t input_bytes = 0;
  std::uint32_t raw_bytes = 0;  ///< of `inflate`
};
struct ParseAnswer {
  std::uint32_t good = 0;     ///< else the bytes are the reason
  std::uint32_t refusal = 0;  ///< ota::Refusal of `envelope` and `command`
  std::uint32_t bytes = 0;
};

/// Largest request; nothing that is parsed before it is verified is larger.
inline constexpr std::size_t kMaxParseInputBytes = ota::kMaxIndexBytes;
inline constexpr std::size_t kMaxReasonBytes = 256;
/// Longest type of a signed document.
inline constexpr std::size_t kMaxTypeBytes = 64;

/// Largest answer to a request.
[[nodiscard]] std::size_t max_answer_bytes(const ParseRequest& request);

// The parser's side.
[[nodiscard]] ota::Bytes to_plain(const ota::ChunkIndex& index);
[[nodiscard]] ota::Bytes to_plain(const ota::Envelope& envelope);
[[nodiscard]] ota::Bytes to_plain(const std::optional<ota::UpdateCommand>& command);

// The agent's side: the parser may be in the hands of whoever made its input. Errors: corrupt.
[[nodiscard]] base::Result<ota::ChunkIndex> index_of(ota::BytesView plain);
/// Key ids rise, so that no key counts twice. What it says is what its signatures are checked against, nothing more.
[[nodiscard]] base::Result<ota::Envelope> envelope_of(ota::BytesView plain);
/// Without its id, which stands in the topic. Nothing: not a command, but our own answer.
[[nodiscard]] base::Result<std::optional<ota::UpdateCommand>> command_of(ota::BytesView plain);

}  // namespace wayside::agent
