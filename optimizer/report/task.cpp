// SPDX-License-Identifier: Apache-2.0
// Reading samples and scoring outputs.
#include "optimizer/report/task.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <format>
#include <ranges>
#include <string_view>
#include <system_error>
#include <utility>

#include "optimizer/data/dataset.h"
#include "optimizer/data/lines.h"
#include "optimizer/data/mjpeg.h"
#include "optimizer/data/picture.h"

namespace wayside::optimizer {
namespace {

using base::Code;
using base::fail;
using base::Result;

/// The numbers of one line; empty when a field is none.
std::vector<float> parse_row(std::string_view line) {
  std::vector<float> out;
  while (!line.empty()) {
    const auto comma = line.find(',');
    std::string_view field = line.substr(0, comma);
    while (!field.empty() && (field.back() == ' ' || field.back() == '\r')) field.remove_suffix(1);
    while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
    float value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size() || !std::isfinite(value)) return {};
    out.push_back(value);
    line = comma == std::string_view::npos ? std::string_view() : line.substr(comma + 1);
  }
  return out;
}

Result<std::vector<TaskSample>> load_rows(const std::filesystem::path& path, std::size_t values) {
  WAYSIDE_TRY(const auto bytes, read_bytes(path));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<TaskSample> samples;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto row = parse_row(take_line(text));
    if (row.empty() && number == 1) continue;
    if (row.size() != values + 1)
      return fail(Code::corrupt,
                  std::format("{}: line {} has not {} numbers and a label", path.string(), number, values));
    samples.push_back({.input = {row.begin(), row.end() - 1}, .boxes = {}, .label = static_cast<int>(row.back())});
  }
  return samples;
}

int best_class(const ir::Values& scores) { return static_cast<int>(std::ranges::max_element(scores) - scores.begin()); }

std::vector<TaskSample> thinned(std::vector<TaskSample> samples, std::size_t limit) {
  if (samples.size() <= limit) return samples;
  std::vector<TaskSample> out;
  for (std::size_t i = 0; i < limit; ++i) out.push_back(std::move(samples[i * samples.size() / limit]));
  return out;
}

}  // namespace

Result<Task> Task::create(const TaskSpec& spec, const ir::Graph& graph) {
  Task task;
  task.spec_ = spec;
  if (graph.inputs.size() != 1) return fail(Code::unsupported, "the model has several inputs; supported is one");
  task.input_ = graph.tensors[graph.inputs[0]].shape;
  if (spec.kind == TaskKind::classify) return task;
  if (spec.kind == TaskKind::detect) {
    WAYSIDE_CHECK(task.use_head(graph));
    return task;
  }
  const bool is_text = spec.kind == TaskKind::text;
  if (!task.takes_pictures() || graph.outputs.size() != 1)
    return fail(Code::unsupported, std::format("{} has a picture of 3 channels as input, and one output",
                                               is_text ? "a text recogniser" : "an embedding"));
  if (!is_text) return task;
  WAYSIDE_TRY(task.charset_, Charset::read(spec.charset));
  WAYSIDE_TRY(task.layout_, text_layout(graph.tensors[graph.outputs[0]].shape, task.charset_->size()));
  return task;
}

Result<void> Task::use_head(const ir::Graph& graph) {
  WAYSIDE_TRY(head_, make_head(spec_.head, graph));
  class_count_ = spec_.classes.empty() ? head_->class_count : 0;
  for (const auto& [from, to] : spec_.classes) {
    if (from < 0 || from >= head_->class_count || to < 0 || to >= head_->class_count)
      return fail(Code::invalid_argument,
                  std::format("class {}={}: the network has the classes 0 to {}", from, to, head_->class_count - 1));
    class_count_ = std::max(class_count_, to + 1);
  }
  return {};
}

bool Task::takes_pictures() const { return input_.size() == 4 && input_[3] == 3; }

TensorQuantization Task::input_quantization() const {
  return takes_pictures() ? TensorQuantization{1, -128} : TensorQuantization{0, 0};
}

