// SPDX-License-Identifier: Apache-2.0
// See preprocess.h. Row by row of the target: average the cells that are new, blend two rows of cells, sample, convert.
#include "accel/preprocess/preprocess.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <utility>
#include <vector>

#include "accel/preprocess/geometry.h"
#include "accel/preprocess/row_cells.h"
#include "accel/preprocess/row_kernels.h"
#include "accel/preprocess/value_table.h"

namespace wayside::accel {

using namespace preprocess;

namespace {

constexpr std::int64_t kNoRow = -1;

/// One component on its way: its axes, the two newest rows of cells, and their blend.
struct Component {
  Channel channel;
  Axis x, y;
  std::array<std::vector<std::uint8_t>, 2> cells;  ///< row i is in cells[i % 2]
  std::array<std::int64_t, 2> cell_row{kNoRow, kNoRow};
  std::vector<std::int8_t> blended;

  /// Averaging is not needed and the samples lie side by side: the source's row is the row of cells.
  [[nodiscard]] bool direct() const { return channel.step_bytes == 1 && x.factor == 1 && y.factor == 1; }
  [[nodiscard]] const std::uint8_t* source_row(std::uint32_t sample_row) const {
    const std::size_t row = y.first_sample + std::min(sample_row, y.sample_count - 1);
    return channel.data + row * channel.stride_bytes + static_cast<std::size_t>(x.first_sample) * channel.step_bytes;
  }
};

using RowPointers = std::array<const std::uint8_t*, kMaxCellPx>;

std::span<const std::uint8_t* const> rows_of_cell(const Component& part, std::uint32_t cell_row, RowPointers& rows) {
  for (std::uint32_t i = 0; i < part.y.factor; ++i) rows[i] = part.source_row(cell_row * part.y.factor + i);
  return {rows.data(), part.y.factor};
}

/// The last cell of a row when the crop ends inside it.
void average_partial_cell(const Component& part, std::span<const std::uint8_t* const> rows, std::uint8_t* out) {
  const std::uint32_t last = part.x.cell_count - 1, factor = part.x.factor, area = factor * part.y.factor;
  if (part.x.cell_count * factor == part.x.sample_count) return;
  std::uint32_t sum = 0;
  for (const auto* row : rows) {
    for (std::uint32_t i = 0; i < factor; ++i) {
      sum +=
          row[static_cast<std::size_t>(std::min(last * factor + i, part.x.sample_count - 1)) * part.channel.step_bytes];
    }
  }
  out[last] = static_cast<std::uint8_t>((sum + area / 2) / area);
}

void average_any_step(const CellJob& job, std::uint32_t step_bytes, std::uint8_t* out) {
  switch (step_bytes) {
    case 2: return average_cells<2>(job, 0, out);
    case 3: return average_cells<3>(job, 0, out);
    default: return average_cells<4>(job, 0, out);
  }
}

template <class T>
void resize_for(std::vector<T>& row, std::uint32_t tensor_width) {
  // A target pixel spans at most two cells; one more where the crop ends inside a shared chroma sample.
  row.assign(2 * static_cast<std::size_t>(tensor_width) + 2 + kRowSlack, T{0});
}

}  // namespace

struct Preprocessor::State {
  PreprocessSpec spec;
  ValueTable table;
  const RowKernels* kernels = &scalar_row_kernels();
  std::uint32_t width = 0, height = 0;
  std::size_t pixel_bytes = 0;
  std::array<Component, 3> parts;
  std::array<SampleTable, 2> sampling;  ///< own grid, shared chroma's grid
  std::vector<std::uint8_t> values;     ///< one row of picture values on its way to f32
  std::vector<std::byte> pad_row;       ///< one tensor row of letterbox
  bool pad_uniform = false;             ///< all bytes of it are equal

  // The picture that is being worked on.
  Layout layout;
  ConvertJob convert_job;
  std::array<SourceAhead, 6> ahead;  ///< of at most two new rows of cells of each component
  std::size_t ahead_count = 0;
  std::size_t used_parts = 0;
  std::byte* next_out = nullptr;  ///< where the next row goes
  std::uint32_t next_number = 0;  ///< its number

