// SPDX-License-Identifier: Apache-2.0
// list_cameras: the kernel cameras of this machine, for people.
#pragma once

#include <string>
#include <vector>

namespace wayside::drivers {

struct CameraNode {
  std::string path;                  ///< "/dev/video0"
  std::string name;                  ///< "HD Pro Webcam C920"
  std::string bus;                   ///< "usb-0000:00:14.0-1"
  std::vector<std::string> formats;  ///< "YUYV up to 1280x720"; fourcc as the kernel names it
  std::string problem;               ///< why it cannot be used (no permission); empty when it can
};

/// Capture nodes in numeric order; nodes that cannot be opened are listed with their problem, others left out.
std::vector<CameraNode> list_cameras();

}  // namespace wayside::drivers
