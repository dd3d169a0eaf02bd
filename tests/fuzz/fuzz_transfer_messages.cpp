// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as a request and as a reply; what is accepted has one spelling, and a server answers it.
#include <cstdlib>

#include "base/storage.h"
#include "ota/transfer/blob_server.h"
#include "tests/fuzz/target.h"
#include "tests/ota/delta/synthetic_model.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

namespace {

using namespace wayside;

struct World {
  base::FaultyStorage storage{1};
  ota::Repository repository{storage};
  ota::BlobServer server{repository, {}};
  World() {
    const ota::Bytes blob = test::make_weights(50'000, 1);
    if (!repository.publish(ota::SpanSource(blob))) std::abort();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  const ota::BytesView bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto same = [&](const ota::Bytes& again) { return std::ranges::equal(again, bytes); };
  if (const auto reply = ota::parse_reply(bytes)) {
    ++fuzz::accepted_count;
    if (!same(ota::serialize(*reply))) std::abort();
  }
  const auto request = ota::parse_request(bytes);
  if (!request) return 0;
  ++fuzz::accepted_count;
  if (!same(ota::serialize(*request))) std::abort();
  world.server.on_message({.topic = "te/device/gate-1///blob/get", .payload = std::string(ota::text_of(bytes))},
                          base::MonotonicTime(1));
  std::size_t replies = 0;
  while (const auto reply = world.server.next(base::MonotonicTime(1))) {
    if (++replies > ota::PieceSet::kSpan || base::mqtt::packet_bytes(*reply) > ota::kMaxMessageBytes) std::abort();
  }
  return 0;
}
