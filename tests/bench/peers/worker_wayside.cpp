// SPDX-License-Identifier: Apache-2.0
// Our own engine behind the benchmark's worker protocol.
#include <algorithm>

#include "accel/accelerator.h"
#include "tests/bench/peers/worker.h"

namespace {

using wayside::accel::DType;

struct WaysideWorker : Peer {
  std::unique_ptr<wayside::accel::Accelerator> cpu = wayside::accel::make_cpu_accelerator();
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
