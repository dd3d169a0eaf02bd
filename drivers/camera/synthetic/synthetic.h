// SPDX-License-Identifier: Apache-2.0
// The synthetic camera: a procedural street with known truth, for demos, tests and rigs without a camera.
#pragma once

#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "drivers/camera/camera.h"

namespace wayside::drivers {

/// Opens the street camera. `options`: any of these, joined by '&' (a leading '?' is tolerated):
///   seed=N      which street (default 1)
///   rate=HZ     1..120 (default 15)
///   size=WxH    even, 160x120..1920x1080 (default 1280x720)
///   pace=real   frames become due as from a live camera; a late caller gets the newest one and the sequence shows the
///               gap (default). pace=fast: every frame, as fast as it is asked for.
///   frames=N    end_of_stream after N frames (default 0: endless)
/// Delivers nv12, BT.601 limited range; other formats, odd sizes and sizes out of bounds are answered Adjusted. Frame n
/// shows the street n / rate seconds after start(); its bytes depend on seed, size, rate and n alone. Each frame
/// carries the truth of its objects (see Scene::render for what a box encloses); the object_id of a plate is that of
/// its vehicle with bit 31 set. Allocates nothing after configure(). next() may be called from one thread at a time,
/// leases may be released and interrupt() called from any.
/// Errors: invalid_argument names the option and the nearest valid one. next(): timeout also when all kBufferCount
/// leases are held.
base::Result<std::unique_ptr<Camera>> open_synthetic(std::string_view options, base::Clock& clock);

}  // namespace wayside::drivers
