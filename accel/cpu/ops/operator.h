// SPDX-License-Identifier: Apache-2.0
// What an operator's prepare function is given (NodeView) and what it returns (PreparedOp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <format>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "accel/cpu/graph.h"
#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/packed_node.h"
#include "accel/cpu/quantization.h"
#include "base/result.h"

namespace wayside::accel::cpu {

class ThreadPool;

/// The resolved pointers of one operator, all 64-byte aligned at the start of their tensor; aliases may not be.
struct RunContext {
  std::span<const std::byte* const> inputs;  ///< in the order of PreparedOp::reads
  std::span<std::byte* const> outputs;       ///< in the order of the node's outputs
  std::byte* scratch = nullptr;              ///< PreparedOp::scratch_bytes, 64-byte aligned
  ThreadPool& pool;

  template <class T>
  [[nodiscard]] const T* input(std::size_t index) const {
    return reinterpret_cast<const T*>(inputs[index]);
  }
  template <class T>
  [[nodiscard]] T* output(std::size_t index = 0) const {
    return reinterpret_cast<T*>(outputs[index]);
  }
};

/// An operator with everything computed that can be computed at load. run() is const, allocates nothing, writes all of
/// its outputs and nothing else but its scratch.
class Operator {
 public:
  virtual ~Operator() = default;
  virtual void run(const RunContext& context) const = 0;
};

/// Wraps a callable `body(const RunContext&) const` as an Operator.
template <class Body>
[[nodiscard]] std::unique_ptr<Operator> make_operator(Body body) {
  class Wrapped final : public Operator {
   public:
    explicit Wrapped(Body body) : body_(std::move(body)) {}
    void run(const RunContext& context) const override { body_(context); }

   private:
    Body body_;
  };
  return std::make_unique<Wrapped>(std::move(body));
}

/// The output's byte from those of one or two inputs (the second is ignored by functions of one).
using ByteFunction = std::function<std::uint8_t(std::uint8_t, std::uint8_t)>;

struct PreparedOp {
  std::unique_ptr<Operator> op;      ///< null: output 0 is input reads[0] with another shape; nothing to run
  std::vector<std::uint32_t> reads;  ///< the inputs that run() reads; the others were consumed while preparing
  /// Set where output 0 is this function of the bytes at the same place of the inputs that are read, all of the same
  /// element count. run() then also works in place of either.
  ByteFunction bytewise;
  /// Set where output 0 is the picture reads[0] with rows and columns of its zero point around it.
  std::optional<PicturePadding> padding;
  /// For each of `reads`: the byte of output 0 from which its bytes lie as they are, if so. It may then be computed
  /// there in the first place, and run() finds it done. Empty: none.
  std::vector<std::optional<std::size_t>> held_at;
  std::size_t scratch_bytes = 0;
  std::size_t weight_bytes = 0;  ///< of packed weights that the operator owns
  std::uint64_t mac_count = 0;
  /// Of a PackedNode; `conv` borrows from `op` (or what that borrows from).
  std::optional<PackedConv> conv;
  std::optional<SumForm> sum;
};

/// One node with its tensors, for prepare functions. Messages built here lack the prefix "operator 12 CONV_2D", which
/// the caller adds.
class NodeView {
 public:
  NodeView(const Graph& graph, const Node& node, Level level, unsigned thread_count, const PackedNode* packed = nullptr)
      : graph_(graph), node_(node), level_(level), thread_count_(thread_count), packed_(packed) {}

  [[nodiscard]] const OpOptions& options() const { return node_.options; }
  [[nodiscard]] Level level() const { return level_; }
  [[nodiscard]] unsigned thread_count() const { return thread_count_; }
  /// What was kept of this operator when it was prepared before, or null.
  [[nodiscard]] const PackedNode* packed() const { return packed_; }

