// SPDX-License-Identifier: Apache-2.0
// Verifies the flatbuffer, then copies its structure into a Graph, checking every number on the way.
#include "accel/cpu/model_reader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <format>
#include <limits>

#include "accel/cpu/op_options.h"
#include "accel/cpu/ops/op_table.h"
#include "accel/cpu/ssd_head.h"
#include "base/result.h"
#include "tflite_generated.h"

namespace wayside::accel::cpu {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::uint32_t kSchemaVersion = 3;
constexpr std::size_t kMaxTableDepth = 16;  // the format nests Model > SubGraph > Operator > options
constexpr std::size_t kMaxTables = 200'000;
constexpr std::string_view kSsdOpName = "TFLite_Detection_PostProcess";

template <class T>
std::size_t count_of(const T* vector) {
  return vector == nullptr ? 0 : vector->size();
}

/// State of one read: the file's tables, and what is known so far about each tensor and operator.
class Reader {
 public:
  explicit Reader(const schema::Model& model) : model_(model) {}
  Result<Graph> read();

 private:
  struct RawOp {
    const schema::Operator* table = nullptr;
    std::int32_t code = 0;
    std::string custom_name;
    bool cut = false;
    std::vector<std::int32_t> inputs, outputs;
  };

  Result<void> check_model();
  Result<void> read_operators();
  Result<RawOp> read_operator(const schema::Operator& table) const;
  Result<std::vector<std::int32_t>> read_indices(const flatbuffers::Vector<std::int32_t>* from, bool optional,
                                                 std::string_view what) const;
  Result<void> cut_custom_tail();
  void replace_outputs(const RawOp& op);
  Result<void> read_interface();
  Result<void> read_used_tensors();
  Result<void> read_tensor(std::int32_t number);
  Result<void> unpack(Tensor& tensor);
  Result<void> read_quantization(const schema::Tensor& from, Tensor& to) const;
  Result<void> check_order() const;
  Result<void> read_nodes();
  Result<void> read_ssd();
  [[nodiscard]] std::string op_label(std::size_t index) const;
  [[nodiscard]] std::span<const std::byte> constant_data(std::int32_t number) const;

