// SPDX-License-Identifier: Apache-2.0
// How a session comes to be: from a checked graph to prepared operators, planned memory and steps with resolved
// pointers.
#include "accel/cpu/cpu_session.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <format>
#include <optional>

#include "accel/cpu/fold.h"
#include "accel/cpu/memory_planner.h"
#include "accel/cpu/model_reader.h"
#include "accel/cpu/ops/op_table.h"
#include "accel/cpu/tensor_places.h"
#include "accel/cpu/work_split.h"

namespace wayside::accel::cpu {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::size_t kAlignmentBytes = MemoryPlanner::kAlignmentBytes;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes; }

TensorInfo describe(const Tensor& tensor) {
  return {.name = printable(tensor.name),
          .type = tensor.type,
          .shape = {tensor.shape.dims().begin(), tensor.shape.dims().end()},
          .quantization = tensor.quantization};
}

PreparedOp copy_of(std::size_t byte_count) {
  PreparedOp prepared;
  prepared.reads.push_back(0);
  prepared.op = make_operator(
      [byte_count](const RunContext& context) { std::memcpy(context.outputs[0], context.inputs[0], byte_count); });
  return prepared;
}

}  // namespace

/// Builds a session in passes: prepare operators, give tensors the same place as their aliases, drop what nobody reads,
/// work in place where an operand dies, compute parts of a concatenation where they belong, plan, bind.
class CpuSession::Builder {
 public:
  Builder(CpuSession& session, Graph graph, Level level, const SessionOptions& options, const LoadSources& sources)
      : session_(session),
        graph_(std::move(graph)),
        level_(level),
        options_(options),
        sources_(sources),
        fold_(graph_, level),
        places_(graph_) {}

  Result<void> build() {
    WAYSIDE_CHECK(prepare());
    drop_unread();
    if (level_ != Level::reference) {
      places_.share_operands(pending_);
      places_.place_parts(pending_);
    }
    WAYSIDE_CHECK(plan());
    copy_constants();
    bind();
    describe_interface();
    return add_lanes();
  }

 private:
  Result<void> prepare();
  Result<void> prepare_node(const Node& original);
  Result<void> count(const PreparedOp& prepared);
  void release_packed(const Node& node) const;
  void note_to_keep(PackedNode node, const LookupTable* table) const;
  void drop_unread();
  Result<void> plan();
  void copy_constants();
  [[nodiscard]] std::size_t copies_of(std::size_t place) const;
  void bind();
  void choose_parallel();
  void describe_interface();
  Result<void> add_lanes();
  template <class Pointer>
  void add_slot(std::vector<Slot<Pointer>>& slots, Pointer& pointer) const;
  void place_interface();
  [[nodiscard]] std::byte* address_of(std::int32_t tensor) const;
  static Result<AlignedBytes> allocate(std::size_t bytes, std::string_view what);

  CpuSession& session_;
  Graph graph_;
  Level level_;
  const SessionOptions& options_;
  const LoadSources& sources_;
  Fold fold_;
  TensorPlaces places_;
  std::vector<std::size_t> offset_of_;  // of places, in arena_ or constants_
  std::vector<bool> constant_is_used_;  // by place
  std::vector<bool> in_interface_;      // by place: model inputs and outputs of a session with batches
  std::size_t interface_bytes_ = 0, arena_bytes_ = 0;
  std::vector<PendingStep> pending_;         // operators that run
  std::vector<std::size_t> scratch_offset_;  // by pending
};

Result<void> CpuSession::Builder::prepare() {
  pending_.reserve(graph_.nodes.size());
  session_.operators_.reserve(graph_.nodes.size());
  for (const Node& node : graph_.nodes) {
    auto done = prepare_node(node);
    if (!done)
      return std::unexpected(done.error().context(std::format("operator {} {}", node.index, node.entry->name)));
  }
  return {};
}

