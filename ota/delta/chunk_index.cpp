// SPDX-License-Identifier: Apache-2.0
// Making, writing and reading chunk indexes.
#include "ota/delta/chunk_index.h"

#include <format>

#include "ota/delta/deflate.h"

namespace wayside::ota {
namespace {

constexpr std::string_view kMagic = "WCI1";
/// What is read at once: the largest chunk is seen whole, and rarely twice.
constexpr std::size_t kReadBytes = 8 * kMaxChunkBytes;

base::Result<Chunk> read_chunk(ByteReader& reader) {
  Chunk chunk;
  WAYSIDE_TRY(const BytesView id, reader.bytes(ChunkId::kBytes, "chunk index: chunk id"));
  std::ranges::copy(id, chunk.id.bytes.begin());
  WAYSIDE_TRY(const std::uint64_t raw, reader.varint(kMaxChunkBytes, "chunk index: chunk size"));
  if (raw == 0) return base::fail(base::Code::corrupt, "chunk index: empty chunk");
  WAYSIDE_TRY(const std::uint64_t saved, reader.varint(raw - 1, "chunk index: bytes saved"));
  chunk.raw_bytes = static_cast<std::uint32_t>(raw);
  chunk.wire_bytes = static_cast<std::uint32_t>(raw - saved);
  return chunk;
}

}  // namespace

base::Result<ChunkId> chunk_id(BytesView raw) {
  WAYSIDE_TRY(const Digest hash, sha256_of(raw));
  ChunkId id;
  std::copy_n(hash.bytes.begin(), ChunkId::kBytes, id.bytes.begin());
  return id;
}

std::uint64_t ChunkIndex::wire_bytes() const {
  std::uint64_t sum = 0;
  for (const Chunk& chunk : chunks) sum += chunk.wire_bytes;
  return sum;
}

Bytes ChunkIndex::serialize() const {
  ByteWriter writer;
  writer.text(kMagic);
  writer.bytes(file_hash.bytes);
  writer.varint(file_bytes);
  writer.varint(chunks.size());
  for (const Chunk& chunk : chunks) {
    writer.bytes(chunk.id.bytes);
    writer.varint(chunk.raw_bytes);
    writer.varint(chunk.raw_bytes - chunk.wire_bytes);
  }
  return writer.take();
}

base::Result<ChunkIndex> ChunkIndex::parse(BytesView document) {
  ByteReader reader(document);
  WAYSIDE_TRY(const BytesView magic, reader.bytes(kMagic.size(), "chunk index: magic"));
  if (text_of(magic) != kMagic) return base::fail(base::Code::corrupt, "chunk index: not a WCI1 document");
  ChunkIndex index;
  WAYSIDE_TRY(index.file_hash, read_digest(reader, "chunk index: file hash"));
  WAYSIDE_TRY(index.file_bytes, reader.varint(kMaxFileBytes, "chunk index: file size"));
  WAYSIDE_TRY(const std::uint64_t count, reader.varint(kMaxChunks, "chunk index: number of chunks"));
  std::uint64_t offset = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    WAYSIDE_TRY(Chunk chunk, read_chunk(reader));
    chunk.offset = offset;
    offset += chunk.raw_bytes;
    if (offset > index.file_bytes) break;
    index.chunks.push_back(chunk);
  }
  if (offset != index.file_bytes) {
    return base::fail(base::Code::corrupt, "chunk index: the chunks do not add up to the file's size");
  }
  WAYSIDE_CHECK(reader.end("chunk index"));
  return index;
}

base::Result<FileCutter::Cut> FileCutter::next() {
  if (buffer_.size() - start_ < kMaxChunkBytes && read_ < file_->size()) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(start_));
    start_ = 0;
    const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(file_->size() - read_, kReadBytes));
    buffer_.resize(buffer_.size() + more);
    WAYSIDE_CHECK(file_->read_at(read_, std::span(buffer_).last(more)));
    read_ += more;
  }
  const BytesView rest = BytesView(buffer_).subspan(start_);
  const Cut cut{.offset = read_ - rest.size(), .raw = rest.first(first_chunk_bytes(rest))};
  start_ += cut.raw.size();
  return cut;
}

base::Result<ChunkIndex> index_file(const ByteSource& file, ByteSink* wire) {
  if (file.size() > kMaxFileBytes) {
    return base::fail(base::Code::invalid_argument,
                      std::format("file of {} bytes: at most {} can be sent over the air", file.size(), kMaxFileBytes));
  }
  ChunkIndex index{.file_bytes = file.size()};
  Sha256 hasher;
  FileCutter cutter(file);
  while (true) {
    WAYSIDE_TRY(const auto cut, cutter.next());
    if (cut.raw.empty()) break;
    hasher.update(cut.raw);
    Chunk chunk{.offset = cut.offset, .raw_bytes = static_cast<std::uint32_t>(cut.raw.size())};
    WAYSIDE_TRY(chunk.id, chunk_id(cut.raw));
    WAYSIDE_TRY(const Bytes deflated, deflate_chunk(cut.raw));
    const BytesView travels = deflated.empty() ? cut.raw : BytesView(deflated);
    chunk.wire_bytes = static_cast<std::uint32_t>(travels.size());
    if (wire != nullptr) WAYSIDE_CHECK(wire->write(travels));
    index.chunks.push_back(chunk);
  }
  if (index.chunks.size() > kMaxChunks) return base::fail(base::Code::invalid_argument, "file has too many chunks");
  WAYSIDE_TRY(index.file_hash, hasher.finish());
  return index;
}

}  // namespace wayside::ota
