// SPDX-License-Identifier: Apache-2.0
// Backdrop: sky, houses, road and pavement; drawn once per scene.
#pragma once

#include "drivers/camera/synthetic/street.h"

namespace wayside::drivers::synthetic {

/// Fills the whole canvas and its static depths (kGroundDepth or kFarDepth); owners become 0.
void draw_backdrop(const Pen& pen, const Street& street);

}  // namespace wayside::drivers::synthetic