Result<void> CpuSession::Builder::prepare_node(const Node& original) {
  const Node& unfolded = fold_.before(original);
  std::optional<PackedNode> packed;
  if (session_.packed_ != nullptr) packed = session_.packed_->find(unfolded.index);
  const NodeView view(graph_, unfolded, level_, session_.pool_->thread_count(), packed ? &*packed : nullptr);
  WAYSIDE_TRY(PreparedOp prepared, unfolded.entry->prepare(view));
  WAYSIDE_CHECK(count(prepared));
  if (!packed || !packed->conv) release_packed(unfolded);
  const PackedNode to_keep{.index = static_cast<std::uint32_t>(unfolded.index),
                           .conv = prepared.conv,
                           .sum = prepared.sum,
                           .table = std::nullopt};
  const Node& node = fold_.after(unfolded, prepared, packed && packed->table ? &*packed->table : nullptr);
  const std::int32_t in = node.inputs[prepared.reads.front()], out = node.outputs.front();
  note_to_keep(to_keep, fold_.table_of(out));
  if (!prepared.op && !places_.alias(in, out)) prepared = copy_of(graph_.tensors[out].byte_count());
  session_.operators_.push_back({.index = node.index,
                                 .name = node.entry->name,
                                 .input_shape = graph_.tensors[in].shape,
                                 .output_shape = graph_.tensors[out].shape,
                                 .mac_count = prepared.mac_count,
                                 .weight_bytes = prepared.weight_bytes,
                                 .runs = prepared.op != nullptr});
  if (prepared.op) {
    pending_.push_back({.node = &node, .number = session_.operators_.size() - 1, .prepared = std::move(prepared)});
  }
  return {};
}

Result<void> CpuSession::Builder::count(const PreparedOp& prepared) {
  auto& info = session_.info_;
  info.mac_count += prepared.mac_count;
  info.weight_bytes += prepared.weight_bytes;
  if (info.mac_count > kMaxMacCount)
    return fail(Code::exhausted, std::format("more than {} multiplications", kMaxMacCount));
  if (info.weight_bytes > kMaxWeightBytes) {
    return fail(Code::exhausted, std::format("more than {} MB of weights", kMaxWeightBytes >> 20));
  }
  return {};
}

/// Large constants only: a page that is needed again costs more than a small one occupies.
void CpuSession::Builder::release_packed(const Node& node) const {
  constexpr std::size_t kLargeBytes = std::size_t{64} * 1024;
  if (sources_.file == nullptr) return;
  for (const std::int32_t input : node.inputs) {
    if (input >= 0 && graph_.tensors[input].data.size() >= kLargeBytes)
      sources_.file->release(graph_.tensors[input].data);
  }
}

void CpuSession::Builder::note_to_keep(PackedNode node, const LookupTable* table) const {
  if (sources_.to_keep == nullptr) return;
  if (table != nullptr) node.table = *table;
  if (!node.is_empty()) sources_.to_keep->push_back(node);
}

void CpuSession::Builder::drop_unread() {
  std::vector<StepPlaces> steps;
  steps.reserve(pending_.size());
  for (const PendingStep& step : pending_) steps.push_back(places_.places_of(step));
  const auto needed = needed_steps(steps, places_.places(graph_.outputs), graph_.tensors.size());
  std::size_t next = 0;
  std::erase_if(pending_, [&](const PendingStep& step) {
    const bool runs = needed[next++];
    session_.operators_[step.number].runs = runs;
    if (!runs && sources_.to_keep != nullptr) {
      const auto node = std::ranges::find(*sources_.to_keep, step.node->index, &PackedNode::index);
      if (node != sources_.to_keep->end()) node->conv.reset();  // it would borrow from what goes now
    }
    return !runs;
  });
}

Result<CpuSession::AlignedBytes> CpuSession::Builder::allocate(std::size_t bytes, std::string_view what) {
  const std::size_t size = std::max(bytes, kAlignmentBytes);
  void* const memory = std::calloc(size + kAlignmentBytes, 1);  // pages come at the first run, not at load
  if (memory == nullptr) return fail(Code::exhausted, std::format("no memory for {} bytes of {}", size, what));
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return AlignedBytes(static_cast<std::byte*>(memory) + (aligned(address) - address), AlignedDelete{memory});
}

/// With batches, the items of a model input or output lie one after the other, outside the arenas.
void CpuSession::Builder::place_interface() {
  in_interface_.assign(graph_.tensors.size(), false);
  if (session_.max_batch_ == 1) return;
  for (const auto* list : {&graph_.inputs, &graph_.outputs}) {
    for (const std::int32_t tensor : *list) {
      const auto place = static_cast<std::size_t>(places_.place_of(tensor));
      if (!graph_.tensors[place].is_constant()) in_interface_[place] = true;
    }
  }
}

