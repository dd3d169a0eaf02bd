// SPDX-License-Identifier: Apache-2.0
// Emission to a temporary file and timing of the engine's session.
#include "optimizer/tune/latency.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "accel/accelerator.h"
#include "optimizer/passes/passes.h"
#include "optimizer/quantize/scales.h"
#include "optimizer/run_times.h"
#include "optimizer/tflite/writer.h"

namespace wayside::optimizer {
namespace {

/// A file of its own that goes with the object.
class TemporaryFile {
 public:
  static base::Result<TemporaryFile> create() {
    std::string name = (std::filesystem::temp_directory_path() / "wayside-latency-XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    if (fd < 0) return base::fail_errno("temporary file " + name);
    ::close(fd);
    return TemporaryFile(name);
  }
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    std::error_code none;
    if (!path_.empty()) std::filesystem::remove(path_, none);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFile(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

base::Result<QuantizedGraph> with_made_up_ranges(ir::Graph graph) {
  WAYSIDE_CHECK(passes::to_tflite_forms(graph));
  const std::vector<Range> ranges(graph.tensors.size(), {.low = 0, .high = 1});
  return quantize(graph, scales_for(graph, ranges, {.scale = 1.0F / 255, .zero_point = -128}));
}

}  // namespace

base::Result<Latency> measure_on_cpu(const ir::Graph& graph, const LatencyOptions& options) {
  WAYSIDE_TRY(const auto quantized, with_made_up_ranges(graph));
  WAYSIDE_TRY(const auto bytes, write_tflite(quantized, "latency"));
  WAYSIDE_TRY(const auto file, TemporaryFile::create());
  WAYSIDE_CHECK(save_file(file.path(), bytes));
  WAYSIDE_TRY(const auto session,
              accel::make_cpu_accelerator()->load(file.path(), {.thread_count = options.thread_count}));
  RunTimes times, warmup;
  for (std::size_t i = 0; i < options.warmup_runs + std::max<std::size_t>(options.runs, 1); ++i) {
    std::ranges::fill(session->input(0), std::byte{0});
    WAYSIDE_CHECK((i < options.warmup_runs ? warmup : times).run(*session));
  }
  return Latency{.median = times.percentile(0.5),
                 .p99 = times.percentile(0.99),
                 .file_bytes = bytes.size(),
                 .arena_bytes = session->info().arena_bytes};
}

}  // namespace wayside::optimizer
