// SPDX-License-Identifier: Apache-2.0
// Full-jitter exponential back-off.
#include "base/mqtt/backoff.h"

#include <algorithm>

namespace wayside::base::mqtt {

std::chrono::milliseconds Backoff::next() {
  using std::chrono::milliseconds;
  // 2^6 s exceeds the ceiling of 60 s: a larger exponent changes nothing.
  constexpr std::uint32_t kMaxExponent = 6;
  attempts_ = std::min(attempts_ + 1, kMaxExponent);
  const milliseconds grown = std::min<milliseconds>(kCeiling, kFloor * (1U << attempts_));
  const milliseconds ceiling = std::max<milliseconds>(grown, spread_);
  std::uniform_int_distribution<milliseconds::rep> spread(milliseconds(kFloor).count(), ceiling.count());
  return milliseconds(spread(random_));
}

void Backoff::connection_lived(std::chrono::nanoseconds lifetime) {
  if (lifetime >= kHealthyAfter) attempts_ = 0;
}

}  // namespace wayside::base::mqtt
