// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as a delta (patch and subtract alike) against one small old file; the decoder does bounded
// work and never accepts a file with another hash.
#include <cstdlib>

#include "ota/delta/delta.h"
#include "tests/fuzz/target.h"
#include "tests/ota/delta/synthetic_model.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

namespace {

constexpr std::uint64_t kMostBytes = 1 << 20U;  // as a manifest would bound it

struct Output final : wayside::ota::ByteSink {
  wayside::ota::Bytes bytes;
  wayside::base::Result<void> write(wayside::ota::BytesView more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  static const ota::Bytes old = test::make_weights(4096, 1);
  static const ota::Digest old_hash = ota::sha256_of(old).value();
  const ota::SpanSource delta(ota::BytesView(reinterpret_cast<const std::byte*>(data), size));
  const auto header = ota::DeltaHeader::read(delta);
  if (!header || header->target_bytes > kMostBytes) return 0;
  const ota::SpanSource base(old);
  // The expectation follows the delta, so that the decoder behind the header is reached.
  auto decoder = ota::DeltaDecoder::open(
      delta, base, {.base_hash = old_hash, .target_hash = header->target_hash, .target_bytes = header->target_bytes});
  if (!decoder) return 0;
  constexpr std::size_t kStepBytes = 10'000;
  Output output;
  while (true) {
    const std::size_t before = output.bytes.size();
    const auto done = decoder->step(output, kStepBytes);
    if (output.bytes.size() > header->target_bytes || output.bytes.size() - before > kStepBytes) std::abort();
    if (!done) return 0;
    if (*done) break;
    if (output.bytes.size() == before) std::abort();  // no progress
  }
  ++fuzz::accepted_count;
  if (output.bytes.size() != header->target_bytes || ota::sha256_of(output.bytes).value() != header->target_hash)
    std::abort();
  return 0;
}
