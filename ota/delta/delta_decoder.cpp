// SPDX-License-Identifier: Apache-2.0
// Decodes a delta in steps; every number is checked before it is used.
#include <format>

#include "ota/delta/delta.h"
#include "ota/delta/delta_format.h"
#include "ota/delta/delta_model.h"

namespace wayside::ota {
namespace {

/// Read from the base and written to the sink at once.
constexpr std::size_t kPieceBytes = 64 * 1024;

std::unexpected<base::Error> corrupt(std::string_view why) {
  return base::fail(base::Code::corrupt, std::format("delta: {}", why));
}

}  // namespace

base::Result<DeltaHeader> DeltaHeader::read(const ByteSource& delta) {
  Bytes bytes(static_cast<std::size_t>(std::min<std::uint64_t>(delta.size(), kMaxDeltaHeaderBytes)));
  WAYSIDE_CHECK(delta.read_at(0, bytes));
  ByteReader reader(bytes);
  WAYSIDE_TRY(const BytesView magic, reader.bytes(kDeltaMagic.size(), "delta: magic"));
  if (text_of(magic) != kDeltaMagic) return corrupt("not a WDL1 document");
  DeltaHeader header;
  WAYSIDE_TRY(header.target_hash, read_digest(reader, "delta: hash of the new file"));
  WAYSIDE_TRY(header.target_bytes, reader.varint(kMaxFileBytes, "delta: size of the new file"));
  WAYSIDE_TRY(header.base_hash, read_digest(reader, "delta: hash of the old file"));
  WAYSIDE_TRY(header.base_bytes, reader.varint(kMaxFileBytes, "delta: size of the old file"));
  header.coded_offset = bytes.size() - reader.left();
  return header;
}

struct DeltaDecoder::State {
  State(RangeDecoder opened, const ByteSource& base_in, const DeltaHeader& header_in)
      : coder(std::move(opened)), base(&base_in), header(header_in) {}

  RangeDecoder coder;
  const ByteSource* base;
  DeltaHeader header;
  DeltaModel model;
  Sha256 hasher;
  DeltaStep open_step{};  ///< `bytes`: what is left of it
  std::int64_t diagonal = 0;
  std::uint64_t at = 0;
  Bytes piece;

  base::Result<void> next_step();
  base::Result<void> fill();
};

/// Reads one operation. Each makes at least one byte, so their number is bounded by the size of the target.
base::Result<void> DeltaDecoder::State::next_step() {
  const DeltaReading direction{coder};
  const std::uint64_t left = header.target_bytes - at;
  open_step.kind = model.kind(direction, DeltaKind::copy);
  open_step.bytes = model.length[static_cast<std::size_t>(open_step.kind)].code(direction, 0);
  if (open_step.bytes == 0 || open_step.bytes > left) return corrupt("an operation passes the end of the new file");
  if (open_step.kind == DeltaKind::insert) return {};
  diagonal += model.shift(direction, 0);
  const std::int64_t from = static_cast<std::int64_t>(at) + diagonal;
  if (from < 0 || static_cast<std::uint64_t>(from) > header.base_bytes ||
      open_step.bytes > header.base_bytes - static_cast<std::uint64_t>(from)) {
    return corrupt("an operation reads outside the old file");
  }
  open_step.base_offset = static_cast<std::uint64_t>(from);
  return {};
}

/// Makes the bytes of `piece`.
base::Result<void> DeltaDecoder::State::fill() {
  const DeltaReading direction{coder};
  if (open_step.kind == DeltaKind::insert) {
    for (std::byte& byte : piece) byte = static_cast<std::byte>(model.literal.code(direction, 0));
    return {};
  }
  WAYSIDE_CHECK(base->read_at(open_step.base_offset, piece));
  open_step.base_offset += piece.size();
  if (open_step.kind == DeltaKind::copy) return {};
  for (std::byte& byte : piece) {
    byte = static_cast<std::byte>(std::to_integer<unsigned>(byte) + model.residual.code(direction, 0));
  }
  return {};
}

base::Result<DeltaDecoder> DeltaDecoder::open(const ByteSource& delta, const ByteSource& base,
                                              const DeltaExpectation& expected) {
  WAYSIDE_TRY(const DeltaHeader header, DeltaHeader::read(delta));
  if (header.target_hash != expected.target_hash || header.target_bytes != expected.target_bytes) {
    return corrupt("makes another file than the one wanted");
  }
  if (header.base_hash != expected.base_hash || header.base_bytes != base.size()) {
    return corrupt("is for another old file than the one given");
  }
  WAYSIDE_TRY(RangeDecoder coder, RangeDecoder::open(delta, header.coded_offset));
  return DeltaDecoder(std::make_unique<State>(std::move(coder), base, header));
}

DeltaDecoder::DeltaDecoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
DeltaDecoder::~DeltaDecoder() = default;
DeltaDecoder::DeltaDecoder(DeltaDecoder&&) noexcept = default;
DeltaDecoder& DeltaDecoder::operator=(DeltaDecoder&&) noexcept = default;

base::Result<bool> DeltaDecoder::step(ByteSink& sink, std::size_t max_bytes) {
  State& state = *state_;
  while (state.at < state.header.target_bytes && max_bytes > 0) {
    if (state.open_step.bytes == 0) WAYSIDE_CHECK(state.next_step());
    state.piece.resize(static_cast<std::size_t>(
        std::min<std::uint64_t>({state.open_step.bytes, kPieceBytes, static_cast<std::uint64_t>(max_bytes)})));
    WAYSIDE_CHECK(state.fill());
    if (state.coder.overran()) return corrupt("the coded stream is cut");
    state.hasher.update(state.piece);
    WAYSIDE_CHECK(sink.write(state.piece));
    state.open_step.bytes -= state.piece.size();
    state.at += state.piece.size();
    max_bytes -= state.piece.size();
  }
  if (state.at < state.header.target_bytes) return false;
  if (!state.coder.at_end()) return corrupt("bytes are left over");
  WAYSIDE_TRY(const Digest made, state.hasher.finish());
  if (made != state.header.target_hash) return corrupt("the file made has another hash");
  return true;
}

}  // namespace wayside::ota
