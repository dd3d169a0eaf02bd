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
#include "accel/cpu/thread_pool.h"
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

class CpuSession final : public Session {
 public:
  /// Reads, checks, prepares and plans. `model` may be freed afterwards: what is needed of it was copied or packed.
  /// Errors as read_model(), and those of the operators: "operator 12 CONV_2D: ...".
  static base::Result<std::unique_ptr<CpuSession>> create(std::span<const std::byte> model,
                                                          const SessionOptions& options, Level level);

  [[nodiscard]] std::span<const TensorInfo> inputs() const override { return inputs_; }
  [[nodiscard]] std::span<const TensorInfo> outputs() const override { return outputs_; }
  [[nodiscard]] const ModelInfo& info() const override { return info_; }
  [[nodiscard]] std::span<std::byte> input(std::size_t index) override { return input_bytes_[index]; }
  [[nodiscard]] std::span<const std::byte> output(std::size_t index) const override { return output_bytes_[index]; }
  base::Result<void> run() override;

  /// In the order of the file, including those that do not run.
  [[nodiscard]] std::span<const OperatorInfo> operators() const { return operators_; }
  /// Nothing (nullptr) by default; must outlive its use.
  void set_profiler(OperatorProfiler* profiler) { profiler_ = profiler; }

 private:
  class Builder;

  struct AlignedDelete {
    void operator()(std::byte* bytes) const;
  };
  using AlignedBytes = std::unique_ptr<std::byte, AlignedDelete>;

  struct Step {
    std::size_t number = 0;  // in operators_
    std::unique_ptr<Operator> op;
    std::vector<const std::byte*> inputs;
    std::vector<std::byte*> outputs;
    std::byte* scratch = nullptr;
    bool parallel = false;  // worth the pool's threads
  };

  CpuSession(std::shared_ptr<ThreadPool> pool, int priority) : pool_(std::move(pool)), priority_(priority) {}
  void run_step(const Step& step);
  void run_steps(ThreadPool::Turn& turn);

  std::shared_ptr<ThreadPool> pool_;
  int priority_ = 0;
  ThreadPool alone_{1};  // for steps that are not worth more
  AlignedBytes arena_, constants_;
  std::vector<Step> steps_;
  std::vector<TensorInfo> inputs_, outputs_;
  std::vector<std::span<std::byte>> input_bytes_;
  std::vector<std::span<const std::byte>> output_bytes_;
  std::vector<OperatorInfo> operators_;
  ModelInfo info_;
  OperatorProfiler* profiler_ = nullptr;
};

}  // namespace wayside::accel::cpu
