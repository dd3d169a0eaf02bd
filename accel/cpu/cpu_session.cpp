// SPDX-License-Identifier: Apache-2.0
// From a checked graph to steps with resolved pointers; and the loop over them.
#include "accel/cpu/cpu_session.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <new>
#include <numeric>

#include "accel/cpu/fold.h"
#include "accel/cpu/memory_planner.h"
#include "accel/cpu/model_reader.h"
#include "accel/cpu/ops/op_table.h"
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
/// work in place where an operand dies, plan, bind.
class CpuSession::Builder {
 public:
  Builder(CpuSession& session, Graph graph, Level level, const SessionOptions& options)
      : session_(session),
        graph_(std::move(graph)),
        level_(level),
        options_(options),
        fold_(graph_, level),
        place_of_(graph_.tensors.size()) {
    std::iota(place_of_.begin(), place_of_.end(), 0);
  }

  Result<void> build() {
    WAYSIDE_CHECK(prepare());
    drop_unread();
    share_operands();
    WAYSIDE_CHECK(plan());
    copy_constants();
    bind();
    describe_interface();
    return {};
  }

 private:
  struct Pending {
    const Node* node = nullptr;
    std::size_t number = 0;
    PreparedOp prepared;
  };

  Result<void> prepare();
  Result<void> prepare_node(const Node& original);
  [[nodiscard]] bool alias_allowed(std::int32_t in, std::int32_t out) const;
  Result<void> count(const PreparedOp& prepared);
  [[nodiscard]] std::vector<std::int32_t> places(const std::vector<std::int32_t>& tensors) const;
  [[nodiscard]] StepPlaces places_of(const Pending& step) const;
  void drop_unread();
  void share_operands();
  Result<void> plan();
  [[nodiscard]] std::vector<MemoryPlanner::Block> tensor_lifetimes() const;
  void copy_constants();
  void bind();
  void choose_parallel();
  void describe_interface();
  [[nodiscard]] std::byte* address_of(std::int32_t tensor) const;
  static Result<AlignedBytes> allocate(std::size_t bytes, std::string_view what);

  CpuSession& session_;
  Graph graph_;
  Level level_;
  const SessionOptions& options_;
  Fold fold_;
  std::vector<std::int32_t> place_of_;       // tensor -> the tensor whose memory it uses
  std::vector<std::size_t> offset_of_;       // of places, in arena_ or constants_
  std::vector<bool> constant_is_used_;       // by place
  std::vector<Pending> pending_;             // operators that run
  std::vector<std::size_t> scratch_offset_;  // by pending
};

Result<void> CpuSession::Builder::prepare() {
  for (const Node& node : graph_.nodes) {
    auto done = prepare_node(node);
    if (!done)
      return std::unexpected(done.error().context(std::format("operator {} {}", node.index, node.entry->name)));
  }
  return {};
}

