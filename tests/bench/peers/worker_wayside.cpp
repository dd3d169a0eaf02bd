// SPDX-License-Identifier: Apache-2.0
// Our own engine behind the benchmark's worker protocol.
#include <algorithm>
#include <format>

#include "accel/accelerator.h"
#include "accel/cpu/cpu_session.h"
#include "tests/bench/peers/worker.h"

namespace {

using wayside::accel::DType;

namespace cpu = wayside::accel::cpu;

/// The least time of each operator.
struct LeastTimes final : cpu::OperatorProfiler {
  std::vector<std::chrono::nanoseconds> times;
  void on_operator(std::size_t number, std::chrono::nanoseconds elapsed) override {
    times[number] = std::min(times[number], elapsed);
  }
};

struct WaysideWorker : Peer {
  /// With a folder in the environment, weights come from a PackedCache: the second start measures loading without
  /// packing.
  static std::string packed_dir() {
    const char* folder = std::getenv("WORKER_PACKED_DIR");
    return folder == nullptr ? "" : folder;
  }
  std::unique_ptr<wayside::accel::Accelerator> cpu = wayside::accel::make_cpu_accelerator(packed_dir());
  std::unique_ptr<wayside::accel::Session> session;

  bool load(const std::string& model, int threads) override {
    auto loaded = cpu->load(model, {.thread_count = static_cast<unsigned>(threads)});
    if (!loaded) {
      fprintf(stderr, "wayside: %s\n", loaded.error().message.c_str());
      return false;
    }
    session = std::move(*loaded);
    fprintf(stderr, "believes: %s\n", cpu->describe().c_str());
    fill();
    return true;
  }
  void fill() {
    for (std::size_t i = 0; i < session->inputs().size(); ++i) {
      const auto bytes = session->input(i);
      const std::uint8_t flip = session->inputs()[i].type == DType::i8 ? 0x80 : 0;
      for (std::size_t k = 0; k < bytes.size(); ++k) {
        bytes[k] = static_cast<std::byte>(input_byte(k, bytes.size()) ^ flip);
      }
    }
  }
  void run() override {
    if (!session->run()) abort();
  }
  /// One line per operator, for a terminal: where the time goes.
  std::string prof() override {
    auto* profiled = dynamic_cast<cpu::CpuSession*>(session.get());
    if (profiled == nullptr) return "none";
    LeastTimes least;
    least.times.assign(profiled->operators().size(), std::chrono::nanoseconds::max());
    profiled->set_profiler(&least);
    constexpr int kRuns = 30;
    for (int i = 0; i < kRuns; ++i) run();
    profiled->set_profiler(nullptr);
    std::string text;
    double total_us = 0;
    for (const auto& op : profiled->operators()) {
      const auto least_time = least.times[static_cast<std::size_t>(&op - profiled->operators().data())];
      if (!op.runs || least_time == std::chrono::nanoseconds::max()) continue;
      const double us = std::chrono::duration<double, std::micro>(least_time).count();
      total_us += us;
      text += std::format("{:>4} {:<20} {:<18} {:<18} {:>9.1f} us {:>6.1f} GMAC/s\n", op.index, op.name,
                          cpu::to_string(op.input_shape), cpu::to_string(op.output_shape), us,
                          static_cast<double>(op.mac_count) / (1e3 * us));
    }
    return text + std::format("total {:.1f} us", total_us);
  }
  std::vector<float> out() override {
    fill();  // a run may use the input's memory for intermediate results
    run();
    std::vector<float> values;
    for (std::size_t i = 0; i < session->outputs().size(); ++i) {
      const auto& info = session->outputs()[i];
      for (const auto byte : session->output(i)) {
        const int raw = info.type == DType::i8 ? static_cast<std::int8_t>(byte) : static_cast<int>(byte);
        values.push_back(static_cast<float>(raw - info.quantization.zero_point) * info.quantization.scale);
      }
    }
    return values;
  }
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  WaysideWorker worker;
  return worker_main(worker, arguments[1], atoi(arguments[2]));
}
