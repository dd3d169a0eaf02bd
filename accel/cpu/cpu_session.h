// SPDX-License-Identifier: Apache-2.0
// CpuSession: one model, planned and packed, that runs without allocating.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "accel/accelerator.h"
#include "accel/cpu/graph.h"
#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/ops/operator.h"
#include "accel/cpu/packed_model.h"
#include "accel/cpu/thread_pool.h"
#include "base/mapped_file.h"
#include "base/result.h"

namespace wayside::accel::cpu {

/// One operator of a loaded model, for tables and profiles.
struct OperatorInfo {
  std::size_t index = 0;            ///< in the model file
  std::string_view name;            ///< "CONV_2D"
  Shape input_shape, output_shape;  ///< of the first input that is read, and of output 0
  std::uint64_t mac_count = 0;
  std::size_t weight_bytes = 0;
  bool runs = true;  ///< false: only a new name for the same bytes
};

/// Is told the time of every operator that runs; called on the thread of run(), must not allocate if run() must not.
class OperatorProfiler {
 public:
  virtual ~OperatorProfiler() = default;
  /// `number` counts operators() from 0.
  virtual void on_operator(std::size_t number, std::chrono::nanoseconds elapsed) = 0;
};

struct LoadSources {
  /// The mapping that the model's bytes lie in: its pages are given back as soon as an operator has packed them.
  const base::MappedFile* file = nullptr;
  std::shared_ptr<const PackedModel> packed = nullptr;
  /// Is given what a PackedModel can hold of the session, by index; it borrows from the session.
  std::vector<PackedNode>* to_keep = nullptr;
};

class CpuSession final : public Session {
 public:
  /// Reads, checks, prepares and plans. `model` may be freed afterwards: what is needed of it was copied or packed.
  /// Errors as read_model(), and those of the operators: "operator 12 CONV_2D: ...".
  /// With sources.packed, which must be of this model and level, weights are neither read nor packed.
  static base::Result<std::unique_ptr<CpuSession>> create(std::span<const std::byte> model,
                                                          const SessionOptions& options, Level level,
                                                          const LoadSources& sources = {});

  [[nodiscard]] std::span<const TensorInfo> inputs() const override { return inputs_; }
  [[nodiscard]] std::span<const TensorInfo> outputs() const override { return outputs_; }
  [[nodiscard]] const ModelInfo& info() const override { return info_; }
  [[nodiscard]] std::span<std::byte> input(std::size_t index) override { return input_bytes_[index]; }
  [[nodiscard]] std::span<const std::byte> output(std::size_t index) const override { return output_bytes_[index]; }
  base::Result<void> run() override;
  /// Items are independent: where there are enough of them, each thread runs whole items, which needs no hand-over
  /// between operators; the rest is run one by one on all threads. Any model can be run so.
  [[nodiscard]] std::size_t max_batch() const override { return max_batch_; }
  base::Result<void> set_batch(std::size_t count) override;

  /// In the order of the file, including those that do not run.
  [[nodiscard]] std::span<const OperatorInfo> operators() const { return operators_; }
  /// Nothing (nullptr) by default; must outlive its use.
  void set_profiler(OperatorProfiler* profiler) { profiler_ = profiler; }

 private:
  class Builder;

  struct AlignedDelete {
    void* memory;  // that the bytes lie in
    void operator()(std::byte* bytes) const;
  };
  using AlignedBytes = std::unique_ptr<std::byte, AlignedDelete>;

  struct Step {
    std::size_t number = 0;  // in operators_
    const Operator* op = nullptr;
    std::vector<const std::byte*> inputs;
    std::vector<std::byte*> outputs;
    std::byte* scratch = nullptr;
    bool parallel = false;  // worth the pool's threads
  };

  /// A pointer of a step into a model input or output: it follows the item of the batch that is being run.
  template <class Pointer>
  struct Slot {
    Pointer* pointer = nullptr;
    Pointer of_first_item = nullptr;
    std::size_t item_bytes = 0;
  };
  /// What a thread needs to run items by itself.
  struct Lane {
    AlignedBytes arena;
    std::vector<Step> steps;
    std::vector<Slot<const std::byte*>> input_slots;
    std::vector<Slot<std::byte*>> output_slots;
    void select(std::size_t item);
  };

  CpuSession(std::shared_ptr<ThreadPool> pool, int priority) : pool_(std::move(pool)), priority_(priority) {}
  void run_step(const Step& step, ThreadPool& pool);
  void run_steps(const Lane& lane, ThreadPool::Turn& turn);

  std::shared_ptr<ThreadPool> pool_;
  int priority_ = 0;
  ThreadPool alone_{1};                        // for steps that are not worth more
  std::shared_ptr<const PackedModel> packed_;  // operators borrow from it
  AlignedBytes constants_;
  AlignedBytes interface_;  // model inputs and outputs of all items; they are in the arena where max_batch_ is 1
  std::vector<std::unique_ptr<Operator>> prepared_;
  std::vector<Lane> lanes_;  // one for each thread that may run items by itself, at least one
  std::vector<TensorInfo> inputs_, outputs_;
  std::vector<std::span<std::byte>> input_bytes_;
  std::vector<std::span<const std::byte>> output_bytes_;
  std::size_t batch_ = 1, max_batch_ = 1;
  bool items_in_parallel_ = false;
  std::vector<OperatorInfo> operators_;
  ModelInfo info_;
  OperatorProfiler* profiler_ = nullptr;
};

}  // namespace wayside::accel::cpu