Result<void> CpuSession::Builder::plan() {
  auto blocks = places_.lifetimes(pending_);
  place_interface();
  for (std::size_t i = 0; i < in_interface_.size(); ++i) {
    if (in_interface_[i]) blocks[i].size_bytes = 0;
  }
  for (std::size_t step = 0; step < pending_.size(); ++step) {
    blocks.push_back({.size_bytes = pending_[step].prepared.scratch_bytes, .first_use = step, .last_use = step});
  }
  std::size_t total = 0;
  for (const auto& block : blocks) {
    if (block.size_bytes > kMaxArenaBytes) return fail(Code::exhausted, "a tensor or scratch memory is too large");
    total += aligned(block.size_bytes);
  }
  const auto plan = MemoryPlanner::plan(blocks);
  if (plan.arena_bytes > kMaxArenaBytes) {
    return fail(Code::exhausted, std::format("needs {} MB of activation memory (sum of all tensors: {} MB), at most {}",
                                             plan.arena_bytes >> 20, total >> 20, kMaxArenaBytes >> 20));
  }
  const std::size_t threads = session_.pool_->thread_count();
  const std::size_t lane_count = session_.max_batch_ >= threads ? threads : 1;
  if (plan.arena_bytes > kMaxArenaBytes / lane_count) {
    return fail(Code::exhausted,
                std::format("needs {} MB of activation memory for each of {} threads, at most {} in all",
                            plan.arena_bytes >> 20, lane_count, kMaxArenaBytes >> 20));
  }
  offset_of_.assign(plan.offsets_bytes.begin(), plan.offsets_bytes.begin() + std::ssize(graph_.tensors));
  scratch_offset_.assign(plan.offsets_bytes.begin() + std::ssize(graph_.tensors), plan.offsets_bytes.end());
  for (std::size_t i = 0; i < in_interface_.size(); ++i) {
    if (!in_interface_[i]) continue;
    offset_of_[i] = interface_bytes_;
    interface_bytes_ += aligned(graph_.tensors[i].byte_count() * session_.max_batch_);
    if (interface_bytes_ > kMaxArenaBytes) {
      return fail(Code::exhausted, std::format("inputs and outputs of {} items need more than {} MB",
                                               session_.max_batch_, kMaxArenaBytes >> 20));
    }
  }
  arena_bytes_ = plan.arena_bytes;
  session_.info_.arena_bytes = plan.arena_bytes * lane_count + interface_bytes_;
  session_.lanes_.resize(lane_count);

  constant_is_used_.assign(graph_.tensors.size(), false);
  const auto mark = [&](std::int32_t tensor) { constant_is_used_[places_.place_of(tensor)] = true; };
  for (const auto& [node, number, prepared] : pending_) {
    for (const std::uint32_t read : prepared.reads) mark(node->inputs[read]);
  }
  for (const std::int32_t output : graph_.outputs) mark(output);
  std::size_t constant_bytes = 0;
  for (std::size_t i = 0; i < graph_.tensors.size(); ++i) {
    constant_is_used_[i] = constant_is_used_[i] && graph_.tensors[i].is_constant();
    if (!constant_is_used_[i]) continue;
    offset_of_[i] = constant_bytes;
    constant_bytes += aligned(graph_.tensors[i].data.size() * copies_of(i));
  }
  session_.info_.weight_bytes += constant_bytes;
  if (session_.info_.weight_bytes > kMaxWeightBytes) {
    return fail(Code::exhausted, std::format("more than {} MB of weights", kMaxWeightBytes >> 20));
  }
  for (Lane& lane : session_.lanes_) {
    WAYSIDE_TRY(lane.arena, allocate(plan.arena_bytes, "activations"));
  }
  if (interface_bytes_ > 0) {
    WAYSIDE_TRY(session_.interface_, allocate(interface_bytes_, "inputs and outputs"));
  }
  WAYSIDE_TRY(session_.constants_, allocate(constant_bytes, "constants"));
  return {};
}

void CpuSession::Builder::copy_constants() {
  for (std::size_t i = 0; i < graph_.tensors.size(); ++i) {
    if (!constant_is_used_[i]) continue;
    std::byte* to = session_.constants_.get() + offset_of_[i];
    for (std::size_t copy = copies_of(i); copy > 0; --copy) to = std::ranges::copy(graph_.tensors[i].data, to).out;
  }
}

/// A constant that is a model output is there for each item of a batch.
std::size_t CpuSession::Builder::copies_of(std::size_t place) const {
  const bool is_output = std::ranges::any_of(
      graph_.outputs, [&](std::int32_t output) { return static_cast<std::size_t>(places_.place_of(output)) == place; });
  return is_output ? session_.max_batch_ : 1;
}

std::byte* CpuSession::Builder::address_of(std::int32_t tensor) const {
  const TensorPlaces::Part whole = places_.whole_of(tensor);
  const auto place = static_cast<std::size_t>(whole.place);
  const auto& memory = in_interface_[place]       ? session_.interface_
                       : constant_is_used_[place] ? session_.constants_
                                                  : session_.lanes_[0].arena;
  return memory.get() + offset_of_[place] + whole.begin;
}