/// As the head's networks were trained; those without a head get the picture stretched.
TaskSample Task::from_picture(const Picture& picture, const std::vector<LabelBox>& boxes) const {
  const int width_px = input_[2], height_px = input_[1];
  const auto real = [](int px) { return static_cast<double>(px); };
  const PictureFit fit = head_ ? picture_fit(spec_.head.kind) : PictureFit{};
  double fx = real(width_px) / real(picture.width_px), fy = real(height_px) / real(picture.height_px);
  if (fit.letterbox) fx = fy = std::min(fx, fy);
  Picture small = picture;
  const auto step_x = [&] { return real(small.width_px) / real(picture.width_px) / fx; };
  const auto step_y = [&] { return real(small.height_px) / real(picture.height_px) / fy; };
  while (step_x() >= 2 && step_y() >= 2) small = halve(small);
  Picture fitted(width_px, height_px);
  std::ranges::fill(fitted.rgb, fit.pad);
  const int used_width_px = std::min(width_px, static_cast<int>(std::lround(fx * real(picture.width_px)))),
            used_height_px = std::min(height_px, static_cast<int>(std::lround(fy * real(picture.height_px))));
  resample(small, {.x0_px = 0, .y0_px = 0, .step_x = step_x(), .step_y = step_y()},
           {0, 0, used_width_px, used_height_px}, fit.pad, fitted);
  TaskSample sample;
  sample.input.assign(fitted.rgb.begin(), fitted.rgb.end());
  for (std::size_t i = 0; spec_.bgr && i + 2 < sample.input.size(); i += 3)
    std::swap(sample.input[i], sample.input[i + 2]);
  const auto sx = static_cast<float>(fx), sy = static_cast<float>(fy);
  for (const auto& box : boxes)
    sample.boxes.push_back({box.x0 * sx, box.y0 * sy, box.x1 * sx, box.y1 * sy, box.class_id});
  return sample;
}

Result<std::vector<TaskSample>> Task::load_boxes(const std::filesystem::path& path) const {
  WAYSIDE_TRY(const auto folder,
              load_folder({.folder = path, .classes = spec_.classes, .keep_width_px = 1 << 14, .limit = spec_.limit}));
  std::vector<TaskSample> samples;
  for (const auto& one : folder.samples) samples.push_back(from_picture(one.picture, one.boxes));
  return samples;
}

Result<std::vector<TaskSample>> Task::load_classes(const std::filesystem::path& path) const {
  std::vector<std::filesystem::path> folders;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  if (error) return fail(Code::not_found, std::format("{}: {}", path.string(), error.message()));
  std::ranges::sort(folders);
  const bool labelled = !folders.empty();
  if (!labelled) folders.push_back(path);
  std::vector<TaskSample> samples;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    WAYSIDE_TRY(const auto folder,
                load_folder({.folder = folders[i], .classes = {}, .keep_width_px = 1 << 14, .limit = spec_.limit}));
    for (const auto& one : folder.samples) {
      samples.push_back(from_picture(one.picture, {}));
      if (labelled) samples.back().label = static_cast<int>(i);
    }
  }
  return samples;
}

Result<std::vector<TaskSample>> Task::load_texts(const std::filesystem::path& path) const {
  WAYSIDE_TRY(const auto folder,
              load_folder({.folder = path, .classes = {}, .keep_width_px = 1 << 14, .limit = spec_.limit}));
  std::vector<TaskSample> samples;
  for (const auto& one : folder.samples) {
    samples.push_back(from_picture(one.picture, {}));
    auto text = charset_->encode(std::filesystem::path(one.name).stem().string());
    if (!text) return std::unexpected(std::move(text.error().context((path / one.name).string())));
    samples.back().text = std::move(*text);
  }
  return samples;
}

Result<std::vector<TaskSample>> Task::load_paired(const std::filesystem::path& path) const {
  WAYSIDE_TRY(const auto list, read_pairs(path));
  std::vector<TaskSample> samples;
  for (const auto& name : list.files) {
    WAYSIDE_TRY(const auto picture, read_picture(path.parent_path() / name));
    samples.push_back(from_picture(picture, {}));
  }
  for (const auto& pair : list.pairs) samples[pair.a].pairs.push_back(pair);
  return samples;
}

