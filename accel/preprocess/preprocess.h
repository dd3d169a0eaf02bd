// SPDX-License-Identifier: Apache-2.0
// Preprocessor: any camera picture to a model's input tensor (crop, letterbox, scale, colour, quantise) in one pass.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "accel/accelerator.h"
#include "base/image.h"
#include "base/result.h"

namespace wayside::accel {

/// What the model's channels mean, in their order.
enum class ColorOrder : std::uint8_t { rgb, bgr, gray };

/// letterbox keeps the aspect ratio, centres the picture and fills the rest with pad_value; stretch fills the tensor.
enum class Fit : std::uint8_t { letterbox, stretch };

/// How a picture value 0..255 of channel c becomes the real number that the model wants: (value - mean[c]) / std[c].
/// Channels in the tensor's order (mean[0] belongs to blue when the order is bgr).
struct Normalization {
  std::array<float, 3> mean{0, 0, 0};
  std::array<float, 3> standard_deviation{1, 1, 1};
};

/// The normalisation that camera models almost always want when nothing else is said: the picture's bytes are the
/// tensor's bytes (u8: q = value; i8: q = value - 128); f32 and i16 tensors get 0..1.
[[nodiscard]] Normalization default_normalization(const TensorInfo& input);

/// Largest shrinking along an axis: source px per tensor px.
inline constexpr std::uint32_t kMaxShrink = 128;

struct PreprocessSpec {
  TensorInfo input{};  ///< [1,H,W,C] NHWC, C = 3 (rgb, bgr) or 1 (gray); i8, u8 or f32
  ColorOrder order = ColorOrder::rgb;
  Fit fit = Fit::letterbox;
  std::uint8_t pad_value = 114;  ///< picture value of the letterbox bars (114: YOLO's grey), before normalisation
  std::optional<Normalization> normalization{};  ///< absent: default_normalization(input)
};

/// A part of the source in its pixels. width_px or height_px 0: up to the right or lower edge.
struct CropRect {
  std::uint32_t x_px = 0, y_px = 0, width_px = 0, height_px = 0;
};

/// From tensor coordinates (pixels of the model's input, edges at 0 and W) back to the source picture, and the part of
/// the source that the tensor shows.
struct FrameMapping {
  float scale_x = 1, scale_y = 1;                    ///< source px per tensor px
  float offset_x = 0, offset_y = 0;                  ///< source position of tensor position 0
  float x0_px = 0, y0_px = 0, x1_px = 0, y1_px = 0;  ///< the crop, x1/y1 exclusive
  [[nodiscard]] float to_source_x(float tensor_x) const { return tensor_x * scale_x + offset_x; }
  [[nodiscard]] float to_source_y(float tensor_y) const { return tensor_y * scale_y + offset_y; }
};

/// The result is defined by preprocess_reference() (preprocess_reference.h) in integers, and every instruction set
/// gives exactly these bits:
/// 1. Where the picture shrinks by more than 2 along an axis, it is averaged over cells of n px first (box filter), n
///    the smallest power of two with crop <= 2 * n * target: no aliasing, every source pixel counts.
/// 2. Bilinear sampling of the cells with half-pixel centres, positions in 1/128, vertical before horizontal, each
///    rounded to 8 bits. Chroma the same on its own grid (sited in the middle of its luma pixels, as in JPEG).
/// 3. BT.601, limited or full range, to RGB in 1/16 steps, rounded to 8 bits.
/// 4. A 256-entry table per channel: normalisation and quantisation.
/// Not thread-safe: one caller at a time. run() allocates nothing; buffers are a few rows, never a picture.
class Preprocessor {
 public:
  /// Errors: invalid_argument, unsupported; the message names the tensor.
  static base::Result<Preprocessor> create(const PreprocessSpec& spec);
  Preprocessor(Preprocessor&&) noexcept;
  Preprocessor& operator=(Preprocessor&&) noexcept;
  ~Preprocessor();

  /// Fills `tensor` (spec.input.byte_count() bytes) from `crop` of `source` (nv12, i420, yuyv, rgb24, gray8). The
  /// crop's upper left corner is moved to even pixels (up and left), because chroma is shared by 2x2; the mapping says
  /// so. Reads nothing outside the planes. Errors: invalid_argument (crop outside the picture, planes too small, wrong
  /// tensor size), unsupported (mjpeg: decode it first; shrinking by more than kMaxShrink); the tensor is then
  /// untouched.
  base::Result<FrameMapping> run(const base::ImageView& source, const CropRect& crop, std::span<std::byte> tensor);

  /// Fills one tensor per job from one picture, in the order of the source's rows, so that a row is read from memory
  /// once and from the caches by the other jobs: a detector's picture, a classifier's, crops. Each gives the bits of
  /// run(). The jobs' preprocessors are different objects. Errors: those of run() for the first job that has one; no
  /// tensor has been touched then.
  struct Job {
    Preprocessor* preprocessor = nullptr;
    CropRect crop{};
    std::span<std::byte> tensor{};
    FrameMapping mapping{};  ///< result
  };
  static base::Result<void> run_together(const base::ImageView& source, std::span<Job> jobs);

  /// Name of the instruction set in use: "avx2", "scalar".
  [[nodiscard]] std::string_view level() const;
  /// Forces a level, for tests and field debugging; false (and no change) when this machine or build lacks it.
  bool set_level(std::string_view name);

 private:
  struct State;
  explicit Preprocessor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wayside::accel
