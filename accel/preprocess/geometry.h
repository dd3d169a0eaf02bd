// SPDX-License-Identifier: Apache-2.0
// The integer geometry of pre-processing: where the picture lands in the tensor, averaging cells, sample positions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "accel/preprocess/preprocess.h"
#include "base/image.h"
#include "base/result.h"

namespace wayside::accel::preprocess {

/// A position between two neighbouring cells, in 1/kPositionSteps. 7 bits: weights 0..128 and 8-bit pixels keep every
/// product in int16 (pmaddubsw, smull), and a step is below the rounding of the result.
inline constexpr std::uint32_t kPositionBits = 7;
inline constexpr std::uint32_t kPositionSteps = 1U << kPositionBits;
/// Largest averaging cell: kMaxShrink / 2, because bilinear sampling takes the last factor of two.
inline constexpr std::uint32_t kMaxCellPx = kMaxShrink / 2;
/// Largest tensor side and source side; indices of cells (at most 2 per tensor pixel) are 16 bit.
inline constexpr std::uint32_t kMaxTensorSidePx = 8192;
inline constexpr std::uint32_t kMaxSourceSidePx = 65535;

/// One colour component of a source picture. Sample (x, y) is at data[y * stride_bytes + x * step_bytes].
struct Channel {
  const std::uint8_t* data = nullptr;
  std::size_t stride_bytes = 0;
  std::uint32_t step_bytes = 1;
  std::uint32_t shared_x = 1, shared_y = 1;  ///< picture px per sample: 2 for shared chroma
};

/// How the components become colours.
enum class ColorModel : std::uint8_t { yuv, rgb, luma };

/// The components of a picture: Y, U, V or R, G, B or Y alone.
struct Source {
  ColorModel model = ColorModel::yuv;
  base::ColorRange range = base::ColorRange::limited;
  std::uint32_t channel_count = 3;
  std::array<Channel, 3> channels{};
};

/// Checks the planes against the size. Errors: invalid_argument, unsupported (mjpeg).
base::Result<Source> describe_source(const base::ImageView& image);

/// Where what goes. Crop in source px (x, y even), target in tensor px, cell in source px (powers of two).
struct Layout {
  CropRect crop;
  CropRect target;
  std::uint32_t cell_x = 1, cell_y = 1;
};

/// Errors: invalid_argument (crop empty or outside), unsupported (shrinks by more than kMaxShrink).
base::Result<Layout> plan_layout(const base::ImageView& image, const CropRect& crop, Fit fit,
                                 std::uint32_t tensor_width, std::uint32_t tensor_height);
[[nodiscard]] FrameMapping mapping_of(const Layout& layout);

/// One axis of one component. A cell averages `factor` samples; the last cell repeats the crop's last sample.
struct Axis {
  std::uint32_t crop_px = 0, target_px = 0;
  std::uint32_t cell_px = 1;       ///< source px per cell: at least shared
  std::uint32_t factor = 1;        ///< samples per cell
  std::uint32_t first_sample = 0;  ///< of the crop
  std::uint32_t sample_count = 0;  ///< of the crop
  std::uint32_t cell_count = 0;
};
[[nodiscard]] Axis make_axis(std::uint32_t crop_offset_px, std::uint32_t crop_px, std::uint32_t target_px,
                             std::uint32_t cell_px, std::uint32_t shared);

/// Where target pixel `index` samples the cells, in 1/kPositionSteps from the centre of cell 0:
/// max(0, round((index + 1/2) * crop / (target * cell) * steps) - steps / 2). The next cell may be one behind the end.
[[nodiscard]] inline std::uint32_t sample_position(const Axis& axis, std::uint32_t index) {
  const std::uint64_t numerator = (2ULL * index + 1) * axis.crop_px * kPositionSteps;
  const std::uint64_t denominator = 2ULL * axis.target_px * axis.cell_px;
  const std::uint64_t position = (numerator + denominator / 2) / denominator;
  return position > kPositionSteps / 2 ? static_cast<std::uint32_t>(position - kPositionSteps / 2) : 0;
}

}  // namespace wayside::accel::preprocess
