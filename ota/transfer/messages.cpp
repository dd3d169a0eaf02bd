// SPDX-License-Identifier: Apache-2.0
// Writing and reading of the transfer messages.
#include "ota/transfer/messages.h"

#include <format>

#include "base/mqtt/message.h"

namespace wayside::ota {
namespace {

using base::Code;
using base::fail;

constexpr std::uint8_t kVersion = 1;

/// First two bytes of each message: version and this.
enum class Tag : std::uint8_t { offer_request = 1, piece_request = 2, offer = 17, piece = 18, refusal = 19 };

void begin(ByteWriter& writer, Tag tag) {
  writer.u8(kVersion);
  writer.u8(static_cast<std::uint8_t>(tag));
}

base::Result<Tag> read_tag(ByteReader& reader) {
  WAYSIDE_TRY(const std::uint8_t version, reader.u8("transfer message: version"));
  if (version != kVersion)
    return fail(Code::corrupt, std::format("transfer message: version {} is not known", version));
  WAYSIDE_TRY(const std::uint8_t tag, reader.u8("transfer message: kind"));
  return static_cast<Tag>(tag);
}

base::Result<PieceKind> read_piece_kind(ByteReader& reader) {
  WAYSIDE_TRY(const std::uint8_t kind, reader.u8("piece kind"));
  if (kind > static_cast<std::uint8_t>(PieceKind::chunk)) return fail(Code::corrupt, "piece kind is not known");
  return static_cast<PieceKind>(kind);
}

/// Pieces that a blob can have at most.
std::uint32_t max_pieces(PieceKind kind) {
  return kind == PieceKind::chunk ? kMaxChunks : (kMaxIndexBytes + kIndexPageBytes - 1) / kIndexPageBytes;
}

base::Result<std::string> read_text(ByteReader& reader, std::size_t max, std::string_view what) {
  WAYSIDE_TRY(const std::uint64_t size, reader.varint(max, what));
  WAYSIDE_TRY(const BytesView bytes, reader.bytes(static_cast<std::size_t>(size), what));
  return std::string(text_of(bytes));
}

void write_text(ByteWriter& writer, std::string_view text) {
  writer.varint(text.size());
  writer.text(text);
}

base::Result<OfferRequest> read_offer_request(ByteReader& reader) {
  OfferRequest request;
  WAYSIDE_TRY(request.target, read_digest(reader, "offer request: target"));
  WAYSIDE_TRY(const std::uint64_t count, reader.varint(kMaxBases, "offer request: number of bases"));
  for (std::uint64_t i = 0; i < count; ++i) {
    WAYSIDE_TRY(const Digest base, read_digest(reader, "offer request: base"));
    request.have.push_back(base);
  }
  return request;
}

base::Result<PieceRequest> read_piece_request(ByteReader& reader) {
  constexpr std::size_t kMaxSiteBytes = 64;
  PieceRequest request;
  WAYSIDE_TRY(request.kind, read_piece_kind(reader));
  WAYSIDE_TRY(request.blob, read_digest(reader, "piece request: blob"));
  WAYSIDE_TRY(request.pieces, PieceSet::read(reader, max_pieces(request.kind)));
  WAYSIDE_TRY(request.site, read_text(reader, kMaxSiteBytes, "piece request: site"));
  if (!request.site.empty()) WAYSIDE_CHECK(base::mqtt::check_topic_level("site", request.site));
  return request;
}

base::Result<Offer> read_offer(ByteReader& reader) {
  Offer offer;
  WAYSIDE_TRY(offer.target, read_digest(reader, "offer: target"));
  WAYSIDE_TRY(offer.target_bytes, reader.varint(kMaxFileBytes, "offer: size"));
  WAYSIDE_TRY(const std::uint64_t count, reader.varint(kMaxRoutes, "offer: number of routes"));
  for (std::uint64_t i = 0; i < count; ++i) {
    WAYSIDE_TRY(const Route route, read_route(reader));
    offer.routes.push_back(route);
  }
  return offer;
}

base::Result<Piece> read_piece(ByteReader& reader) {
  Piece piece;
  WAYSIDE_TRY(piece.kind, read_piece_kind(reader));
  WAYSIDE_TRY(const BytesView tag, reader.bytes(Piece::kTagBytes, "piece: blob"));
  std::ranges::copy(tag, piece.tag.begin());
  WAYSIDE_TRY(const std::uint64_t number, reader.varint(max_pieces(piece.kind) - 1, "piece: number"));
  piece.number = static_cast<std::uint32_t>(number);
  const std::size_t most = piece.kind == PieceKind::chunk ? kMaxChunkBytes : kIndexPageBytes;
  if (reader.left() == 0 || reader.left() > most) return fail(Code::corrupt, "piece: empty or too large");
  WAYSIDE_TRY(const BytesView data, reader.bytes(reader.left(), "piece: data"));
  piece.data.assign(data.begin(), data.end());
  return piece;
}

base::Result<BlobRefusal> read_refusal(ByteReader& reader) {
  BlobRefusal refusal;
  WAYSIDE_TRY(const std::uint8_t code, reader.u8("refusal: code"));
  if (code > static_cast<std::uint8_t>(RefusalCode::busy)) return fail(Code::corrupt, "refusal: code is not known");
  refusal.code = static_cast<RefusalCode>(code);
  WAYSIDE_TRY(refusal.text, read_text(reader, kMaxRefusalText, "refusal: text"));
  return refusal;
}

}  // namespace

std::string_view to_string(RouteKind kind) {
  switch (kind) {
    case RouteKind::full: return "full";
    case RouteKind::chunks: return "chunks";
    case RouteKind::patch: return "patch";
    case RouteKind::subtract: return "subtract";
  }
  return "unknown";
}

std::array<std::byte, Piece::kTagBytes> tag_of(const Digest& blob) {
  std::array<std::byte, Piece::kTagBytes> tag{};
  std::copy_n(blob.bytes.begin(), tag.size(), tag.begin());
  return tag;
}

void write_route(ByteWriter& writer, const Route& route) {
  writer.u8(static_cast<std::uint8_t>(route.kind));
  writer.bytes(route.base.bytes);
  writer.bytes(route.blob.bytes);
  writer.varint(route.blob_bytes);
  writer.bytes(route.index_hash.bytes);
  writer.varint(route.index_bytes);
  writer.varint(route.chunk_bytes);
}

base::Result<Route> read_route(ByteReader& reader) {
  Route route;
  WAYSIDE_TRY(const std::uint8_t kind, reader.u8("route: kind"));
  if (kind > static_cast<std::uint8_t>(RouteKind::subtract)) return fail(Code::corrupt, "route: kind is not known");
  route.kind = static_cast<RouteKind>(kind);
  WAYSIDE_TRY(route.base, read_digest(reader, "route: base"));
  WAYSIDE_TRY(route.blob, read_digest(reader, "route: blob"));
  WAYSIDE_TRY(route.blob_bytes, reader.varint(kMaxFileBytes, "route: size"));
  WAYSIDE_TRY(route.index_hash, read_digest(reader, "route: index"));
  WAYSIDE_TRY(const std::uint64_t index_bytes, reader.varint(kMaxIndexBytes, "route: size of the index"));
  route.index_bytes = static_cast<std::uint32_t>(index_bytes);
  WAYSIDE_TRY(route.chunk_bytes, reader.varint(kMaxFileBytes, "route: bytes to fetch"));
  return route;
}

Bytes serialize(const Request& request) {
  ByteWriter writer;
  if (const auto* offer = std::get_if<OfferRequest>(&request)) {
    begin(writer, Tag::offer_request);
    writer.bytes(offer->target.bytes);
    writer.varint(offer->have.size());
    for (const Digest& base : offer->have) writer.bytes(base.bytes);
    return writer.take();
  }
  const auto& pieces = std::get<PieceRequest>(request);
  begin(writer, Tag::piece_request);
  writer.u8(static_cast<std::uint8_t>(pieces.kind));
  writer.bytes(pieces.blob.bytes);
  pieces.pieces.write(writer);
  write_text(writer, pieces.site);
  return writer.take();
}

base::Result<Request> parse_request(BytesView bytes) {
  ByteReader reader(bytes);
  WAYSIDE_TRY(const Tag tag, read_tag(reader));
  Request request;
  if (tag == Tag::offer_request) {
    WAYSIDE_TRY(request, read_offer_request(reader));
  } else if (tag == Tag::piece_request) {
    WAYSIDE_TRY(request, read_piece_request(reader));
  } else {
    return fail(Code::corrupt, "transfer message: not a request");
  }
  WAYSIDE_CHECK(reader.end("transfer request"));
  return request;
}

Bytes serialize(const Reply& reply) {
  ByteWriter writer;
  if (const auto* offer = std::get_if<Offer>(&reply)) {
    begin(writer, Tag::offer);
    writer.bytes(offer->target.bytes);
    writer.varint(offer->target_bytes);
    writer.varint(offer->routes.size());
    for (const Route& route : offer->routes) write_route(writer, route);
  } else if (const auto* piece = std::get_if<Piece>(&reply)) {
    begin(writer, Tag::piece);
    writer.u8(static_cast<std::uint8_t>(piece->kind));
    writer.bytes(piece->tag);
    writer.varint(piece->number);
    writer.bytes(piece->data);
  } else {
    const auto& refusal = std::get<BlobRefusal>(reply);
    begin(writer, Tag::refusal);
    writer.u8(static_cast<std::uint8_t>(refusal.code));
    write_text(writer, std::string_view(refusal.text).substr(0, kMaxRefusalText));
  }
  return writer.take();
}

base::Result<Reply> parse_reply(BytesView bytes) {
  ByteReader reader(bytes);
  WAYSIDE_TRY(const Tag tag, read_tag(reader));
  Reply reply;
  if (tag == Tag::offer) {
    WAYSIDE_TRY(reply, read_offer(reader));
  } else if (tag == Tag::piece) {
    WAYSIDE_TRY(reply, read_piece(reader));
  } else if (tag == Tag::refusal) {
    WAYSIDE_TRY(reply, read_refusal(reader));
  } else {
    return fail(Code::corrupt, "transfer message: not a reply");
  }
  WAYSIDE_CHECK(reader.end("transfer reply"));
  return reply;
}

const Route* cheapest(const Offer& offer) {
  const Route* best = nullptr;
  for (const Route& route : offer.routes) {
    const bool simpler = best != nullptr && route.price_bytes() == best->price_bytes() && route.kind < best->kind;
    if (best == nullptr || route.price_bytes() < best->price_bytes() || simpler) best = &route;
  }
  return best;
}

}  // namespace wayside::ota
