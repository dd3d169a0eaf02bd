// SPDX-License-Identifier: Apache-2.0
// Writes the small corpora of the fuzz targets chunk_index, delta, transfer_messages, fetcher and plain_form.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "agent/sandbox/plain_form.h"
#include "base/storage.h"
#include "ota/delta/delta.h"
#include "ota/transfer/repository.h"
#include "tests/ota/delta/synthetic_model.h"

namespace {

using namespace wayside;
using ota::Bytes;

void keep(const std::filesystem::path& folder, const std::string& target, const std::string& name, const Bytes& bytes) {
  std::filesystem::create_directories(folder / target);
  std::ofstream(folder / target / name, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Bytes index_document(const Bytes& file) { return ota::index_file(ota::SpanSource(file)).value().serialize(); }

/// What a good server says to the fuzz target's fetcher, in order.
Bytes good_conversation(const Bytes& wanted) {
  base::FaultyStorage storage(1);
  ota::Repository repository(storage);
  const ota::Digest blob = repository.publish(ota::SpanSource(wanted)).value();
  ota::ByteWriter out;
  const auto say = [&](const ota::Reply& reply) {
    const Bytes message = ota::serialize(reply);
    out.u8(static_cast<std::uint8_t>(message.size()));
    out.u8(static_cast<std::uint8_t>(message.size() >> 8U));
    out.bytes(message);
  };
  say(repository.offer(blob, {}).value());
  const auto piece = [&](ota::PieceKind kind, std::uint32_t number, Bytes bytes) {
    say(ota::Piece{.kind = kind, .tag = ota::tag_of(blob), .number = number, .data = std::move(bytes)});
  };
  piece(ota::PieceKind::index_page, 0, repository.index_page(blob, 0).value());
  for (std::uint32_t number = 0;; ++number) {
    auto chunk = repository.chunk(blob, number);
    if (!chunk) break;
    piece(ota::PieceKind::chunk, number, std::move(*chunk));
  }
  return out.take();
}

void keep_plain_forms(const std::filesystem::path& folder) {
  const auto keep_form = [&](const std::string& name, std::uint8_t form, const Bytes& plain) {
    Bytes bytes{std::byte{form}};
    bytes.insert(bytes.end(), plain.begin(), plain.end());
    keep(folder, "plain_form", name, bytes);
  };
  const auto index = ota::index_file(ota::SpanSource(test::make_weights(60'000, 1))).value();
  keep_form("index", 0, agent::to_plain(index));
  ota::Envelope envelope{.type = "manifest", .body = "{}"};
  envelope.signatures.resize(2);
  envelope.signatures[1].key_id = index.file_hash;  // another than the first one's
  keep_form("envelope", 1, agent::to_plain(envelope));
  const ota::UpdateCommand command{.role = "detector", .not_after_unix_s = 1'800'000'000, .rollout = "street-2"};
  keep_form("command", 2, agent::to_plain(std::optional(command)));
  keep_form("no_command", 2, agent::to_plain(std::optional<ota::UpdateCommand>()));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
    return 2;
  }
  const std::filesystem::path folder = arguments[1];
  keep_plain_forms(folder);
  keep(folder, "chunk_index", "empty", index_document({}));
  keep(folder, "chunk_index", "weights", index_document(test::make_weights(100'000, 1)));
  keep(folder, "chunk_index", "zeros", index_document(Bytes(200'000)));

  const Bytes old = test::make_weights(4096, 1);  // that of fuzz_delta.cpp
  Bytes moved = test::make_weights(100, 2);
  moved.insert(moved.end(), old.begin() + 1000, old.end());
  const std::pair<const char*, Bytes> targets[] = {{"empty", Bytes{}},
                                                   {"same", old},
                                                   {"moved", moved},
                                                   {"nudged", test::nudge(old, 0.3, 3)},
                                                   {"regions", test::redraw_regions(old, 0.1, 4, 4)}};
  for (const auto& [name, target] : targets) {
    keep(folder, "delta", std::string("patch_") + name,
         ota::encode_delta(old, target, ota::plan_patch(old, target)).value());
    keep(folder, "delta", std::string("subtract_") + name,
         ota::encode_delta(old, target, ota::plan_subtract(old, target)).value());
  }

  const ota::Digest digest = ota::sha256_of(old).value();
  ota::PieceSet pieces;
  for (const std::uint32_t number : {0U, 1U, 3U}) (void)pieces.add(number);
  const auto message = [&](const char* name, const Bytes& bytes) { keep(folder, "transfer_messages", name, bytes); };
  message("offer_request", ota::serialize(ota::Request(ota::OfferRequest{.target = digest, .have = {digest}})));
  message("chunks", ota::serialize(ota::Request(ota::PieceRequest{.blob = digest, .pieces = pieces, .site = "plant"})));
  message("offer", ota::serialize(ota::Reply(ota::Offer{.target = digest, .target_bytes = 9, .routes = {{}, {}}})));
  message("piece", ota::serialize(ota::Reply(ota::Piece{.number = 300, .data = Bytes(20)})));
  message("refusal", ota::serialize(ota::Reply(ota::BlobRefusal{.text = "no"})));

  keep(folder, "fetcher", "good", good_conversation(test::make_weights(30'000, 1)));
  return 0;
}