  [[nodiscard]] std::size_t input_count() const { return node_.inputs.size(); }
  [[nodiscard]] std::size_t output_count() const { return node_.outputs.size(); }
  /// False for optional inputs that are left out.
  [[nodiscard]] bool has_input(std::size_t index) const { return index < input_count() && node_.inputs[index] >= 0; }
  [[nodiscard]] const Tensor& input(std::size_t index) const { return graph_.tensors[node_.inputs[index]]; }
  [[nodiscard]] const Tensor& output(std::size_t index = 0) const { return graph_.tensors[node_.outputs[index]]; }
  [[nodiscard]] std::int32_t input_number(std::size_t index) const { return node_.inputs[index]; }

  /// Checks the numbers of inputs (all of the first min_inputs present) and outputs.
  [[nodiscard]] base::Result<void> expect_arity(std::size_t min_inputs, std::size_t max_inputs,
                                                std::size_t outputs) const;
  /// Checks that the options table is there, for operators whose defaults make no sense.
  [[nodiscard]] base::Result<void> expect_options() const;
  /// The output's shape in the file against the one that follows from the inputs.
  [[nodiscard]] base::Result<void> expect_output_shape(const Shape& computed, std::size_t output = 0) const;
  /// Input `index` is an i8 or u8 tensor with a scale (one for the whole tensor), and so is the output, of the same
  /// type.
  [[nodiscard]] base::Result<void> expect_8bit(std::size_t input = 0, std::size_t output = 0) const;
  /// Same element type and, for 8-bit types, same quantisation: bytes can be moved as they are.
  [[nodiscard]] base::Result<void> expect_movable(std::size_t input = 0, std::size_t output = 0) const;
  /// Values of a constant i32 input, at most `max_count`.
  [[nodiscard]] base::Result<std::vector<std::int32_t>> constant_i32(std::size_t input, std::size_t max_count) const;
  /// -rank <= axis < rank as 0 <= axis < rank.
  [[nodiscard]] base::Result<std::size_t> normalize_axis(std::int64_t axis, std::size_t rank) const;
  /// A fixed-point factor, or an error that names it.
  [[nodiscard]] base::Result<Multiplier> multiplier(double real, std::string_view what) const;

  template <class... Args>
  [[nodiscard]] static std::unexpected<base::Error> corrupt(std::format_string<Args...> format, Args&&... args) {
    return base::fail(base::Code::corrupt, std::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[nodiscard]] static std::unexpected<base::Error> unsupported(std::format_string<Args...> format, Args&&... args) {
    return base::fail(base::Code::unsupported, std::format(format, std::forward<Args>(args)...));
  }

 private:
  const Graph& graph_;
  const Node& node_;
  Level level_;
  unsigned thread_count_;
  const PackedNode* packed_;
};

/// i8 or u8.
[[nodiscard]] inline bool is_8bit(DType type) { return type == DType::i8 || type == DType::u8; }

/// Calls body(T{}) with T = std::int8_t or std::uint8_t.
template <class Body>
auto with_8bit(DType type, Body&& body) {
  if (type == DType::u8) return body(std::uint8_t{});
  return body(std::int8_t{});
}

/// A value of an i8 or u8 tensor from its byte.
[[nodiscard]] inline std::int32_t value_of(std::uint8_t byte, DType type) {
  return type == DType::u8 ? std::int32_t{byte} : std::int32_t{static_cast<std::int8_t>(byte)};
}

/// Where a window (kernel or pool) goes along one axis.
struct WindowAxis {
  std::int32_t out = 0;         ///< number of positions
  std::int32_t pad_before = 0;  ///< imagined elements before the first
};
/// Source: tensorflow/lite/kernels/padding.h ComputeOutSize, ComputePadding. Nothing if no position fits or a number is
/// out of range (1..kMaxWindow).
[[nodiscard]] std::optional<WindowAxis> window_axis(Padding padding, std::int32_t in, std::int32_t window,
                                                    std::int32_t stride, std::int32_t dilation);

}  // namespace wayside::accel::cpu
