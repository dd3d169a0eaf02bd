// SPDX-License-Identifier: Apache-2.0
// Controls of the kernel's virtual video driver, found by name: how the tests make its camera fail.
#pragma once

#include <fcntl.h>
#include <linux/videodev2.h>

#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "drivers/camera/v4l2/device.h"

namespace wayside::drivers::test {

/// Sets the first control of `node` whose name contains `name`; buttons take any value.
/// Source of the names: kernel Documentation/admin-guide/media/vivid.rst, "Controls".
inline base::Result<void> set_control(const std::string& node, std::string_view name, int value) {
  const base::UniqueFd fd(::open(node.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return base::fail_errno(node);
  v4l2_queryctrl query{};
  query.id = V4L2_CTRL_FLAG_NEXT_CTRL;
  while (ioctl_retry(fd.get(), VIDIOC_QUERYCTRL, &query) == 0) {
    if (std::string_view(reinterpret_cast<const char*>(query.name)).find(name) != std::string_view::npos) {
      v4l2_control control{query.id, value};
      if (const int error = ioctl_retry(fd.get(), VIDIOC_S_CTRL, &control); error != 0) {
        return base::fail_errno(name, error);
      }
      return {};
    }
    query.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
  }
  return base::fail(base::Code::not_found, std::string(name) + ": no such control");
}

}  // namespace wayside::drivers::test
