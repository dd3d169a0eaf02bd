// SPDX-License-Identifier: Apache-2.0
// A Session whose outputs are written by hand.
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "accel/accelerator.h"

namespace wayside::agent::test {

class FakeSession final : public accel::Session {
 public:
  FakeSession(int width, int height) {
    inputs_.push_back({.name = "image",
                       .type = accel::DType::i8,
                       .shape = {1, height, width, 3},
                       .quantization = {1.0F / 255, -128}});
  }

  /// Adds an output of real numbers, quantised as `info` says. Returns its index.
  std::size_t add(accel::TensorInfo info, const std::vector<float>& values) {
    std::vector<std::byte> bytes(info.byte_count());
    for (std::size_t i = 0; i < values.size() && i < info.element_count(); ++i) {
      if (info.type == accel::DType::f32) {
        std::memcpy(bytes.data() + 4 * i, &values[i], 4);
      } else {
        const float q =
            std::round(values[i] / info.quantization.scale) + static_cast<float>(info.quantization.zero_point);
        bytes[i] = static_cast<std::byte>(static_cast<int>(q));
      }
    }
    outputs_.push_back(std::move(info));
    data_.push_back(std::move(bytes));
    return outputs_.size() - 1;
  }

  [[nodiscard]] std::span<const accel::TensorInfo> inputs() const override { return inputs_; }
  [[nodiscard]] std::span<const accel::TensorInfo> outputs() const override { return outputs_; }
  [[nodiscard]] const accel::ModelInfo& info() const override { return info_; }
  [[nodiscard]] std::span<std::byte> input(std::size_t) override { return {}; }
  [[nodiscard]] std::span<const std::byte> output(std::size_t index) const override { return data_[index]; }
  base::Result<void> run() override { return {}; }

  accel::ModelInfo info_;
  std::vector<accel::TensorInfo> inputs_;

 private:
  std::vector<accel::TensorInfo> outputs_;
  std::vector<std::vector<std::byte>> data_;
};

/// The whole frame of the given size, letterboxed nowhere: tensor px * scale = frame px.
inline accel::FrameMapping plain_mapping(float width, float height, float scale = 1) {
  return {.scale_x = scale, .scale_y = scale, .x1_px = width, .y1_px = height};
}

}  // namespace wayside::agent::test
