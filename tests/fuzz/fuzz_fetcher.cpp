// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a sequence of replies of a hostile server to a fetcher that waits for a file; its work ends and it never
// puts a wrong file into the store. Input: messages, each after two bytes of length (little-endian).
#include <chrono>
#include <cstdlib>

#include "base/storage.h"
#include "ota/transfer/fetcher.h"
#include "ota/transfer/topics.h"
#include "tests/fuzz/target.h"
#include "tests/ota/delta/synthetic_model.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  using namespace std::chrono_literals;
  constexpr std::uint64_t kBudget = 60'000;
  static const ota::Bytes wanted = test::make_weights(30'000, 1);
  static const ota::Digest target = ota::sha256_of(wanted).value();
  base::FaultyStorage storage(1);
  auto store = ota::BlobStore::open(storage).value();
  ota::Fetcher fetcher(storage, store, {.device = "gate-1"});
  base::MonotonicTime now{1s};
  fetcher.start({.target = target, .target_bytes = wanted.size(), .max_bytes = kBudget}, now);
  fetcher.on_connected(16, now);
  constexpr int kMaxSteps = 300;  // of local work between two messages
  for (std::size_t at = 0; at + 2 <= size;) {
    const std::size_t length = std::min<std::size_t>(data[at] + 256U * data[at + 1], size - at - 2);
    fetcher.on_message({.topic = ota::blob_reply_topic("te", "gate-1"),
                        .payload = std::string(reinterpret_cast<const char*>(data) + at + 2, length)},
                       now);
    at += 2 + length;
    now += 1s;
    for (int step = 0; fetcher.wake_at() && *fetcher.wake_at() <= now; ++step) {
      if (step > kMaxSteps) std::abort();  // local work must end
      fetcher.work(now);
    }
    while (fetcher.next_effect()) {
    }
  }
  if (fetcher.progress().chunks_done > 0) ++fuzz::accepted_count;
  if (fetcher.state() == ota::FetchState::done && store.read(target, wanted.size()).value() != wanted) std::abort();
  return 0;
}
