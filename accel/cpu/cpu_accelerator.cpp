// SPDX-License-Identifier: Apache-2.0
// Opens the file, hands its bytes to CpuSession.
#include "accel/cpu/cpu_accelerator.h"

#include <format>

#include "accel/cpu/core_choice.h"
#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/thread_pool.h"
#include "base/mapped_file.h"

namespace wayside::accel {
namespace cpu {

base::Result<std::unique_ptr<CpuSession>> load_cpu_session(const std::filesystem::path& model,
                                                           const SessionOptions& options) {
  const auto attempt = [&]() -> base::Result<std::unique_ptr<CpuSession>> {
    WAYSIDE_TRY(const auto file, base::MappedFile::open(model));
    return CpuSession::create(file.bytes(), options, best_level(), &file);
  };
  auto session = attempt();
  if (!session) return std::unexpected(session.error().context(std::format("model {}", model.string())));
  return session;
}

namespace {

class CpuAccelerator final : public Accelerator {
 public:
  [[nodiscard]] std::string_view name() const override { return "cpu-int8"; }
  [[nodiscard]] std::string describe() const override {
    return std::format("CPU INT8 engine, {}", to_string(best_level()));
  }
  base::Result<std::unique_ptr<Session>> load(const std::filesystem::path& model,
                                              const SessionOptions& options) override {
    WAYSIDE_TRY(auto session, load_cpu_session(model, options));
    return session;
  }
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Accelerator> make_cpu_accelerator() { return std::make_unique<cpu::CpuAccelerator>(); }

std::shared_ptr<cpu::ThreadPool> make_cpu_threads(const SessionOptions& options) {
  cpu::ThreadPoolOptions wanted{.thread_count = options.thread_count, .spin = options.spin};
  if (options.cores != CoreChoice::any) {
    wanted.cores = cpu::allowed(cpu::choose_cores(cpu::read_cores("/sys"), options.cores));
  }
  return std::make_shared<cpu::ThreadPool>(wanted);
}

}  // namespace wayside::accel
