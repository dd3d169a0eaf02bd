// SPDX-License-Identifier: Apache-2.0
// GMAC/s of each kernel level on the layer shapes of real networks, beside the measured peak of its dot product.
// kernel_bench --benchmark_filter=avx_vnni/mbv2  --benchmark_min_time=0.05s
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <format>
#include <random>
#include <string_view>

#include "accel/cpu/kernels/kernel_list.h"
#include "accel/cpu/kernels/spec_math.h"
#include "accel/cpu/thread_pool.h"
#include "tests/accel/kernels/conv_cases.h"

namespace wayside::accel::cpu {
namespace {

/// A square layer with SAME padding. kernel > 0: regular; kernel < 0: depthwise.
struct Layer {
  std::string_view net;
  std::int32_t size, in_c, out_c, kernel, stride;
  bool is_unsigned = false;
  bool rectified = true;
};

// Sources: MobileNetV1 (arXiv 1704.04861, table 1), MobileNetV2 (arXiv 1801.04381, table 2), mlcommons/tiny's vww_96
// (MobileNetV1 0.25, 96x96) and resnet8 (CIFAR-10), ResNet50 (arXiv 1512.03385) and YOLOv8n at 320x320.
constexpr std::array kLayers{
    Layer{"mbv2", 224, 3, 32, 3, 2},
    Layer{"mbv2", 112, 32, 32, -3, 1},
    Layer{"mbv2", 112, 32, 16, 1, 1, false, false},
    Layer{"mbv2", 112, 16, 96, 1, 1},
    Layer{"mbv2", 112, 96, 96, -3, 2},
    Layer{"mbv2", 56, 96, 24, 1, 1, false, false},
    Layer{"mbv2", 56, 24, 144, 1, 1},
    Layer{"mbv2", 56, 144, 144, -3, 1},
    Layer{"mbv2", 56, 144, 24, 1, 1, false, false},
    Layer{"mbv2", 56, 144, 144, -3, 2},
    Layer{"mbv2", 28, 144, 32, 1, 1, false, false},
    Layer{"mbv2", 28, 32, 192, 1, 1},
    Layer{"mbv2", 28, 192, 192, -3, 1},
    Layer{"mbv2", 28, 192, 32, 1, 1, false, false},
    Layer{"mbv2", 14, 64, 384, 1, 1},
    Layer{"mbv2", 14, 384, 384, -3, 1},
    Layer{"mbv2", 14, 384, 64, 1, 1, false, false},
    Layer{"mbv2", 14, 576, 96, 1, 1, false, false},
    Layer{"mbv2", 14, 576, 576, -3, 1},
    Layer{"mbv2", 7, 160, 960, 1, 1},
    Layer{"mbv2", 7, 960, 960, -3, 1},
    Layer{"mbv2", 7, 960, 160, 1, 1, false, false},
    Layer{"mbv2", 7, 320, 1280, 1, 1},
    Layer{"mbv2", 1, 1280, 1001, 1, 1, false, false},
    Layer{"mbv1_u8", 224, 3, 32, 3, 2, true},
    Layer{"mbv1_u8", 112, 32, 32, -3, 1, true},
    Layer{"mbv1_u8", 112, 32, 64, 1, 1, true},
    Layer{"mbv1_u8", 56, 128, 128, 1, 1, true},
    Layer{"mbv1_u8", 28, 256, 256, -3, 1, true},
    Layer{"mbv1_u8", 14, 512, 512, 1, 1, true},
    Layer{"mbv1_u8", 14, 512, 512, -3, 1, true},
    Layer{"mbv1_u8", 7, 1024, 1024, 1, 1, true},
    Layer{"vww", 96, 3, 8, 3, 2},
    Layer{"vww", 48, 8, 8, -3, 1},
    Layer{"vww", 48, 8, 16, 1, 1},
    Layer{"vww", 48, 16, 16, -3, 2},
    Layer{"vww", 24, 16, 32, 1, 1},
    Layer{"vww", 24, 32, 32, -3, 1},
    Layer{"vww", 24, 32, 32, 1, 1},
    Layer{"vww", 12, 64, 64, 1, 1},
    Layer{"vww", 6, 128, 128, -3, 1},
    Layer{"vww", 6, 128, 128, 1, 1},
    Layer{"vww", 3, 256, 256, 1, 1},
    Layer{"resnet8", 32, 3, 16, 3, 1},
    Layer{"resnet8", 32, 16, 16, 3, 1},
    Layer{"resnet8", 32, 16, 32, 3, 2},
    Layer{"resnet8", 16, 32, 32, 3, 1},
    Layer{"resnet8", 8, 64, 64, 3, 1},
    Layer{"yolov8n", 320, 3, 16, 3, 2},
    Layer{"yolov8n", 160, 16, 32, 3, 2},
    Layer{"yolov8n", 80, 16, 16, 3, 1},
    Layer{"yolov8n", 40, 64, 64, 3, 1},
    Layer{"yolov8n", 20, 128, 128, 3, 1},
    Layer{"resnet50", 56, 64, 64, 3, 1},
    Layer{"resnet50", 14, 256, 256, 3, 1},
    Layer{"resnet50", 7, 512, 512, 3, 1},
    Layer{"resnet50", 14, 1024, 256, 1, 1},
};

ConvSpec spec_of(const Layer& layer) {
  ConvSpec s{.in_h = layer.size, .in_w = layer.size, .in_c = layer.in_c, .out_c = layer.out_c};
  s.depthwise = layer.kernel < 0;
  s.kernel_h = s.kernel_w = std::abs(layer.kernel);
  s.stride_h = s.stride_w = layer.stride;
  s.out_h = s.out_w = (layer.size + layer.stride - 1) / layer.stride;
  s.pad_top = s.pad_left = std::max(0, ((s.out_h - 1) * layer.stride) + s.kernel_h - layer.size) / 2;
  s.is_unsigned = layer.is_unsigned;
  return s;
}

/// Counters: the least time of a step, which is what a shared machine lets one compare, and the rate that follows.
template <class Step>
void run_timed(benchmark::State& state, double mac_count, Step step) {
  using Clock = std::chrono::steady_clock;
  auto least = Clock::duration::max();
  for (auto iteration : state) {
    const auto start = Clock::now();
    step();
    least = std::min(least, Clock::now() - start);
  }
  const double least_ns = std::chrono::duration<double, std::nano>(least).count();
  state.counters["min_us"] = least_ns / 1e3;
  state.counters["GMAC/s"] = mac_count / least_ns;
}

void run_layer(benchmark::State& state, const Layer& layer, Level level, unsigned thread_count) {
  std::mt19937 random(1);
  const ConvCase one = make_case(spec_of(layer), {.rectified = layer.rectified}, random);
  const auto kernel = make_conv(one.spec, level);
  ThreadPool pool(thread_count);
  const AlignedBytes scratch(kernel->scratch_bytes(thread_count));
  std::vector<std::uint8_t> out(one.out_bytes());
  run_timed(state, one.mac_count(), [&] { kernel->run(one.input.data(), out.data(), scratch.data(), pool); });
}

/// A product whose operands stay in the nearest cache: the dot product's own limit.
constexpr int kPeakRepeats = 20;
void run_peak(benchmark::State& state, Level level) {
  std::mt19937 random(1);
  const ConvCase one = make_case({.in_w = 6, .in_c = 1024, .out_w = 6, .out_c = 16}, {}, random);
  const auto kernel = make_conv(one.spec, level);
  ThreadPool pool(1);
  const AlignedBytes scratch(kernel->scratch_bytes(1));
  std::vector<std::uint8_t> out(one.out_bytes());
  run_timed(state, one.mac_count() * kPeakRepeats, [&] {
    for (int i = 0; i < kPeakRepeats; ++i) kernel->run(one.input.data(), out.data(), scratch.data(), pool);
  });
}

void register_level(Level level) {
  benchmark::RegisterBenchmark(std::format("{}/peak", to_string(level)),
                               [level](benchmark::State& state) { run_peak(state, level); });
  for (const unsigned thread_count : {1U, 2U}) {
    for (const auto& layer : kLayers) {
      const auto name = std::format("{}/{}/{}{}_{}x{}x{}-{}_s{}/threads:{}", to_string(level), layer.net,
                                    layer.kernel < 0 ? "dw" : "conv", std::abs(layer.kernel), layer.size, layer.size,
                                    layer.in_c, layer.out_c, layer.stride, thread_count);
      benchmark::RegisterBenchmark(name, [&layer, level, thread_count](benchmark::State& state) {
        run_layer(state, layer, level, thread_count);
      })->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace wayside::accel::cpu

int main(int argc, char** argv) {
  using namespace wayside::accel::cpu;
  for (const Level level : {Level::avx2, Level::avx_vnni, Level::avx256_vnni, Level::avx512_vnni, Level::amx,
                            Level::neon, Level::neon_dot, Level::neon_i8mm}) {
    if (level_supported(level)) register_level(level);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
