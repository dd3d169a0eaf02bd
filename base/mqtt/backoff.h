// SPDX-License-Identifier: Apache-2.0
// Backoff: how long to wait before the next connection attempt: exponential, with full jitter, bounded.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "base/clock.h"

namespace wayside::base::mqtt {

/// Attempt n waits a uniformly random time in [kFloor, min(kCeiling, 2^n * kFloor)], n counted from 1. The randomness
/// spreads a fleet that lost its broker at one moment ("full jitter": AWS Architecture Blog, Exponential Backoff And
/// Jitter, 2015); the floor keeps one device from hammering a broker that is refusing it.
class Backoff {
 public:
  static constexpr std::chrono::seconds kFloor{1};
  static constexpr std::chrono::seconds kCeiling{60};
  /// A connection that lived this long counts as healthy: the next loss starts again at n = 1. A shorter one does not,
  /// so that a broker that accepts and then drops us (oversized message, wrong ACL) is not hammered either.
  static constexpr std::chrono::seconds kHealthyAfter{30};

  /// `spread`: every wait is drawn from at least [kFloor, spread]. For fleets: N devices that lose their broker come
  /// back at about 2 N / spread per second, however often they try (10 000 devices over 58 s: some 340 a second).
  explicit Backoff(std::uint64_t seed, std::chrono::seconds spread = std::chrono::seconds(0))
      : random_(seed), spread_(spread) {}

  /// The wait before the next attempt; call once per failed or lost connection.
  [[nodiscard]] std::chrono::milliseconds next();
  /// Tells how long the connection that was just lost had lived.
  void connection_lived(std::chrono::nanoseconds lifetime);

 private:
  std::minstd_rand random_;
  std::chrono::seconds spread_;
  std::uint32_t attempts_ = 0;
};

}  // namespace wayside::base::mqtt