Result<double> Task::score_pairs(const Run& run, const std::vector<TaskSample>& samples) const {
  if (std::ranges::all_of(samples, [](const TaskSample& sample) { return sample.pairs.empty(); }))
    return fail(Code::invalid_argument, "the evaluation has no pairs; give a .csv of FILE,FILE,1 and FILE,FILE,0");
  std::vector<ir::Values> embeddings;
  for (const auto& sample : samples) {
    WAYSIDE_TRY(auto outputs, run(sample.input));
    embeddings.push_back(std::move(outputs[0]));
  }
  std::size_t right = 0, count = 0;
  for (const auto& sample : samples) {
    for (const auto& pair : sample.pairs)
      right += (cosine(embeddings[pair.a], embeddings[pair.b]) >= spec_.threshold) == pair.same ? 1 : 0;
    count += sample.pairs.size();
  }
  return static_cast<double>(right) / static_cast<double>(count);
}

std::string Task::metric() const {
  if (spec_.kind == TaskKind::embedding) return "pairs told right";
  if (spec_.kind == TaskKind::text) return "exact texts";
  return spec_.kind == TaskKind::classify ? "top-1" : class_count_ == 1 ? "AP50" : "mAP50";
}

Result<std::vector<TaskSample>> Task::load(const std::filesystem::path& path) const {
  std::vector<TaskSample> samples;
  if (spec_.kind == TaskKind::embedding && path.extension() == ".csv") return load_paired(path);
  if (!takes_pictures() || path.extension() == ".csv") {
    WAYSIDE_TRY(samples, load_rows(path, ir::element_count(input_)));
  } else if (spec_.kind == TaskKind::text && path.extension() != ".mjpeg") {
    WAYSIDE_TRY(samples, load_texts(path));
  } else if (spec_.kind == TaskKind::classify && path.extension() != ".mjpeg") {
    WAYSIDE_TRY(samples, load_classes(path));
  } else if (path.extension() == ".mjpeg") {
    WAYSIDE_TRY(const auto bytes, read_bytes(path));
    WAYSIDE_TRY(auto frames, split_mjpeg(bytes));
    const std::size_t count = std::min(frames.size(), spec_.limit);
    for (std::size_t i = 0; i < count; ++i) {
      WAYSIDE_TRY(const auto picture, decode_jpeg(frames[i * frames.size() / count]));
      samples.push_back(from_picture(picture, {}));
    }
  } else {
    WAYSIDE_TRY(samples, load_boxes(path));
  }
  if (samples.empty()) return fail(Code::not_found, std::format("{}: no samples", path.string()));
  return thinned(std::move(samples), spec_.limit);
}

std::vector<Detection> Task::boxes_of(const std::vector<ir::Values>& outputs) const {
  auto found = head_->decode(outputs);
  if (!spec_.classes.empty()) {
    std::erase_if(found, [&](const Detection& one) { return !spec_.classes.contains(one.box.class_id); });
    for (auto& one : found) one.box.class_id = spec_.classes.at(one.box.class_id);
  }
  return suppress(std::move(found), {.score_threshold = kLeastScore, .iou_threshold = head_->iou_threshold});
}

Result<void> Task::label_by(const Run& run, std::vector<TaskSample>& samples) const {
  if (spec_.kind == TaskKind::embedding)
    return fail(Code::unsupported, "--agreement: an embedding is judged by pairs; give a .csv of FILE,FILE,1 and 0");
  for (auto& sample : samples) {
    WAYSIDE_TRY(const auto outputs, run(sample.input));
    if (spec_.kind == TaskKind::classify) {
      sample.label = best_class(outputs[0]);
    } else if (spec_.kind == TaskKind::text) {
      sample.text = read_text(outputs[0], layout_);
    } else {
      sample.boxes.clear();
      for (const auto& found : boxes_of(outputs)) {
        if (found.score >= kStatedScore) sample.boxes.push_back(found.box);
      }
    }
  }
  return {};
}