  const schema::Model& model_;
  const schema::SubGraph* subgraph_ = nullptr;
  std::vector<RawOp> ops_;
  Graph graph_;
};

Result<Graph> Reader::read() {
  WAYSIDE_CHECK(check_model());
  WAYSIDE_CHECK(read_operators());
  WAYSIDE_CHECK(read_interface());
  WAYSIDE_CHECK(cut_custom_tail());
  WAYSIDE_CHECK(read_used_tensors());
  WAYSIDE_CHECK(check_order());
  WAYSIDE_CHECK(read_nodes());
  WAYSIDE_CHECK(read_ssd());
  return std::move(graph_);
}

Result<void> Reader::check_model() {
  if (model_.version() != kSchemaVersion) {
    return fail(Code::unsupported, std::format("schema version {}, expected {}", model_.version(), kSchemaVersion));
  }
  if (count_of(model_.subgraphs()) != 1) {
    return fail(Code::unsupported, std::format("{} subgraphs, expected 1", count_of(model_.subgraphs())));
  }
  subgraph_ = model_.subgraphs()->Get(0);
  if (subgraph_ == nullptr) return fail(Code::corrupt, "its subgraph is missing");
  if (count_of(subgraph_->tensors()) > kMaxTensorCount) {
    return fail(Code::exhausted,
                std::format("{} tensors, at most {}", count_of(subgraph_->tensors()), kMaxTensorCount));
  }
  if (count_of(subgraph_->operators()) > kMaxOperatorCount) {
    return fail(Code::exhausted,
                std::format("{} operators, at most {}", count_of(subgraph_->operators()), kMaxOperatorCount));
  }
  graph_.tensors.resize(count_of(subgraph_->tensors()));
  return {};
}

Result<std::vector<std::int32_t>> Reader::read_indices(const flatbuffers::Vector<std::int32_t>* from, bool optional,
                                                       std::string_view what) const {
  std::vector<std::int32_t> indices;
  if (count_of(from) > kMaxOperatorTensors) {
    return fail(Code::exhausted, std::format("{} {}s, at most {}", from->size(), what, kMaxOperatorTensors));
  }
  for (std::size_t i = 0; i < count_of(from); ++i) {
    const std::int32_t index = from->Get(static_cast<flatbuffers::uoffset_t>(i));
    const bool left_out = optional && index == -1;
    if (!left_out && (index < 0 || static_cast<std::size_t>(index) >= graph_.tensors.size())) {
      return fail(Code::corrupt, std::format("{} {} is tensor {} of {}", what, i, index, graph_.tensors.size()));
    }
    indices.push_back(index);
  }
  return indices;
}

Result<Reader::RawOp> Reader::read_operator(const schema::Operator& table) const {
  RawOp op;
  op.table = &table;
  if (table.opcode_index() >= count_of(model_.operator_codes())) {
    return fail(Code::corrupt,
                std::format("operator code {} of {}", table.opcode_index(), count_of(model_.operator_codes())));
  }
  const auto* code = model_.operator_codes()->Get(table.opcode_index());
  if (code == nullptr) return fail(Code::corrupt, "its operator code is missing");
  op.code = std::max(std::int32_t{code->deprecated_builtin_code()}, code->builtin_code());
  if (op.code == static_cast<std::int32_t>(OpCode::custom)) {
    op.custom_name = code->custom_code() == nullptr ? "?" : printable(code->custom_code()->string_view());
  }
  WAYSIDE_TRY(op.inputs, read_indices(table.inputs(), true, "input"));
  WAYSIDE_TRY(op.outputs, read_indices(table.outputs(), false, "output"));
  return op;
}

std::string Reader::op_label(std::size_t index) const {
  const auto& op = ops_[index];
  const OpEntry* entry = find_op(op.code);
  if (entry != nullptr) return std::format("operator {} {}", index, entry->name);
  if (!op.custom_name.empty()) return std::format("operator {} custom {}", index, op.custom_name);
  return std::format("operator {} (builtin code {})", index, op.code);
}

Result<void> Reader::read_operators() {
  for (std::size_t i = 0; i < count_of(subgraph_->operators()); ++i) {
    const auto* table = subgraph_->operators()->Get(static_cast<flatbuffers::uoffset_t>(i));
    if (table == nullptr) return fail(Code::corrupt, std::format("operator {} is missing", i));
    auto op = read_operator(*table);
    if (!op) return std::unexpected(op.error().context(std::format("operator {}", i)));
    ops_.push_back(std::move(*op));
  }
  if (ops_.empty()) return fail(Code::corrupt, "no operators");
  return {};
}

Result<void> Reader::read_interface() {
  WAYSIDE_TRY(graph_.inputs, read_indices(subgraph_->inputs(), false, "model input"));
  WAYSIDE_TRY(graph_.outputs, read_indices(subgraph_->outputs(), false, "model output"));
  if (graph_.inputs.empty()) return fail(Code::corrupt, "no model inputs");
  if (graph_.outputs.empty()) return fail(Code::corrupt, "no model outputs");
  return {};
}

void Reader::replace_outputs(const RawOp& op) {
  std::vector<std::int32_t> outputs;
  bool replaced = false;
  const auto add = [&](std::int32_t tensor) {
    if (std::ranges::find(outputs, tensor) == outputs.end()) outputs.push_back(tensor);
  };
  for (const std::int32_t output : graph_.outputs) {
    if (std::ranges::find(op.outputs, output) == op.outputs.end()) {
      add(output);
    } else if (!replaced) {
      replaced = true;
      for (const std::int32_t input : op.inputs) {
        if (input >= 0 && constant_data(input).empty()) add(input);
      }
    }
  }
  graph_.outputs = std::move(outputs);
}

/// From the last operator to the first: a custom operator whose outputs no kept operator reads is cut.
Result<void> Reader::cut_custom_tail() {
  std::vector<bool> read_by_kept(graph_.tensors.size(), false);
  for (std::size_t i = ops_.size(); i-- > 0;) {
    auto& op = ops_[i];
    const bool is_read = std::ranges::any_of(op.outputs, [&](std::int32_t output) { return read_by_kept[output]; });
    if (op.code == static_cast<std::int32_t>(OpCode::custom) && !is_read) {
      op.cut = true;
      graph_.cut_ops.insert(graph_.cut_ops.begin(), op.custom_name);
      replace_outputs(op);
      continue;
    }
    if (find_op(op.code) == nullptr) {
      return fail(Code::unsupported, op_label(i) + ": not supported by this engine; convert the model without it");
    }
    for (const std::int32_t input : op.inputs) {
      if (input >= 0) read_by_kept[input] = true;
    }
  }
  if (graph_.outputs.empty()) return fail(Code::unsupported, "nothing is left after cutting its custom operators");
  return {};
}

std::span<const std::byte> Reader::constant_data(std::int32_t number) const {
  const auto* tensor = subgraph_->tensors()->Get(static_cast<flatbuffers::uoffset_t>(number));
  if (tensor == nullptr || tensor->buffer() >= count_of(model_.buffers())) return {};
  const auto* buffer = model_.buffers()->Get(tensor->buffer());
  if (buffer == nullptr || buffer->data() == nullptr) return {};
  return std::as_bytes(std::span(buffer->data()->data(), buffer->data()->size()));
}

Result<DType> read_type(schema::TensorType type) {
  switch (type) {
    case schema::TensorType::FLOAT32: return DType::f32;
    case schema::TensorType::INT32: return DType::i32;
    case schema::TensorType::UINT8: return DType::u8;
    case schema::TensorType::INT16: return DType::i16;
    case schema::TensorType::INT8:
    case schema::TensorType::INT4: return DType::i8;  // see unpack_int4()
    default: break;
  }
  return fail(Code::unsupported, std::format("element type {} (supported: INT8, UINT8, INT32, FLOAT32, INT4 weights)",
                                             static_cast<int>(type)));
}

/// Two values in a byte, the first in the lower half, both two's complement; an odd count leaves the last half unused.
/// Source: tensorflow/lite/kernels/internal/portable_tensor_utils.cc UnpackDenseInt4IntoInt8.
std::vector<std::byte> unpack_int4(std::span<const std::byte> packed, std::size_t count) {
  std::vector<std::byte> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto pair = std::to_integer<std::int32_t>(packed[i / 2]);
    const std::int32_t half = i % 2 == 0 ? pair & 15 : pair >> 4;
    values[i] = static_cast<std::byte>(half < 8 ? half : half - 16);
  }
  return values;
}

