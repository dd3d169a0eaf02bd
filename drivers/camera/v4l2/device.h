// SPDX-License-Identifier: Apache-2.0
// V4l2Device: one open V4L2 capture node; the only way to its ioctls.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace wayside::drivers {

/// What the kernel says about a node. bus_info and index together name a socket of this machine: a camera that is
/// plugged in again at the same port has the same ones, whatever its /dev/videoN is called then.
struct V4l2NodeInfo {
  std::filesystem::path path;  ///< as opened
  std::string driver;          ///< "uvcvideo"
  std::string card;            ///< "HD Pro Webcam C920"
  std::string bus_info;        ///< "usb-0000:00:14.0-1"
  unsigned index = 0;          ///< of the node among those of its device; /sys/class/video4linux/videoN/index
  bool multi_planar = false;   ///< offers only the multi-planar interface

  [[nodiscard]] bool same_socket(const V4l2NodeInfo& other) const {
    return bus_info == other.bus_info && index == other.index;
  }
};

class V4l2Device {
 public:
  /// Opens a node without blocking and checks that it captures and streams.
  /// Errors: not_found (lists the capture nodes that exist), io (no permission: names the group), unsupported (another
  /// kind of node), disconnected.
  static base::Result<V4l2Device> open(const std::filesystem::path& path);

  [[nodiscard]] const V4l2NodeInfo& info() const { return info_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// V4L2_BUF_TYPE_VIDEO_CAPTURE or its multi-planar twin.
  [[nodiscard]] unsigned buffer_type() const;
  /// One ioctl, repeated after signals. `what` names it in the error, e.g. "VIDIOC_S_FMT".
  base::Result<void> call(unsigned long request, void* argument, std::string_view what) const;

 private:
  V4l2Device(base::UniqueFd fd, V4l2NodeInfo info) : fd_(std::move(fd)), info_(std::move(info)) {}
  base::UniqueFd fd_;
  V4l2NodeInfo info_;
};

/// ioctl() repeated after signals; 0 or errno.
int ioctl_retry(int fd, unsigned long request, void* argument);

/// The /dev/video* nodes in numeric order, whatever they are.
std::vector<std::filesystem::path> video_nodes();

/// "capture nodes here: /dev/video0 (HD Webcam), /dev/video2 (...)" or what to do when there is none.
std::string capture_nodes_text();

}  // namespace wayside::drivers
