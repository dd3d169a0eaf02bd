// SPDX-License-Identifier: Apache-2.0
// Lesson: what a student is taught with: samples, the teacher's answers, and how far the student's are from them
// (internal to tune/).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/torch_model.h"
#include "optimizer/tune/finetune.h"
#include "optimizer/tune/picture_variation.h"
#include "optimizer/tune/student.h"

namespace wayside::optimizer {

class Lesson {
 public:
  /// `run` and `options` outlive this object.
  Lesson(const Finetune& run, const FinetuneOptions& options);
  Lesson(const Lesson&) = delete;
  Lesson& operator=(const Lesson&) = delete;

  /// Before the others. Errors: those of load_sample.
  base::Result<void> prepare();
  /// With gradients, on the sample that comes at this position of the training.
  base::Result<torch::Tensor> loss(Student& student, std::uint64_t position);
  /// Mean over the samples that never teach, of the outputs alone.
  [[nodiscard]] double held_out_loss(Student& student) const;
  [[nodiscard]] std::size_t held_out_count() const { return held_out_.size(); }

 private:
  /// Tensors to compare.
  struct Pair {
    ir::TensorId teacher = 0, student = 0;
    double weight = 1;
    torch::Tensor channels{};  ///< of the teacher's that the student has; undefined: all
    torch::Tensor size{};      ///< the teacher's mean square
  };
  struct Exercise {
    torch::Tensor x;
    std::vector<torch::Tensor> wanted;  ///< of outputs_
  };
  void split();
  void pair_outputs();
  void pair_features();
  /// The teacher's tensor, as far as the student has it.
  [[nodiscard]] torch::Tensor wanted(const Pair& pair) const;
  [[nodiscard]] std::size_t sample_at(std::uint64_t position);
  [[nodiscard]] torch::Tensor difference(const Pair& pair, const torch::Tensor& wanted, const torch::Tensor& got) const;
  [[nodiscard]] torch::Tensor of_output(const Pair& pair, const torch::Tensor& wanted, const torch::Tensor& got) const;

  const Finetune& run_;
  const FinetuneOptions& options_;
  ir::TorchModel teacher_;
  std::vector<torch::Tensor> teacher_values_;
  std::vector<Pair> outputs_, features_;
  std::vector<std::size_t> taught_, held_out_;  ///< indices of samples
  std::vector<Exercise> exercises_;             ///< of held_out_
  std::vector<std::size_t> order_;              ///< of taught_ in round round_
  std::uint64_t round_ = static_cast<std::uint64_t>(-1);
  bool vary_ = false;
  ValueRange range_;
};

}  // namespace wayside::optimizer
