// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any text as a roll-out policy, as a device's inventory and as its report; what is accepted must be in
// bounds and come back the same when it is written out.
#include <cstdlib>

#include "fleet/rollout/wire.h"
#include "ota/device_inventory.h"
#include "ota/rollout_policy.h"
#include "ota/rollout_wave.h"
#include "ota/transfer/messages.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto policy = ota::parse_rollout_policy(text)) {
    ++fuzz::accepted_count;
    const auto written = ota::to_json(*policy);
    const auto again = ota::parse_rollout_policy(written);
    if (!again || ota::to_json(*again) != written) std::abort();
    if (ota::wave_bounds(*policy).back() > ota::kPositionCount) std::abort();
    for (const std::int64_t now : {INT64_MIN / 2, std::int64_t{0}, INT64_MAX / 2}) (void)ota::admit(*policy, "d", now);
  }
  if (const auto inventory = ota::parse_device_inventory(text)) {
    ++fuzz::accepted_count;
    const auto written = to_json(*inventory);
    const auto again = ota::parse_device_inventory(written);
    if (!again || to_json(*again) != written) std::abort();
    if (ota::choose_bases(inventory->blobs, {}).size() > ota::kMaxBases) std::abort();
  }
  if (const auto report = fleet::parse_report(text)) {
    ++fuzz::accepted_count;
    if (report->status.empty() || report->progress_percent > 100) std::abort();
  }
  return 0;
}