Result<double> Task::score_boxes(const Run& run, const std::vector<TaskSample>& samples) const {
  if (std::ranges::all_of(samples, [](const TaskSample& sample) { return sample.boxes.empty(); }))
    return fail(Code::invalid_argument, "the evaluation pictures have no labels; put NAME.txt beside each NAME.jpg");
  for (const auto& box : samples | std::views::transform(&TaskSample::boxes) | std::views::join) {
    if (box.class_id >= class_count_)
      return fail(
          Code::invalid_argument,
          std::format("the evaluation has labels of class {}, but the network has the classes 0 to {}; say with "
                      "--classes which count",
                      box.class_id, class_count_ - 1));
  }
  std::vector<Judged> judged;
  for (const auto& sample : samples) {
    WAYSIDE_TRY(const auto outputs, run(sample.input));
    judged.push_back({.found = boxes_of(outputs), .truth = sample.boxes});
  }
  return mean_average_precision(evaluate(judged, class_count_, kStatedScore));
}

Result<double> Task::score(const Run& run, const std::vector<TaskSample>& samples) const {
  if (spec_.kind == TaskKind::embedding) return score_pairs(run, samples);
  if (spec_.kind == TaskKind::detect) return score_boxes(run, samples);
  std::size_t right = 0;
  for (const auto& sample : samples) {
    WAYSIDE_TRY(const auto outputs, run(sample.input));
    if (spec_.kind == TaskKind::text) {
      if (sample.text.empty())
        return fail(Code::invalid_argument, "the evaluation pictures have no texts; name each after what it says");
      right += read_text(outputs[0], layout_) == sample.text ? 1 : 0;
    } else {
      if (sample.label < 0)
        return fail(Code::invalid_argument,
                    "the evaluation pictures have no labels; put those of each class into a folder of their own");
      right += best_class(outputs[0]) == sample.label ? 1 : 0;
    }
  }
  return static_cast<double>(right) / static_cast<double>(samples.size());
}

namespace {

/// Mean of each channel, and the deviation of all values.
std::vector<double> moments_of(const TaskSample& sample, std::size_t channels) {
  std::vector<double> out(channels + 1);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < sample.input.size(); ++i) {
    const auto value = static_cast<double>(sample.input[i]);
    out[i % channels] += value;
    sum += value;
    squares += value * value;
  }
  const auto count = static_cast<double>(sample.input.size());
  for (std::size_t c = 0; c < channels; ++c) out[c] *= static_cast<double>(channels) / count;
  out[channels] = std::sqrt(std::max(squares / count - sum / count * sum / count, 0.0));
  return out;
}

struct Spread {
  std::vector<double> mean, variance;
};
Spread spread_of(const std::vector<TaskSample>& samples, std::size_t channels) {
  Spread out{.mean = std::vector<double>(channels + 1), .variance = std::vector<double>(channels + 1)};
  const auto count = static_cast<double>(samples.size());
  for (const auto& sample : samples) {
    const auto moments = moments_of(sample, channels);
    for (std::size_t i = 0; i <= channels; ++i) {
      out.mean[i] += moments[i] / count;
      out.variance[i] += moments[i] * moments[i] / count;
    }
  }
  for (std::size_t i = 0; i <= channels; ++i)
    out.variance[i] = std::max(out.variance[i] - out.mean[i] * out.mean[i], 0.0);
  return out;
}

}  // namespace

double domain_distance(const std::vector<TaskSample>& a, const std::vector<TaskSample>& b, std::size_t channels) {
  const Spread one = spread_of(a, channels), two = spread_of(b, channels);
  double most = 0;
  for (std::size_t i = 0; i <= channels; ++i) {
    constexpr double kLeastDeviation = 1e-6;
    const double pooled = std::max(std::sqrt((one.variance[i] + two.variance[i]) / 2), kLeastDeviation);
    most = std::max(most, std::abs(one.mean[i] - two.mean[i]) / pooled);
  }
  return most;
}

}  // namespace wayside::optimizer
