// SPDX-License-Identifier: Apache-2.0
// The plain definition of every convolution: slow, covers everything, and what the fast kernels are tested against.
#include <bit>

#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/kernels/requant.h"
#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"

namespace wayside::accel::cpu {
namespace {

struct Element {
  bool is_unsigned;
  [[nodiscard]] std::int32_t operator()(std::uint8_t byte) const {
    return is_unsigned ? byte : std::bit_cast<std::int8_t>(byte);
  }
};

class ReferenceConv final : public ConvKernel {
 public:
  explicit ReferenceConv(const ConvSpec& spec)
      : spec_(spec),
        weights_(spec.weights.begin(), spec.weights.end()),
        bias_(spec.bias.begin(), spec.bias.end()),
        table_(spec.output_table),
        value_{spec.is_unsigned} {
    if (bias_.empty()) bias_.assign(static_cast<std::size_t>(spec.out_c), 0);
    spec_.weights = {};
    spec_.bias = {};
    spec_.output_table = {};
  }
  [[nodiscard]] std::size_t scratch_bytes(unsigned /*thread_count*/) const override { return 0; }
  [[nodiscard]] std::size_t packed_bytes() const override {
    return weights_.size() + (bias_.size() * sizeof(std::int32_t));
  }
  void run(const std::uint8_t* in, std::uint8_t* out, std::byte* /*scratch*/, ThreadPool& pool) const override {
    const auto row_count = static_cast<std::size_t>(spec_.batch) * spec_.out_h;
    const auto row_bytes = static_cast<std::size_t>(spec_.out_w) * spec_.out_c;
    pool.for_each(row_count, [&](std::size_t row, unsigned /*thread*/) {
      const auto picture_bytes = static_cast<std::size_t>(spec_.in_h) * spec_.in_w * spec_.in_c;
      run_row(in + (row / spec_.out_h * picture_bytes), static_cast<std::int32_t>(row % spec_.out_h),
              out + (row * row_bytes));
      table_.apply(out + (row * row_bytes), 1, row_bytes, row_bytes, nullptr);
    });
  }

 private:
  void run_row(const std::uint8_t* picture, std::int32_t y, std::uint8_t* out) const;
  [[nodiscard]] std::int32_t accumulate(const std::uint8_t* picture, std::int32_t y, std::int32_t x,
                                        std::int32_t o) const;
  [[nodiscard]] std::int32_t dot(const std::uint8_t* pixel, std::int32_t i, std::int32_t j, std::int32_t o) const;

  ConvSpec spec_;
  std::vector<std::uint8_t> weights_;
  std::vector<std::int32_t> bias_;
  OutputTable table_;
  Element value_;
};

std::int32_t ReferenceConv::dot(const std::uint8_t* pixel, std::int32_t i, std::int32_t j, std::int32_t o) const {
  const auto& s = spec_;
  if (s.depthwise) {
    const auto tap = (static_cast<std::size_t>(i) * s.kernel_w) + j;
    const std::int32_t c = o / (s.out_c / s.in_c);
    return (value_(pixel[c]) - s.in_zero) * (value_(weights_[(tap * s.out_c) + o]) - s.weight_zero);
  }
  const auto tap = (((static_cast<std::size_t>(o) * s.kernel_h) + i) * s.kernel_w) + j;
  const std::uint8_t* w = &weights_[tap * s.in_c];
  std::int32_t sum = 0;
  for (std::int32_t c = 0; c < s.in_c; ++c) sum += (value_(pixel[c]) - s.in_zero) * (value_(w[c]) - s.weight_zero);
  return sum;
}

std::int32_t ReferenceConv::accumulate(const std::uint8_t* picture, std::int32_t y, std::int32_t x,
                                       std::int32_t o) const {
  const auto& s = spec_;
  std::int32_t sum = bias_[o];
  for (std::int32_t i = 0; i < s.kernel_h; ++i) {
    const std::int32_t in_y = (y * s.stride_h) + (i * s.dilation_h) - s.pad_top;
    if (in_y < 0 || in_y >= s.in_h) continue;
    for (std::int32_t j = 0; j < s.kernel_w; ++j) {
      const std::int32_t in_x = (x * s.stride_w) + (j * s.dilation_w) - s.pad_left;
      if (in_x < 0 || in_x >= s.in_w) continue;
      const auto offset = ((static_cast<std::size_t>(in_y) * s.in_w) + in_x) * s.in_c;
      sum += dot(picture + offset, i, j, o);
    }
  }
  return sum;
}

void ReferenceConv::run_row(const std::uint8_t* picture, std::int32_t y, std::uint8_t* out) const {
  const auto& requant = spec_.requant;
  for (std::int32_t x = 0; x < spec_.out_w; ++x) {
    for (std::int32_t o = 0; o < spec_.out_c; ++o) {
      // 64 bits: a damaged model's multiplier may have saturated the value at the end of int32.
      const std::int64_t scaled =
          multiply_by_quantized_multiplier(accumulate(picture, y, x, o), requant.multiplier[o], requant.shift[o]);
      const auto q = std::clamp<std::int64_t>(scaled + requant.zero_point, requant.clamp_min, requant.clamp_max);
      *out++ = static_cast<std::uint8_t>(q);
    }
  }
}

}  // namespace

std::unique_ptr<ConvKernel> make_reference_conv(const ConvSpec& spec) { return std::make_unique<ReferenceConv>(spec); }

}  // namespace wayside::accel::cpu
