// SPDX-License-Identifier: Apache-2.0
// Structs one after the other.
#include "agent/sandbox/plain_form.h"

#include <algorithm>
#include <cstring>

namespace wayside::agent {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ota::Bytes;
using ota::BytesView;

struct PlainIndex {
  ota::Digest file_hash;
  std::uint64_t file_bytes = 0;
};
struct PlainChunk {
  ota::ChunkId id;
  std::uint32_t raw_bytes = 0, wire_bytes = 0;
};
struct PlainEnvelope {
  std::uint32_t type_bytes = 0, body_bytes = 0;
};
struct PlainSignature {
  ota::Digest key_id;
  ota::Signature signature{};
};
struct PlainCommand {
  ota::Digest manifest;
  std::int64_t not_after_unix_s = 0;
  std::uint64_t max_bytes = 0;
  std::uint32_t is_command = 0;
  std::array<char, 64> role{}, rollout{};  ///< filled up with zeros
  std::uint32_t unused = 0;
};

template <class Plain>
void put(Bytes& out, const Plain& plain) {
  static_assert(std::is_trivially_copyable_v<Plain> && std::has_unique_object_representations_v<Plain>);
  const auto bytes = std::as_bytes(std::span(&plain, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// The next struct of `left`, which is long enough.
template <class Plain>
Plain take(BytesView& left) {
  Plain plain;
  std::memcpy(&plain, left.data(), sizeof(Plain));
  left = left.subspan(sizeof(Plain));
  return plain;
}

std::unexpected<base::Error> bent(std::string_view what) {
  return fail(Code::corrupt, std::string("the parser's answer is not ") + std::string(what));
}

std::string text_in(const std::array<char, 64>& field) { return {field.begin(), std::ranges::find(field, '\0')}; }

std::array<char, 64> field_of(const std::string& text) {
  std::array<char, 64> field{};
  std::copy_n(text.begin(), std::min(text.size(), field.size()), field.begin());
  return field;
}

}  // namespace

std::size_t max_answer_bytes(const ParseRequest& request) {
  switch (request.job) {
    case ParseJob::index: return sizeof(PlainIndex) + ota::kMaxChunks * sizeof(PlainChunk);
    case ParseJob::inflate: return std::max<std::size_t>(request.raw_bytes, kMaxReasonBytes);
    case ParseJob::envelope: return ota::kMaxDocumentBytes + ota::kMaxSignaturesBytes;
    case ParseJob::command: return std::max(sizeof(PlainCommand), kMaxReasonBytes);
  }
  return kMaxReasonBytes;
}

Bytes to_plain(const ota::ChunkIndex& index) {
  Bytes out;
  put(out, PlainIndex{.file_hash = index.file_hash, .file_bytes = index.file_bytes});
  for (const auto& chunk : index.chunks)
    put(out, PlainChunk{.id = chunk.id, .raw_bytes = chunk.raw_bytes, .wire_bytes = chunk.wire_bytes});
  return out;
}

Result<ota::ChunkIndex> index_of(BytesView plain) {
  if (plain.size() < sizeof(PlainIndex) || (plain.size() - sizeof(PlainIndex)) % sizeof(PlainChunk) != 0)
    return bent("an index");
  const auto head = take<PlainIndex>(plain);
  ota::ChunkIndex index{.file_hash = head.file_hash, .file_bytes = head.file_bytes};
  const std::size_t count = plain.size() / sizeof(PlainChunk);
  if (count > ota::kMaxChunks || head.file_bytes > ota::kMaxFileBytes) return bent("an index within its bounds");
  index.chunks.reserve(count);
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto chunk = take<PlainChunk>(plain);
    if (chunk.raw_bytes == 0 || chunk.raw_bytes > ota::kMaxChunkBytes || chunk.wire_bytes == 0 ||
        chunk.wire_bytes > chunk.raw_bytes)
      return bent("an index with chunks within their bounds");
    index.chunks.push_back(
        {.id = chunk.id, .offset = offset, .raw_bytes = chunk.raw_bytes, .wire_bytes = chunk.wire_bytes});
    offset += chunk.raw_bytes;
  }
  if (offset != head.file_bytes) return bent("an index whose chunks add up");
  return index;
}

Bytes to_plain(const ota::Envelope& envelope) {
  Bytes out;
  put(out, PlainEnvelope{.type_bytes = static_cast<std::uint32_t>(envelope.type.size()),
                         .body_bytes = static_cast<std::uint32_t>(envelope.body.size())});
  for (const std::string* text : {&envelope.type, &envelope.body}) {
    const auto bytes = ota::bytes_of(*text);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  for (const auto& [key_id, signature] : envelope.signatures)
    put(out, PlainSignature{.key_id = key_id, .signature = signature});
  return out;
}

Result<ota::Envelope> envelope_of(BytesView plain) {
  if (plain.size() < sizeof(PlainEnvelope)) return bent("a signed document");
  const auto head = take<PlainEnvelope>(plain);
  const std::uint64_t texts = std::uint64_t{head.type_bytes} + head.body_bytes;
  if (head.type_bytes > kMaxTypeBytes || head.body_bytes > ota::kMaxDocumentBytes || texts > plain.size() ||
      (plain.size() - texts) % sizeof(PlainSignature) != 0)
    return bent("a signed document within its bounds");
  ota::Envelope envelope{.type = std::string(ota::text_of(plain.first(head.type_bytes))),
                         .body = std::string(ota::text_of(plain.subspan(head.type_bytes, head.body_bytes))),
                         .signatures = {}};
  plain = plain.subspan(static_cast<std::size_t>(texts));
  if (plain.size() / sizeof(PlainSignature) > ota::kMaxSignatures) return bent("so few signatures as there may be");
  while (!plain.empty()) {
    const auto one = take<PlainSignature>(plain);
    if (!envelope.signatures.empty() && !(envelope.signatures.back().key_id < one.key_id))
      return bent("a list of signatures by different keys");
    envelope.signatures.push_back({.key_id = one.key_id, .signature = one.signature});
  }
  return envelope;
}

Bytes to_plain(const std::optional<ota::UpdateCommand>& command) {
  PlainCommand plain;
  if (command) {
    plain = {.manifest = command->manifest,
             .not_after_unix_s = command->not_after_unix_s,
             .max_bytes = command->max_bytes,
             .is_command = 1,
             .role = field_of(command->role),
             .rollout = field_of(command->rollout)};
  }
  Bytes out;
  put(out, plain);
  return out;
}

Result<std::optional<ota::UpdateCommand>> command_of(BytesView bytes) {
  if (bytes.size() != sizeof(PlainCommand)) return bent("a command");
  const auto plain = take<PlainCommand>(bytes);
  if (plain.is_command == 0) return std::optional<ota::UpdateCommand>();
  ota::UpdateCommand command{.id = {},
                             .role = text_in(plain.role),
                             .manifest = plain.manifest,
                             .not_after_unix_s = plain.not_after_unix_s,
                             .max_bytes = plain.max_bytes,
                             .rollout = text_in(plain.rollout)};
  if (!ota::is_command_name(command.role) || (!command.rollout.empty() && !ota::is_command_name(command.rollout)))
    return bent("a command with names in it");
  return std::optional(std::move(command));
}

}  // namespace wayside::agent