Result<void> CpuSession::Builder::prepare_node(const Node& original) {
  const Node& unfolded = fold_.before(original);
  const NodeView view(graph_, unfolded, level_, session_.pool_->thread_count());
  WAYSIDE_TRY(PreparedOp prepared, unfolded.entry->prepare(view));
  WAYSIDE_CHECK(count(prepared));
  const Node& node = fold_.after(unfolded, prepared);
  const std::int32_t in = node.inputs[prepared.reads.front()], out = node.outputs.front();
  if (!prepared.op) {
    if (alias_allowed(in, out)) {
      place_of_[out] = place_of_[in];
    } else {
      prepared = copy_of(graph_.tensors[out].byte_count());
    }
  }
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

/// A model output keeps its value while the caller writes the next input, so the two never share memory.
bool CpuSession::Builder::alias_allowed(std::int32_t in, std::int32_t out) const {
  const bool is_output = std::ranges::find(graph_.outputs, out) != graph_.outputs.end();
  const bool from_input = std::ranges::find(graph_.inputs, place_of_[in]) != graph_.inputs.end();
  return !(is_output && from_input);
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

std::vector<std::int32_t> CpuSession::Builder::places(const std::vector<std::int32_t>& tensors) const {
  std::vector<std::int32_t> result;
  for (const std::int32_t tensor : tensors) result.push_back(place_of_[tensor]);
  return result;
}

StepPlaces CpuSession::Builder::places_of(const Pending& step) const {
  StepPlaces result{.reads = {}, .writes = places(step.node->outputs)};
  for (const std::uint32_t read : step.prepared.reads) result.reads.push_back(place_of_[step.node->inputs[read]]);
  return result;
}

void CpuSession::Builder::drop_unread() {
  std::vector<StepPlaces> steps;
  for (const Pending& step : pending_) steps.push_back(places_of(step));
  const auto needed = needed_steps(steps, places(graph_.outputs), place_of_.size());
  std::vector<Pending> kept;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    session_.operators_[pending_[i].number].runs = needed[i];
    if (needed[i]) kept.push_back(std::move(pending_[i]));
  }
  pending_ = std::move(kept);
}

/// An elementwise operator writes over an operand that nobody reads afterwards.
void CpuSession::Builder::share_operands() {
  if (level_ == Level::reference) return;
  std::vector<std::size_t> last_read(place_of_.size(), 0);
  for (std::size_t step = 0; step < pending_.size(); ++step) {
    for (const std::int32_t place : places_of(pending_[step]).reads) last_read[place] = step;
  }
  for (const std::int32_t place : places(graph_.outputs)) last_read[place] = pending_.size();
  for (std::size_t step = 0; step < pending_.size(); ++step) {
    if (!pending_[step].prepared.bytewise) continue;
    const std::int32_t out = pending_[step].node->outputs.front();
    for (const std::uint32_t read : pending_[step].prepared.reads) {
      const std::int32_t place = place_of_[pending_[step].node->inputs[read]];
      const bool is_input = std::ranges::find(graph_.inputs, place) != graph_.inputs.end();
      const bool is_output = std::ranges::any_of(graph_.outputs, [&](auto tensor) { return place_of_[tensor] == out; });
      if (graph_.tensors[place].is_constant() || last_read[place] != step || (is_input && is_output)) continue;
      last_read[place] = last_read[out];
      std::ranges::replace(place_of_, out, place);
      break;
    }
  }
}

std::vector<MemoryPlanner::Block> CpuSession::Builder::tensor_lifetimes() const {
  std::vector<MemoryPlanner::Block> blocks(graph_.tensors.size());
  std::vector<bool> alive(blocks.size(), false);
  const auto use = [&](std::int32_t tensor, std::size_t step) {
    const std::int32_t place = place_of_[tensor];
    const Tensor& owner = graph_.tensors[place];
    if (owner.is_constant()) return;
    auto& block = blocks[place];
    if (!alive[place]) block = {.size_bytes = owner.byte_count(), .first_use = step, .last_use = step};
    alive[place] = true;
    block.first_use = std::min(block.first_use, step);
    block.last_use = std::max(block.last_use, step);
  };
  for (const std::int32_t input : graph_.inputs) use(input, 0);  // written before the first operator
  for (std::size_t step = 0; step < pending_.size(); ++step) {
    const auto& [node, number, prepared] = pending_[step];
    for (const std::uint32_t read : prepared.reads) use(node->inputs[read], step);
    for (const std::int32_t output : node->outputs) use(output, step);
  }
  // Model outputs stay apart from everything for the whole run, so that writing the next input leaves them alone.
  for (const std::int32_t output : graph_.outputs) {
    use(output, 0);
    use(output, pending_.size());
  }
  return blocks;
}

Result<CpuSession::AlignedBytes> CpuSession::Builder::allocate(std::size_t bytes, std::string_view what) {
  const std::size_t size = std::max(bytes, kAlignmentBytes);
  void* memory = ::operator new(size, std::align_val_t{kAlignmentBytes}, std::nothrow);
  if (memory == nullptr) return fail(Code::exhausted, std::format("no memory for {} bytes of {}", size, what));
  std::memset(memory, 0, size);
  return AlignedBytes(static_cast<std::byte*>(memory));
}

Result<void> CpuSession::Builder::plan() {
  auto blocks = tensor_lifetimes();
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
  offset_of_.assign(plan.offsets_bytes.begin(), plan.offsets_bytes.begin() + std::ssize(graph_.tensors));
  scratch_offset_.assign(plan.offsets_bytes.begin() + std::ssize(graph_.tensors), plan.offsets_bytes.end());
  session_.info_.arena_bytes = plan.arena_bytes;

  constant_is_used_.assign(graph_.tensors.size(), false);
  const auto mark = [&](std::int32_t tensor) { constant_is_used_[place_of_[tensor]] = true; };
  for (const auto& [node, number, prepared] : pending_) {
    for (const std::uint32_t read : prepared.reads) mark(node->inputs[read]);
  }
  for (const std::int32_t output : graph_.outputs) mark(output);
  std::size_t constant_bytes = 0;
  for (std::size_t i = 0; i < graph_.tensors.size(); ++i) {
    constant_is_used_[i] = constant_is_used_[i] && graph_.tensors[i].is_constant();
    if (!constant_is_used_[i]) continue;
    offset_of_[i] = constant_bytes;
    constant_bytes += aligned(graph_.tensors[i].data.size());
  }
  session_.info_.weight_bytes += constant_bytes;
  if (session_.info_.weight_bytes > kMaxWeightBytes) {
    return fail(Code::exhausted, std::format("more than {} MB of weights", kMaxWeightBytes >> 20));
  }
  WAYSIDE_TRY(session_.arena_, allocate(plan.arena_bytes, "activations"));
  WAYSIDE_TRY(session_.constants_, allocate(constant_bytes, "constants"));
  return {};
}

void CpuSession::Builder::copy_constants() {
  for (std::size_t i = 0; i < graph_.tensors.size(); ++i) {
    if (constant_is_used_[i]) std::ranges::copy(graph_.tensors[i].data, session_.constants_.get() + offset_of_[i]);
  }
}

std::byte* CpuSession::Builder::address_of(std::int32_t tensor) const {
  const auto place = static_cast<std::size_t>(place_of_[tensor]);
  return (constant_is_used_[place] ? session_.constants_.get() : session_.arena_.get()) + offset_of_[place];
}

void CpuSession::Builder::bind() {
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    auto& [node, number, prepared] = pending_[i];
    Step step{.number = number, .op = std::move(prepared.op), .inputs = {}, .outputs = {}};
    for (const std::uint32_t read : prepared.reads) step.inputs.push_back(address_of(node->inputs[read]));
    for (const std::int32_t output : node->outputs) step.outputs.push_back(address_of(output));
    step.scratch = session_.arena_.get() + scratch_offset_[i];
    session_.steps_.push_back(std::move(step));
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
  const auto chosen = worth_threads(work, {level_, session_.pool_->thread_count(), session_.pool_->spin()});
  for (std::size_t i = 0; i < chosen.size(); ++i) session_.steps_[i].parallel = chosen[i] || options_.split_all;
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

void CpuSession::AlignedDelete::operator()(std::byte* bytes) const {
  ::operator delete(bytes, std::align_val_t{kAlignmentBytes});
}

Result<std::unique_ptr<CpuSession>> CpuSession::create(std::span<const std::byte> model, const SessionOptions& options,
                                                       Level level) {
  WAYSIDE_TRY(Graph graph, read_model(model));
  auto threads = options.threads ? options.threads : make_cpu_threads(options);
  std::unique_ptr<CpuSession> session(new CpuSession(std::move(threads), options.priority));
  WAYSIDE_CHECK(Builder(*session, std::move(graph), level, options).build());
  return session;
}

void CpuSession::run_step(const Step& step) {
  step.op->run({.inputs = step.inputs,
                .outputs = step.outputs,
                .scratch = step.scratch,
                .pool = step.parallel ? *pool_ : alone_});
}

void CpuSession::run_steps(ThreadPool::Turn& turn) {
  using ProfileClock = std::chrono::steady_clock;
  for (const Step& step : steps_) {
    turn.offer();
    if (profiler_ == nullptr) {
      run_step(step);
      continue;
    }
    const auto start = ProfileClock::now();
    run_step(step);
    profiler_->on_operator(step.number, ProfileClock::now() - start);
  }
}

Result<void> CpuSession::run() {
  ThreadPool::Turn turn(*pool_, priority_);
  run_steps(turn);
  return {};
}

}  // namespace wayside::accel::cpu
