// SPDX-License-Identifier: Apache-2.0
// The messages of the transfer protocol: binary, versioned, bounded (docs/formats/transfer.md).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "ota/delta/chunk_index.h"
#include "ota/delta/digest_io.h"
#include "ota/transfer/piece_set.h"

namespace wayside::ota {

/// Older versions that a device may offer as bases.
inline constexpr std::size_t kMaxBases = 8;
/// Ways that an offer may list.
inline constexpr std::size_t kMaxRoutes = 2 * kMaxBases + 1;
/// A page of a chunk index.
inline constexpr std::size_t kIndexPageBytes = 32 * 1024;
/// No message is larger, topic and properties included (AWS IoT takes 128 KB, other brokers more).
inline constexpr std::size_t kMaxMessageBytes = 96 * 1024;
inline constexpr std::size_t kMaxRefusalText = 200;

// ---- from the device
// -------------------------------------------------------------------------------------------------

/// "How could I get `target`, having `have`?"
struct OfferRequest {
  Digest target{};
  std::vector<Digest> have{};
  bool operator==(const OfferRequest&) const = default;
};

enum class PieceKind : std::uint8_t {
  index_page,  ///< kIndexPageBytes of the chunk index document of a blob
  chunk        ///< one chunk of a blob, as it travels
};

/// "Send these." `site`: publish them for the whole site instead of to this device.
struct PieceRequest {
  PieceKind kind = PieceKind::chunk;
  Digest blob{};
  PieceSet pieces{};
  std::string site{};
  bool operator==(const PieceRequest&) const = default;
};

using Request = std::variant<OfferRequest, PieceRequest>;
[[nodiscard]] Bytes serialize(const Request& request);
/// Errors: corrupt.
base::Result<Request> parse_request(BytesView bytes);

// ---- to the device
// ---------------------------------------------------------------------------------------------------

enum class RouteKind : std::uint8_t {
  full,      ///< every chunk of the file
  chunks,    ///< the chunks of the file that the device lacks
  patch,     ///< a delta, byte-exact copies and insertions
  subtract,  ///< a delta, residuals along tensors
};
[[nodiscard]] std::string_view to_string(RouteKind kind);

/// One way to get a file, with its exact price.
struct Route {
  RouteKind kind = RouteKind::full;
  Digest base{};  ///< patch and subtract: the version it builds upon; else zeros
  Digest blob{};  ///< what is fetched: the file itself, or the delta
  std::uint64_t blob_bytes = 0;
  Digest index_hash{};            ///< of the chunk index document of `blob`
  std::uint32_t index_bytes = 0;  ///< its size
  std::uint64_t chunk_bytes = 0;  ///< as they travel, each distinct missing chunk once
  [[nodiscard]] std::uint64_t price_bytes() const { return index_bytes + chunk_bytes; }
  [[nodiscard]] bool is_delta() const { return kind == RouteKind::patch || kind == RouteKind::subtract; }
  bool operator==(const Route&) const = default;
};

struct Offer {
  Digest target{};
  std::uint64_t target_bytes = 0;
  std::vector<Route> routes{};
  bool operator==(const Offer&) const = default;
};

/// A page or a chunk. `tag`: the first 8 bytes of the blob's hash; the content is checked by its own hash.
struct Piece {
  static constexpr std::size_t kTagBytes = 8;
  PieceKind kind = PieceKind::chunk;
  std::array<std::byte, kTagBytes> tag{};
  std::uint32_t number = 0;
  Bytes data{};
  bool operator==(const Piece&) const = default;
};
[[nodiscard]] std::array<std::byte, Piece::kTagBytes> tag_of(const Digest& blob);

enum class RefusalCode : std::uint8_t {
  unknown_blob,  ///< this server does not have it
  bad_request,
  busy  ///< ask again later
};

struct BlobRefusal {
  RefusalCode code = RefusalCode::unknown_blob;
  std::string text{};
  bool operator==(const BlobRefusal&) const = default;
};

using Reply = std::variant<Offer, Piece, BlobRefusal>;
[[nodiscard]] Bytes serialize(const Reply& reply);
/// Errors: corrupt.
base::Result<Reply> parse_reply(BytesView bytes);

/// A route by itself, as it is kept on disk over a restart.
void write_route(ByteWriter& writer, const Route& route);
base::Result<Route> read_route(ByteReader& reader);

/// The cheapest route; of equally cheap ones the one that needs no decoding. Nothing when the offer is empty.
[[nodiscard]] const Route* cheapest(const Offer& offer);

}  // namespace wayside::ota
