// SPDX-License-Identifier: Apache-2.0
// CONCATENATION along one axis; 8-bit inputs with another scale than the output's are rescaled on the way.
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/ops/lookup.h"
#include "accel/cpu/ops/ops.h"

namespace wayside::accel::cpu::ops {
namespace {

using base::Result;

struct Part {
  std::size_t run_bytes = 0;                    // contiguous bytes of one outer step
  std::shared_ptr<const LookupKernel> rescale;  // null: copy
};

/// q = clamp(round(x * s + b) + zero_out), s = scale_in / scale_out, b = -zero_in * s, in float.
/// Source: reference/concatenation.h ConcatenationWithScaling.
std::optional<LookupTable> rescale_table(const Tensor& in, const Tensor& out) {
  if (in.quantization.scale == out.quantization.scale && in.quantization.zero_point == out.quantization.zero_point) {
    return std::nullopt;
  }
  const float inverse_scale = 1.0F / out.quantization.scale;
  const float scale = in.quantization.scale * inverse_scale;
  const float bias = static_cast<float>(-in.quantization.zero_point) * scale;
  return make_table(in.type, [&](std::int32_t x) {
    const float rounded = std::round((static_cast<float>(x) * scale) + bias);
    return type_range(out.type).clamp(saturating_add(round_to_i32(rounded), out.quantization.zero_point));
  });
}

Result<void> check_shapes(const NodeView& node, std::size_t axis) {
  const Shape& first = node.input(0).shape;
  std::vector<std::int32_t> dims(first.dims().begin(), first.dims().end());
  std::int64_t total = 0;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    const Shape& shape = node.input(i).shape;
    if (shape.rank() != first.rank()) {
      return NodeView::corrupt("input {} has shape {}, input 0 {}", i, to_string(shape), to_string(first));
    }
    for (std::size_t d = 0; d < shape.rank(); ++d) {
      if (d != axis && shape[d] != first[d]) {
        return NodeView::corrupt("input {} has shape {}, input 0 {}", i, to_string(shape), to_string(first));
      }
    }
    total += shape[axis];
  }
  dims[axis] = static_cast<std::int32_t>(std::min<std::int64_t>(total, INT32_MAX));
  return node.expect_output_shape(Shape(std::span<const std::int32_t>(dims)));
}

Result<Part> make_part(const NodeView& node, std::size_t input, std::size_t axis) {
  const Tensor& in = node.input(input);
  const Tensor& out = node.output();
  if (in.type != out.type) {
    return NodeView::corrupt("input {} is {}, output {}", input, to_string(in.type), to_string(out.type));
  }
  Part part{.run_bytes = in.shape.product(axis, in.shape.rank()) * size_bytes(in.type), .rescale = {}};
  if (!is_8bit(in.type)) return part;
  WAYSIDE_CHECK(node.expect_8bit(input));
  if (const auto table = rescale_table(in, out)) part.rescale = make_lookup(*table, node.level());
  return part;
}

}  // namespace

/// out[..., offset_k + i, ...] = rescale_k(in_k[..., i, ...]), offset_k = sum of the sizes of the inputs before k.
Result<PreparedOp> prepare_concatenation(const NodeView& node) {
  WAYSIDE_CHECK(node.expect_arity(1, kMaxOperatorTensors, 1));
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) return NodeView::corrupt("input {} is missing", i);
  }
  if (node.options().activation != Activation::none) return NodeView::unsupported("a fused activation");
  WAYSIDE_TRY(const std::size_t axis, node.normalize_axis(node.options().axis, node.input(0).shape.rank()));
  WAYSIDE_CHECK(check_shapes(node, axis));
  const std::size_t outer = node.output().shape.product(0, axis);
  PreparedOp prepared;
  std::vector<Part> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    WAYSIDE_TRY(Part part, make_part(node, i, axis));
    prepared.held_at.push_back(outer == 1 && !part.rescale ? std::optional(begin) : std::nullopt);
    begin += part.run_bytes;
    parts.push_back(std::move(part));
    prepared.reads.push_back(static_cast<std::uint32_t>(i));
  }
  const std::size_t step_bytes = node.output().byte_count() / outer;
  prepared.op = make_operator([parts = std::move(parts), outer, step_bytes](const RunContext& context) {
    std::uint8_t* out = context.output<std::uint8_t>();
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::size_t bytes = parts[i].run_bytes;
      const std::uint8_t* in = context.input<std::uint8_t>(i);
      if (parts[i].rescale) {
        for (std::size_t step = 0; step < outer; ++step) {
          parts[i].rescale->run(in + (step * bytes), out + (step * step_bytes), bytes, context.pool);
        }
      } else if (in != out) {
        copy_every(out, in, bytes, outer, step_bytes);
      }
      out += bytes;
    }
  });
  return prepared;
}

}  // namespace wayside::accel::cpu::ops
