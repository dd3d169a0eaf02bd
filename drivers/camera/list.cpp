// SPDX-License-Identifier: Apache-2.0
// list_cameras over V4L2.
#include "drivers/camera/list.h"

#include <format>

#include "drivers/camera/v4l2/device.h"
#include "drivers/camera/v4l2/negotiate.h"

namespace wayside::drivers {

std::vector<CameraNode> list_cameras() {
  std::vector<CameraNode> result;
  for (const auto& path : video_nodes()) {
    const auto device = V4l2Device::open(path);
    if (!device && device.error().code == base::Code::unsupported) continue;  // metadata, output, radio
    CameraNode node{path.string(), {}, {}, {}, {}};
    if (!device) {
      node.problem = device.error().message;
      result.push_back(std::move(node));
      continue;
    }
    node.name = device->info().card;
    node.bus = device->info().bus_info;
    for (const V4l2Offer& offer : offered_formats(*device)) {
      const auto& size = offer.largest;
      node.formats.push_back(
          size.width_px == 0 ? fourcc_text(offer.fourcc)
                             : std::format("{} up to {}x{}", fourcc_text(offer.fourcc), size.width_px, size.height_px));
    }
    result.push_back(std::move(node));
  }
  return result;
}

}  // namespace wayside::drivers