void CpuSession::Builder::bind() {
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    auto& [node, number, prepared] = pending_[i];
    session_.prepared_.push_back(std::move(prepared.op));
    Step step{.number = number, .op = session_.prepared_.back().get(), .inputs = {}, .outputs = {}};
    for (const std::uint32_t read : prepared.reads) step.inputs.push_back(address_of(node->inputs[read]));
    for (const std::int32_t output : node->outputs) step.outputs.push_back(address_of(output));
    step.scratch = session_.lanes_[0].arena.get() + scratch_offset_[i];
    session_.lanes_[0].steps.push_back(std::move(step));
  }
  choose_parallel();
}

void CpuSession::Builder::choose_parallel() {
  std::vector<StepWork> work;
  for (const auto& [node, number, prepared] : pending_) {
    StepWork step{.mac_count = prepared.mac_count};
    for (const std::uint32_t read : prepared.reads) step.moved_bytes += graph_.tensors[node->inputs[read]].byte_count();
    for (const std::int32_t output : node->outputs) step.moved_bytes += graph_.tensors[output].byte_count();
    work.push_back(step);
  }
  const WorkPlace place{level_, session_.pool_->thread_count(), session_.pool_->spin()};
  const auto chosen = worth_threads(work, place);
  auto& steps = session_.lanes_[0].steps;
  for (std::size_t i = 0; i < chosen.size(); ++i) steps[i].parallel = chosen[i] || options_.split_all;
  session_.items_in_parallel_ = items_worth_threads(work, place) || options_.split_all;
}

/// The other lanes are copies of the first whose pointers into its arena point into theirs.
Result<void> CpuSession::Builder::add_lanes() {
  if (session_.max_batch_ == 1) return {};
  const Lane& first = session_.lanes_[0];
  const std::byte* const arena = first.arena.get();
  for (Lane& lane : session_.lanes_) {
    if (&lane != &first) lane.steps = first.steps;
    const auto moved = [&]<class Pointer>(Pointer pointer) {
      const bool inside = pointer >= arena && pointer < arena + arena_bytes_;
      return inside ? static_cast<Pointer>(lane.arena.get() + (pointer - arena)) : pointer;
    };
    for (Step& step : lane.steps) {
      for (auto& pointer : step.inputs) pointer = moved(pointer);
      for (auto& pointer : step.outputs) pointer = moved(pointer);
      step.scratch = moved(step.scratch);
      for (auto& pointer : step.inputs) add_slot(lane.input_slots, pointer);
      for (auto& pointer : step.outputs) add_slot(lane.output_slots, pointer);
    }
  }
  return {};
}

template <class Pointer>
void CpuSession::Builder::add_slot(std::vector<Slot<Pointer>>& slots, Pointer& pointer) const {
  for (std::size_t place = 0; place < in_interface_.size(); ++place) {
    if (!in_interface_[place]) continue;
    const std::byte* const begin = session_.interface_.get() + offset_of_[place];
    const std::size_t item_bytes = graph_.tensors[place].byte_count();
    if (pointer >= begin && pointer < begin + item_bytes) slots.push_back({&pointer, pointer, item_bytes});
  }
}

void CpuSession::Builder::describe_interface() {
  for (const std::int32_t input : graph_.inputs) {
    session_.inputs_.push_back(describe(graph_.tensors[input]));
    session_.input_bytes_.emplace_back(address_of(input), graph_.tensors[input].byte_count());
  }
  for (const std::int32_t output : graph_.outputs) {
    session_.outputs_.push_back(describe(graph_.tensors[output]));
    session_.output_bytes_.emplace_back(address_of(output), graph_.tensors[output].byte_count());
  }
  session_.info_.cut_ops = std::move(graph_.cut_ops);
  session_.info_.ssd = std::move(graph_.ssd);
}

Result<std::unique_ptr<CpuSession>> CpuSession::create(std::span<const std::byte> model, const SessionOptions& options,
                                                       Level level, const LoadSources& sources) {
  WAYSIDE_TRY(Graph graph, read_model(model));
  if (options.max_batch < 1 || options.max_batch > kMaxBatch) {
    return fail(Code::invalid_argument, std::format("max_batch is {}, must be 1 to {}", options.max_batch, kMaxBatch));
  }
  auto threads = options.threads ? options.threads : make_cpu_threads(options);
  std::unique_ptr<CpuSession> session(new CpuSession(std::move(threads), options.priority));
  session->max_batch_ = options.max_batch;
  session->packed_ = sources.packed;
  WAYSIDE_CHECK(Builder(*session, std::move(graph), level, options, sources).build());
  return session;
}

}  // namespace wayside::accel::cpu