Result<Shape> read_shape(const flatbuffers::Vector<std::int32_t>* dims, std::size_t element_bytes) {
  if (count_of(dims) > kMaxRank) {
    return fail(Code::unsupported, std::format("{} dimensions, at most {}", dims->size(), kMaxRank));
  }
  std::vector<std::int32_t> checked;
  std::size_t bytes = element_bytes;
  for (std::size_t axis = 0; axis < count_of(dims); ++axis) {
    const std::int32_t dim = dims->Get(static_cast<flatbuffers::uoffset_t>(axis));
    if (dim <= 0) return fail(Code::corrupt, std::format("dimension {} is {}", axis, dim));
    if (static_cast<std::size_t>(dim) > kMaxTensorBytes / bytes) {
      return fail(Code::exhausted, std::format("larger than {} MB", kMaxTensorBytes >> 20));
    }
    bytes *= static_cast<std::size_t>(dim);
    checked.push_back(dim);
  }
  return Shape(std::span<const std::int32_t>(checked));
}

Result<void> check_zero_point(std::int64_t zero_point, DType type) {
  const std::int64_t low = type == DType::u8 ? 0 : type == DType::i8 ? -128 : std::numeric_limits<std::int16_t>::min();
  const std::int64_t high = type == DType::u8   ? 255
                            : type == DType::i8 ? 127
                                                : std::numeric_limits<std::int16_t>::max();
  if (zero_point >= low && zero_point <= high) return {};
  return fail(Code::corrupt, std::format("zero point {} of {} values", zero_point, to_string(type)));
}

