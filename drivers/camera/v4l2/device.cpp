// SPDX-License-Identifier: Apache-2.0
// Opening, checking and finding V4L2 nodes. Source: kernel Documentation/userspace-api/media/v4l/vidioc-querycap.rst.
#include "drivers/camera/v4l2/device.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <format>
#include <fstream>
#include <system_error>

namespace wayside::drivers {
namespace {

using base::Code;
using base::fail;
namespace fs = std::filesystem;

// A process that gets this many signals during one short ioctl is being flooded; then EINTR is the honest answer.
constexpr int kMaxInterrupts = 100;
// The kernel has 256 minors for V4L2 (v4l2-dev.h: VIDEO_NUM_DEVICES).
constexpr std::size_t kMaxNodes = 256;

/// A string of a kernel struct, which need not be terminated.
template <std::size_t kSize>
std::string text(const __u8 (&field)[kSize]) {
  const auto* chars = reinterpret_cast<const char*>(field);
  return {chars, ::strnlen(chars, kSize)};
}

unsigned sysfs_index(const fs::path& node) {
  std::error_code ignored;
  const fs::path device = fs::canonical(node, ignored);
  unsigned index = 0;
  std::ifstream(fs::path("/sys/class/video4linux") / device.filename() / "index") >> index;
  return index;
}

/// The number behind "/dev/video"; nothing for other names.
bool node_number(const fs::path& path, unsigned& number) {
  const std::string name = path.filename().string();
  constexpr std::string_view kPrefix = "video";
  if (!name.starts_with(kPrefix) || name.size() == kPrefix.size() || name.size() > kPrefix.size() + 4) return false;
  number = 0;
  for (const char c : std::string_view(name).substr(kPrefix.size())) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return true;
}

struct Capabilities {
  V4l2NodeInfo info;
  std::uint32_t flags = 0;
};

base::Result<Capabilities> query(int fd, const fs::path& path) {
  v4l2_capability capability{};
  const int error = ioctl_retry(fd, VIDIOC_QUERYCAP, &capability);
  if (error == ENOTTY || error == EINVAL)
    return fail(Code::unsupported, std::format("{}: no V4L2 device", path.string()));
  if (error != 0) return base::fail_errno(std::format("{}: VIDIOC_QUERYCAP", path.string()), error);
  Capabilities result;
  // device_caps are those of this node; capabilities those of the whole device, metadata nodes included.
  const bool per_node = (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0;
  result.flags = per_node ? capability.device_caps : capability.capabilities;
  result.info = {path,
                 text(capability.driver),
                 text(capability.card),
                 text(capability.bus_info),
                 sysfs_index(path),
                 (result.flags & V4L2_CAP_VIDEO_CAPTURE) == 0};
  return result;
}

constexpr std::uint32_t kCapture = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE;

std::unexpected<base::Error> fail_open(const fs::path& path, int error) {
  if (error == EACCES || error == EPERM) {
    return std::unexpected(base::Error{
        Code::io, error,
        std::format(
            "{}: permission denied; add this user to the group 'video' (usermod -aG video NAME) and log in again",
            path.string())});
  }
  auto result = base::fail_errno(path.string(), error);
  if (error == ENOENT) result.error().message += "; " + capture_nodes_text();
  return result;
}

}  // namespace

int ioctl_retry(int fd, unsigned long request, void* argument) {
  for (int attempt = 0; attempt < kMaxInterrupts; ++attempt) {
    if (::ioctl(fd, request, argument) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
  return EINTR;
}

std::vector<fs::path> video_nodes() {
  std::vector<std::pair<unsigned, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator entry("/dev", error), end; !error && entry != end; entry.increment(error)) {
    unsigned number = 0;
    if (node_number(entry->path(), number) && found.size() < kMaxNodes) found.emplace_back(number, entry->path());
  }
  std::ranges::sort(found);
  std::vector<fs::path> result;
  for (auto& [number, path] : found) result.push_back(std::move(path));
  return result;
}

std::string capture_nodes_text() {
  std::string list;
  for (const auto& path : video_nodes()) {
    const base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid()) continue;
    const auto found = query(fd.get(), path);
    if (!found || (found->flags & kCapture) == 0) continue;
    list += std::format("{}{} ({})", list.empty() ? "" : ", ", path.string(), found->info.card);
  }
  if (list.empty()) return "no capture node is here; connect a camera, or use replay:FILE or synthetic:";
  return "capture nodes here: " + list;
}

base::Result<V4l2Device> V4l2Device::open(const fs::path& path) {
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return fail_open(path, errno);
  WAYSIDE_TRY(Capabilities found, query(fd.get(), path));
  if ((found.flags & kCapture) == 0) {
    return fail(Code::unsupported, std::format("{} ({}): this node does not capture video; {}", path.string(),
                                               found.info.card, capture_nodes_text()));
  }
  if ((found.flags & V4L2_CAP_STREAMING) == 0) {
    return fail(Code::unsupported,
                std::format("{} ({}): its driver cannot stream into mapped buffers", path.string(), found.info.card));
  }
  return V4l2Device(std::move(fd), std::move(found.info));
}

unsigned V4l2Device::buffer_type() const {
  return info_.multi_planar ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
}

base::Result<void> V4l2Device::call(unsigned long request, void* argument, std::string_view what) const {
  const int error = ioctl_retry(fd_.get(), request, argument);
  if (error == 0) return {};
  auto failure = base::fail_errno(std::format("{}: {}", info_.path.string(), what), error);
  if (error == EBUSY) failure.error().message += "; another program uses this camera";
  return failure;
}

}  // namespace wayside::drivers