  base::Result<FrameMapping> start(const base::ImageView& image, const CropRect& crop, std::span<std::byte> tensor);
  [[nodiscard]] bool done() const { return next_number == height; }
  /// The last source row that the next row needs; 0 for rows of the letterbox.
  [[nodiscard]] std::uint32_t next_source_row() const;
  void next_row();
  void pad_rows(std::uint32_t count);
  void begin(const Source& source);
  void fill_pair(std::uint32_t row);
  const std::uint8_t* cell_row(Component& part, std::uint32_t row);
  void blend_row(Component& part, std::uint32_t target_row);
  void write_row(const ConvertJob& job, std::byte* out);
};

void Preprocessor::State::begin(const Source& source) {
  const auto& [crop, target, cell_x, cell_y] = layout;
  for (std::size_t c = 0; c < source.channel_count; ++c) {
    auto& part = parts[c];
    part.channel = source.channels[c];
    part.x = make_axis(crop.x_px, crop.width_px, target.width_px, cell_x, part.channel.shared_x);
    part.y = make_axis(crop.y_px, crop.height_px, target.height_px, cell_y, part.channel.shared_y);
    part.cell_row = {kNoRow, kNoRow};
  }
  fill(sampling[0], parts[0].x);
  if (source.channel_count == 3 && parts[1].x.cell_px != parts[0].x.cell_px) fill(sampling[1], parts[1].x);
}

/// Rows of cells of U and V together, where they alternate byte by byte.
void Preprocessor::State::fill_pair(std::uint32_t row) {
  RowPointers pointers;
  const CellJob job{rows_of_cell(parts[1], row, pointers), parts[1].x.factor,
                    parts[1].x.sample_count / parts[1].x.factor, parts[1].channel.stride_bytes * parts[1].y.factor};
  auto* first = parts[1].cells[row % 2].data();
  auto* second = parts[2].cells[row % 2].data();
  kernels->cell_pairs(job, first, second);
  average_partial_cell(parts[1], job.rows, first);
  RowPointers next;
  average_partial_cell(parts[2], rows_of_cell(parts[2], row, next), second);
  parts[1].cell_row[row % 2] = parts[2].cell_row[row % 2] = row;
}

const std::uint8_t* Preprocessor::State::cell_row(Component& part, std::uint32_t row) {
  if (part.direct()) return part.source_row(row);
  auto* out = part.cells[row % 2].data();
  if (part.cell_row[row % 2] == row) return out;
  if (&part != &parts[0] && part.channel.step_bytes == 2) {
    fill_pair(row);
    return out;
  }
  RowPointers pointers;
  const CellJob job{rows_of_cell(part, row, pointers), part.x.factor, part.x.sample_count / part.x.factor,
                    part.channel.stride_bytes * part.y.factor};
  if (part.channel.step_bytes == 1) {
    if (part.y.factor > 1 && ahead_count < ahead.size()) {
      ahead[ahead_count++] = {reinterpret_cast<std::uintptr_t>(job.rows.back()) + 2 * job.next_bytes,
                              part.x.sample_count};
    }
    kernels->cells(job, out);
  } else {
    average_any_step(job, part.channel.step_bytes, out);
  }
  average_partial_cell(part, job.rows, out);
  part.cell_row[row % 2] = row;
  return out;
}

void Preprocessor::State::blend_row(Component& part, std::uint32_t target_row) {
  const std::uint32_t position = sample_position(part.y, target_row);
  const std::uint32_t first = position / kPositionSteps, second = std::min(first + 1, part.y.cell_count - 1);
  const auto* first_cells = cell_row(part, first);
  const auto* second_cells = cell_row(part, second);
  kernels->blend(first_cells, second_cells, position % kPositionSteps, part.x.cell_count, part.blended.data());
  part.blended[part.x.cell_count] = part.blended[part.x.cell_count - 1];
}

/// Samples and converts one row, then looks up where the values are not the tensor's bytes already.
void Preprocessor::State::write_row(const ConvertJob& job, std::byte* out) {
  const std::uint32_t channels = table.channel_count;
  const std::size_t count = static_cast<std::size_t>(job.count) * channels;
  auto* bytes = table.is_float ? values.data() : reinterpret_cast<std::uint8_t*>(out);
  kernels->convert(job, bytes);
  if (table.kind != ValueTable::Kind::table) return;
  const auto& low = table.bytes;
  for (std::size_t i = 0; i < count; i += channels) {
    for (std::size_t c = 0; c < channels; ++c) {
      if (table.is_float) {
        std::memcpy(out + (i + c) * sizeof(float), &table.reals[c][bytes[i + c]], sizeof(float));
      } else {
        bytes[i + c] = low[c][bytes[i + c]];
      }
    }
  }
}

base::Result<Preprocessor> Preprocessor::create(const PreprocessSpec& spec) {
  auto state = std::make_unique<State>();
  WAYSIDE_TRY(state->table, make_value_table(spec));
  state->spec = spec;
  state->height = static_cast<std::uint32_t>(spec.input.shape[1]);
  state->width = static_cast<std::uint32_t>(spec.input.shape[2]);
  const std::size_t channels = state->table.channel_count;
  const std::size_t element_bytes = state->table.is_float ? sizeof(float) : 1;
  state->pixel_bytes = channels * element_bytes;
  if (const auto* fast = vector_row_kernels()) state->kernels = fast;
  for (auto& part : state->parts) {
    for (auto& row : part.cells) resize_for(row, state->width);
    resize_for(part.blended, state->width);
  }
  for (auto& table : state->sampling) reserve(table, state->width);
  state->values.resize(state->width * channels);
  state->pad_row.resize(state->width * state->pixel_bytes);
  for (std::size_t i = 0; i < state->width * channels; ++i) {
    const auto& table = state->table;
    const void* pad = table.is_float ? static_cast<const void*>(&table.reals[i % channels][spec.pad_value])
                                     : &table.bytes[i % channels][spec.pad_value];
    std::memcpy(state->pad_row.data() + i * element_bytes, pad, element_bytes);
  }
  state->pad_uniform = std::ranges::count(state->pad_row, state->pad_row[0]) == std::ssize(state->pad_row);
  return Preprocessor(std::move(state));
}

base::Result<FrameMapping> Preprocessor::State::start(const base::ImageView& image, const CropRect& crop,
                                                      std::span<std::byte> tensor) {
  const std::size_t tensor_bytes = width * pixel_bytes * height;
  if (tensor.size() != tensor_bytes) {
    return base::fail(base::Code::invalid_argument, std::format("input tensor '{}': {} bytes given, {} needed",
                                                                spec.input.name, tensor.size(), tensor_bytes));
  }
  WAYSIDE_TRY(const auto source, describe_source(image));
  WAYSIDE_TRY(layout, plan_layout(image, crop, spec.fit, width, height));
  begin(source);
  convert_job = {.model = source.model,
                 .order = spec.order,
                 .flip = static_cast<std::uint8_t>(table.kind == ValueTable::Kind::flip ? 0x80 : 0),
                 .factors = color_factors(source.range),
                 .count = layout.target.width_px};
  const bool gray = spec.order == ColorOrder::gray;
  used_parts = source.channel_count == 1 || (gray && source.model == ColorModel::yuv) ? 1 : 3;
  for (std::size_t c = 0; c < used_parts; ++c) {
    convert_job.rows[c] = parts[c].blended.data();
    convert_job.tables[c] = &sampling[parts[c].x.cell_px == parts[0].x.cell_px ? 0 : 1];
  }
  next_out = tensor.data();
  next_number = 0;
  return mapping_of(layout);
}

std::uint32_t Preprocessor::State::next_source_row() const {
  const auto& target = layout.target;
  if (next_number < target.y_px || next_number >= target.y_px + target.height_px) return 0;
  const auto& axis = parts[0].y;
  const std::uint32_t last_cell = sample_position(axis, next_number - target.y_px) / kPositionSteps + 1;
  return layout.crop.y_px + std::min((last_cell + 1) * axis.cell_px, axis.crop_px);
}

/// All at once: a large memset need not read the tensor's lines first.
void Preprocessor::State::pad_rows(std::uint32_t count) {
  const std::size_t row_bytes = width * pixel_bytes;
  if (pad_uniform) {
    std::memset(next_out, std::to_integer<int>(pad_row[0]), count * row_bytes);
  } else {
    for (std::uint32_t i = 0; i < count; ++i) std::memcpy(next_out + i * row_bytes, pad_row.data(), row_bytes);
  }
  next_out += count * row_bytes;
  next_number += count;
}

void Preprocessor::State::next_row() {
  const auto& target = layout.target;
  const auto pad = [this](std::byte* to, std::uint32_t pixels) {
    std::memcpy(to, pad_row.data(), pixels * pixel_bytes);
  };
  if (next_number < target.y_px || next_number >= target.y_px + target.height_px) {
    pad_rows((next_number < target.y_px ? target.y_px : height) - next_number);
    return;
  } else {
    ahead_count = 0;
    for (std::size_t c = 0; c < used_parts; ++c) blend_row(parts[c], next_number - target.y_px);
    convert_job.ahead = {ahead.data(), ahead_count};
    const std::uint32_t right = target.x_px + target.width_px;
    pad(next_out, target.x_px);
    write_row(convert_job, next_out + target.x_px * pixel_bytes);
    pad(next_out + right * pixel_bytes, width - right);
  }
  next_out += width * pixel_bytes;
  ++next_number;
}

base::Result<FrameMapping> Preprocessor::run(const base::ImageView& image, const CropRect& crop,
                                             std::span<std::byte> tensor) {
  WAYSIDE_TRY(const auto mapping, state_->start(image, crop, tensor));
  while (!state_->done()) state_->next_row();
  return mapping;
}

base::Result<void> Preprocessor::run_together(const base::ImageView& source, std::span<Job> jobs) {
  for (Job& job : jobs) {
    WAYSIDE_TRY(job.mapping, job.preprocessor->state_->start(source, job.crop, job.tensor));
  }
  const auto before = [](const State& a, const State& b) {
    if (a.done() || b.done()) return b.done() && !a.done();
    return a.next_source_row() < b.next_source_row();
  };
  while (true) {
    State* next = nullptr;
    for (const Job& job : jobs) {
      State& state = *job.preprocessor->state_;
      if (next == nullptr || before(state, *next)) next = &state;
    }
    if (next == nullptr || next->done()) return {};
    next->next_row();
  }
}

std::string_view Preprocessor::level() const { return state_->kernels->name; }

bool Preprocessor::set_level(std::string_view name) {
  for (const auto* kernels : {&scalar_row_kernels(), vector_row_kernels()}) {
    if (kernels != nullptr && kernels->name == name) {
      state_->kernels = kernels;
      return true;
    }
  }
  return false;
}

Preprocessor::Preprocessor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Preprocessor::Preprocessor(Preprocessor&&) noexcept = default;
Preprocessor& Preprocessor::operator=(Preprocessor&&) noexcept = default;
Preprocessor::~Preprocessor() = default;

}  // namespace wayside::accel