/// Only i8, u8 and i16 have a meaning for quantisation here: biases (i32) follow from their operator's scales, and f32
/// tensors may carry leftovers of training.
Result<void> Reader::read_quantization(const schema::Tensor& from, Tensor& to) const {
  const auto* table = from.quantization();
  if (table == nullptr || to.type == DType::f32 || to.type == DType::i32) return {};
  if (table->details_type() != 0) return fail(Code::unsupported, "a custom quantisation scheme");
  const std::size_t count = count_of(table->scale());
  if (count == 0) return {};
  const std::size_t zero_count = count_of(table->zero_point());
  if (zero_count != count && zero_count != 0) {
    return fail(Code::corrupt, std::format("{} scales but {} zero points", count, zero_count));
  }
  to.quantized_dimension = table->quantized_dimension();
  if (count > 1) {
    if (to.quantized_dimension < 0 || static_cast<std::size_t>(to.quantized_dimension) >= to.shape.rank()) {
      return fail(Code::corrupt,
                  std::format("quantised along dimension {} of {}", to.quantized_dimension, to_string(to.shape)));
    }
    const std::int32_t channels = to.shape[static_cast<std::size_t>(to.quantized_dimension)];
    if (count != static_cast<std::size_t>(channels)) {
      return fail(Code::corrupt, std::format("{} scales for {} channels", count, channels));
    }
  }
  to.scales.assign(table->scale()->begin(), table->scale()->end());
  const auto unusable =
      std::ranges::find_if(to.scales, [](float scale) { return !std::isfinite(scale) || scale <= 0; });
  if (unusable != to.scales.end()) {
    return fail(Code::corrupt, std::format("scale {} is {}", unusable - to.scales.begin(), *unusable));
  }
  for (std::size_t i = 0; i < zero_count; ++i) {
    std::int64_t zero_point = 0;  // copied: the verifier does not look at the alignment of 64-bit elements
    std::memcpy(&zero_point, table->zero_point()->Data() + (i * sizeof zero_point), sizeof zero_point);
    if (zero_point == 0) continue;
    WAYSIDE_CHECK(check_zero_point(zero_point, to.type));
    if (count > 1) return fail(Code::unsupported, "per-channel zero points other than 0");
    to.quantization.zero_point = static_cast<std::int32_t>(zero_point);
  }
  to.quantization.scale = to.scales.front();
  return {};
}

Result<void> Reader::read_tensor(std::int32_t number) {
  const auto* from = subgraph_->tensors()->Get(static_cast<flatbuffers::uoffset_t>(number));
  Tensor& to = graph_.tensors[number];
  if (from == nullptr) return fail(Code::corrupt, "is missing");
  if (from->name() != nullptr) to.name = from->name()->string_view();
  WAYSIDE_TRY(to.type, read_type(from->type()));
  WAYSIDE_TRY(to.shape, read_shape(from->shape(), size_bytes(to.type)));
  WAYSIDE_CHECK(read_quantization(*from, to));
  if (from->buffer() >= count_of(model_.buffers()) && from->buffer() != 0) {
    return fail(Code::corrupt, std::format("buffer {} of {}", from->buffer(), count_of(model_.buffers())));
  }
  to.data = constant_data(number);
  if (from->type() == schema::TensorType::INT4) return unpack(to);
  if (to.is_constant() && to.data.size() != to.byte_count()) {
    return fail(Code::corrupt, std::format("{} bytes of data for shape {} of {}", to.data.size(), to_string(to.shape),
                                           to_string(to.type)));
  }
  return {};
}

Result<void> Reader::unpack(Tensor& tensor) {
  if (!tensor.is_constant()) return fail(Code::unsupported, "INT4 activations; quantise them to INT8");
  const std::size_t count = tensor.shape.element_count();
  if (tensor.data.size() != (count + 1) / 2) {
    return fail(Code::corrupt,
                std::format("{} bytes of data for shape {} of INT4", tensor.data.size(), to_string(tensor.shape)));
  }
  tensor.data = graph_.unpacked.emplace_back(unpack_int4(tensor.data, count));
  return {};
}

Result<void> Reader::read_used_tensors() {
  std::vector<bool> used(graph_.tensors.size(), false);
  const auto mark = [&](const std::vector<std::int32_t>& indices) {
    for (const std::int32_t index : indices) {
      if (index >= 0) used[index] = true;
    }
  };
  mark(graph_.inputs);
  mark(graph_.outputs);
  for (const auto& op : ops_) {
    if (!op.cut) mark(op.outputs);
    if (!op.cut || op.custom_name == kSsdOpName) mark(op.inputs);
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    auto done = read_tensor(static_cast<std::int32_t>(i));
    if (!done) {
      const auto* table = subgraph_->tensors()->Get(static_cast<flatbuffers::uoffset_t>(i));
      const bool named = table != nullptr && table->name() != nullptr;
      const std::string name = named ? printable(table->name()->string_view()) : "?";
      return std::unexpected(done.error().context(std::format("tensor {} \"{}\"", i, name)));
    }
  }
  return {};
}

