// SPDX-License-Identifier: Apache-2.0
// Accelerator and Session: what every inference back end (CPU INT8, OpenCL, Hailo, RKNN, TensorRT) looks like to the
// agent.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wayside::accel {

enum class DType : std::uint8_t { i8, u8, i16, i32, f32 };
[[nodiscard]] std::size_t size_bytes(DType type);
[[nodiscard]] std::string_view to_string(DType type);

/// real = scale * (quantised - zero_point); scale 0 means "not quantised" (f32, i32 indices).
struct Quantization {
  float scale = 0;
  std::int32_t zero_point = 0;
};

inline constexpr std::size_t kMaxRank = 6;

struct TensorInfo {
  std::string name;
  DType type = DType::i8;
  std::vector<std::int32_t> shape;  ///< e.g. {1,H,W,C}; NHWC for pictures
  Quantization quantization;
  [[nodiscard]] std::size_t element_count() const {
    std::size_t count = 1;
    for (const auto dim : shape) count *= static_cast<std::size_t>(dim);
    return count;
  }
  [[nodiscard]] std::size_t byte_count() const { return element_count() * size_bytes(type); }
};

/// Parameters of a TFLite_Detection_PostProcess tail that was cut off the graph; the agent's decoder runs it.
/// Source: tensorflow/lite/kernels/detection_postprocess.cc.
struct SsdHead {
  std::size_t box_output = 0;    ///< index into Session::outputs(): [1,anchors,4] as (y,x,h,w) deltas
  std::size_t score_output = 0;  ///< [1,anchors,classes+1]; class 0 is background where has_background
  std::vector<float> anchors;    ///< [count,4] as (y_center,x_center,h,w), 0..1
  float y_scale = 10, x_scale = 10, h_scale = 5, w_scale = 5;
  float score_threshold = 0, iou_threshold = 0.6F;
  std::int32_t max_detections = 10, max_classes_per_detection = 1, class_count = 0;
};

/// What a loaded model is: for logs, `wayside check`, and the decoder.
struct ModelInfo {
  std::vector<std::string> cut_ops;  ///< custom tail operators that were cut: the outputs are their inputs
  std::optional<SsdHead> ssd;        ///< present when a TFLite_Detection_PostProcess was among them
  std::uint64_t mac_count = 0;       ///< multiply-accumulates per run
  std::size_t arena_bytes = 0;       ///< activation memory
  std::size_t weight_bytes = 0;      ///< packed weights
};

inline constexpr std::size_t kMaxBatch = 64;

/// One loaded model. Not thread-safe: one caller at a time. run() allocates nothing.
class Session {
 public:
  virtual ~Session() = default;
  [[nodiscard]] virtual std::span<const TensorInfo> inputs() const = 0;
  [[nodiscard]] virtual std::span<const TensorInfo> outputs() const = 0;
  [[nodiscard]] virtual const ModelInfo& info() const = 0;
  /// Writable bytes of an input, 64-byte aligned, inputs()[index].byte_count() long. Contents are undefined after
  /// run().
  [[nodiscard]] virtual std::span<std::byte> input(std::size_t index) = 0;
  /// Bytes of an output; valid until the next run().
  [[nodiscard]] virtual std::span<const std::byte> output(std::size_t index) const = 0;
  virtual base::Result<void> run() = 0;

  /// SessionOptions::max_batch, where the back end has batches.
  [[nodiscard]] virtual std::size_t max_batch() const { return 1; }
  /// From now on inputs and outputs hold `count` items one after the other (`count` times the file's first dimension),
  /// and run() works on all; item i gives the bytes that it gives alone. The first items of the inputs stay. Allocates
  /// nothing. Errors: invalid_argument outside 1..max_batch(); nothing changes then.
  virtual base::Result<void> set_batch(std::size_t count);
};

namespace cpu {
class ThreadPool;
}

/// Where the CPU engine's threads may run. On processors whose cores are all alike, big means one thread per core and
/// little is the same as any.
enum class CoreChoice : std::uint8_t { any, big, little };

struct SessionOptions {
  unsigned thread_count = 1;                      ///< of the CPU engine; 0: one per core
  std::chrono::microseconds spin{50};             ///< see cpu::ThreadPoolOptions; 0 saves power
  CoreChoice cores = CoreChoice::any;             ///< else the caller of run() is moved there too, at its first run
  std::shared_ptr<cpu::ThreadPool> threads = {};  ///< shared with other sessions; replaces the three above
  int priority = 0;           ///< where threads are shared: higher runs go first, also between the layers of others
  std::size_t max_batch = 1;  ///< 1..kMaxBatch: memory is planned for that many items, see Session::set_batch()
  bool split_all = false;     ///< uses all threads for small operators too, where they cost time; for tests
};

/// A back end that is present on this machine.
class Accelerator {
 public:
  virtual ~Accelerator() = default;
  /// Short stable name used in configs and telemetry: "cpu-int8".
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// What was found, for people: "CPU INT8 engine, avx2".
  [[nodiscard]] virtual std::string describe() const = 0;
  /// Loads and fully checks an untrusted model file. Errors: not_found, corrupt, unsupported; each names file, tensor
  /// or op.
  virtual base::Result<std::unique_ptr<Session>> load(const std::filesystem::path& model,
                                                      const SessionOptions& options) = 0;
};

/// The INT8 CPU engine (accel/cpu); always present. With `packed_dir`, a directory of this program's own, models load
/// without packing from the second time on (accel/cpu/packed_cache.h).
std::unique_ptr<Accelerator> make_cpu_accelerator(std::filesystem::path packed_dir = {});
/// Threads for several sessions of the CPU engine: as many work at a time as thread_count says, however many sessions
/// there are; the others wait for their turn. Lives as long as the last that has it.
std::shared_ptr<cpu::ThreadPool> make_cpu_threads(const SessionOptions& options);

}  // namespace wayside::accel
