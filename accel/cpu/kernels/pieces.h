// SPDX-License-Identifier: Apache-2.0
// Splits a run of bytes among threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {

/// Bytes of one work item: large against the cost of handing it to a thread, small against a level-2 cache.
inline constexpr std::size_t kPieceBytes = std::size_t{16} * 1024;

/// body(first, size) for all pieces of [0, count).
template <class Body>
void for_each_piece(std::size_t count, ThreadPool& pool, const Body& body) {
  pool.for_each(divide_up(count, kPieceBytes), [&](std::size_t piece, unsigned /*thread*/) {
    const std::size_t first = piece * kPieceBytes;
    body(first, std::min(kPieceBytes, count - first));
  });
}

}  // namespace wayside::accel::cpu