/// Every tensor gets its value once, before it is read.
Result<void> Reader::check_order() const {
  std::vector<bool> known(graph_.tensors.size(), false);
  for (std::size_t i = 0; i < known.size(); ++i) known[i] = graph_.tensors[i].is_constant();
  for (const std::int32_t input : graph_.inputs) {
    if (known[input]) return fail(Code::corrupt, std::format("model input {} is a constant or listed twice", input));
    known[input] = true;
  }
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    if (ops_[i].cut) continue;
    for (const std::int32_t input : ops_[i].inputs) {
      if (input < 0 || known[input]) continue;
      const auto* table = subgraph_->tensors()->Get(static_cast<flatbuffers::uoffset_t>(input));
      if (table->is_variable()) {
        return fail(Code::unsupported, std::format("{}: tensor {} keeps state between runs", op_label(i), input));
      }
      return fail(Code::corrupt, std::format("{}: reads tensor {} before it is computed", op_label(i), input));
    }
    for (const std::int32_t output : ops_[i].outputs) {
      if (known[output]) return fail(Code::corrupt, std::format("{}: writes tensor {} again", op_label(i), output));
      known[output] = true;
    }
  }
  for (const std::int32_t output : graph_.outputs) {
    if (!known[output]) return fail(Code::corrupt, std::format("model output {} is never computed", output));
  }
  return {};
}

Result<void> Reader::read_nodes() {
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    auto& op = ops_[i];
    if (op.cut) continue;
    auto options = read_options(*op.table, op.code);
    if (!options) return std::unexpected(options.error().context(op_label(i)));
    graph_.nodes.push_back({.index = i,
                            .entry = find_op(op.code),
                            .inputs = op.inputs,
                            .outputs = op.outputs,
                            .options = std::move(*options)});
  }
  return {};
}

Result<void> Reader::read_ssd() {
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    const auto& op = ops_[i];
    if (!op.cut || op.custom_name != kSsdOpName) continue;
    if (graph_.ssd) return fail(Code::unsupported, op_label(i) + ": a second one");
    const bool complete =
        op.inputs.size() == 3 && std::ranges::all_of(op.inputs, [](auto input) { return input >= 0; });
    if (!complete || op.table->custom_options() == nullptr) {
      return fail(Code::corrupt, op_label(i) + ": needs 3 inputs and options");
    }
    const auto* raw = op.table->custom_options();
    auto head = read_ssd_head(std::as_bytes(std::span(raw->data(), raw->size())), graph_.tensors[op.inputs[0]],
                              graph_.tensors[op.inputs[1]], graph_.tensors[op.inputs[2]]);
    if (!head) return std::unexpected(head.error().context(op_label(i)));
    const auto position = [&](std::int32_t tensor) { return std::ranges::find(graph_.outputs, tensor); };
    const auto box = position(op.inputs[0]), score = position(op.inputs[1]);
    if (box == graph_.outputs.end() || score == graph_.outputs.end()) {
      return fail(Code::corrupt, op_label(i) + ": its boxes or scores are not computed by the model");
    }
    head->box_output = static_cast<std::size_t>(box - graph_.outputs.begin());
    head->score_output = static_cast<std::size_t>(score - graph_.outputs.begin());
    graph_.ssd = std::move(*head);
  }
  return {};
}

}  // namespace

Result<Graph> read_model(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxModelBytes) {
    return fail(Code::exhausted, std::format("file is larger than {} MB", kMaxModelBytes >> 20));
  }
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  // The identifier is at bytes 4..7; checked apart for a message that says what is wrong.
  if (bytes.size() < 8 || !schema::ModelBufferHasIdentifier(data)) {
    return fail(Code::corrupt, "not a TFLite file (no TFL3 identifier); give a .tflite model");
  }
  flatbuffers::Verifier::Options limits;
  limits.max_depth = kMaxTableDepth;
  limits.max_tables = kMaxTables;
  flatbuffers::Verifier verifier(data, bytes.size(), limits);
  if (!schema::VerifyModelBuffer(verifier)) {
    return fail(Code::corrupt, "broken flatbuffer (truncated or damaged file); fetch it again");
  }
  return Reader(*schema::GetModel(data)).read();
}

}  // namespace wayside::accel::cpu
