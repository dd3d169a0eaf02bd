// SPDX-License-Identifier: Apache-2.0
// Task: what a model is for: how its samples are read, and how its outputs are scored against their labels.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/data/labels.h"
#include "optimizer/data/picture.h"
#include "optimizer/detector/evaluate.h"
#include "optimizer/heads/head.h"
#include "optimizer/ir/graph.h"
#include "optimizer/ir/interpreter.h"
#include "optimizer/report/pairs.h"
#include "optimizer/report/text.h"

namespace wayside::optimizer {

/// classify: rows of a .csv file "number,..,label" (a first line without numbers is skipped); label:
/// number of the right output; where the network takes a picture also a folder with a folder of pictures for each class
/// (in the order of their names), or, without labels, of pictures, or an .mjpeg video. detect: pictures with YOLO
/// labels (or an .mjpeg video for calibration), outputs as the head says. text: pictures whose names (to the last dot)
/// are what they say, one output of scores for each step, read by CTC.
/// embedding: pictures, or pairs of them (read_pairs(), the pictures beside the file); the output is compared by its
/// cosine.
enum class TaskKind : std::uint8_t { classify, detect, text, embedding };

struct TaskSpec {
  TaskKind kind = TaskKind::classify;
  bool bgr = true;  ///< order of a picture's channels; values are 0..255
  HeadSpec head{};  ///< detect
  /// detect: classes of the network, and of the labels, to those that are judged; others are dropped. Empty: all, as
  /// they are.
  ClassMap classes{};
  std::filesystem::path charset{};  ///< text: see Charset
  double threshold = 0.5;           ///< embedding: from this cosine on two pictures show the same
  std::size_t limit = 100'000;      ///< at most so many samples, evenly spaced
};

struct TaskSample {
  ir::Values input;
  std::vector<LabelBox> boxes;  ///< px of the network's input
  int label = -1;
  std::vector<int> text{};           ///< classes of the charset
  std::vector<PicturePair> pairs{};  ///< those whose `a` is this sample; `b` is another's place in the set
};

/// Detections from this score on are what a device would report.
inline constexpr float kStatedScore = 0.4F;

class Task {
 public:
  /// `graph`: the imported network. Errors: unsupported (input or outputs that do not fit the task), io, corrupt.
  static base::Result<Task> create(const TaskSpec& spec, const ir::Graph& graph);
  /// Errors: not_found, corrupt, unsupported; each names the file.
  [[nodiscard]] base::Result<std::vector<TaskSample>> load(const std::filesystem::path& path) const;

  using Run = std::function<base::Result<std::vector<ir::Values>>(const ir::Values&)>;
  /// 0..1: share of right answers, mean AP50 of the classes that occur (those of some class only: AP50), share of texts
  /// without a mistake, or of pairs that are told right.
  [[nodiscard]] base::Result<double> score(const Run& run, const std::vector<TaskSample>& samples) const;
  /// Labels the samples with what `run` answers (boxes: from kStatedScore on), so that score() then tells how often
  /// another network answers alike. Error: unsupported (embedding: pairs are what is judged there).
  [[nodiscard]] base::Result<void> label_by(const Run& run, std::vector<TaskSample>& samples) const;
  [[nodiscard]] std::string metric() const;
  /// Fixed for pictures (0..255 as they are); scale 0: from the calibration.
  [[nodiscard]] TensorQuantization input_quantization() const;
  /// Of a picture; 1 for rows.
  [[nodiscard]] std::size_t channels() const { return input_.size() == 4 ? static_cast<std::size_t>(input_[3]) : 1; }

 private:
  [[nodiscard]] bool takes_pictures() const;
  [[nodiscard]] base::Result<std::vector<TaskSample>> load_classes(const std::filesystem::path& path) const;
  [[nodiscard]] base::Result<std::vector<TaskSample>> load_texts(const std::filesystem::path& path) const;
  [[nodiscard]] base::Result<std::vector<TaskSample>> load_paired(const std::filesystem::path& path) const;
  [[nodiscard]] base::Result<double> score_pairs(const Run& run, const std::vector<TaskSample>& samples) const;
  [[nodiscard]] base::Result<std::vector<TaskSample>> load_boxes(const std::filesystem::path& path) const;
  [[nodiscard]] base::Result<double> score_boxes(const Run& run, const std::vector<TaskSample>& samples) const;
  [[nodiscard]] base::Result<void> use_head(const ir::Graph& graph);
  /// From kLeastScore on, of the classes that are judged, after suppression.
  [[nodiscard]] std::vector<Detection> boxes_of(const std::vector<ir::Values>& outputs) const;
  [[nodiscard]] TaskSample from_picture(const Picture& picture, const std::vector<LabelBox>& boxes) const;

  TaskSpec spec_;
  ir::Shape input_;
  std::optional<Head> head_;
  int class_count_ = 0;  ///< of the classes that are judged
  std::optional<Charset> charset_;
  TextLayout layout_;
};

/// How far apart two sample sets lie: of the means of each channel and of the contrast (deviation of all values) of the
/// samples, the largest difference in pooled standard deviations (Cohen's d). Above kMostDistance the sets are of
/// different kinds.
inline constexpr double kMostDistance = 3;
[[nodiscard]] double domain_distance(const std::vector<TaskSample>& a, const std::vector<TaskSample>& b,
                                     std::size_t channels);

}  // namespace wayside::optimizer
