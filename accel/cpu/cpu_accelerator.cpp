// SPDX-License-Identifier: Apache-2.0
// Opens the file, hands its bytes to CpuSession.
#include "accel/cpu/cpu_accelerator.h"

#include <format>
#include <optional>

#include "accel/cpu/core_choice.h"
#include "accel/cpu/kernels/kernels.h"
#include "accel/cpu/packed_cache.h"
#include "accel/cpu/thread_pool.h"
#include "base/log.h"
#include "base/mapped_file.h"

namespace wayside::accel {
namespace cpu {

namespace {

std::optional<PackedCache> open_cache(const std::filesystem::path& directory) {
  if (directory.empty()) return std::nullopt;
  auto cache = PackedCache::open(directory);
  if (cache) return std::move(*cache);
  base::log_warn("event=packed_weights_off reason=\"{}\"", cache.error().message);
  return std::nullopt;
}

}  // namespace

base::Result<std::unique_ptr<CpuSession>> load_cpu_session(const std::filesystem::path& model,
                                                           const SessionOptions& options,
                                                           const std::filesystem::path& packed_dir) {
  const auto attempt = [&]() -> base::Result<std::unique_ptr<CpuSession>> {
    WAYSIDE_TRY(const auto file, base::MappedFile::open(model));
    auto cache = open_cache(packed_dir);
    LoadSources sources{.file = &file};
    if (cache) sources.packed = cache->find(model, file, best_level());
    std::vector<PackedNode> to_keep;
    if (cache && sources.packed == nullptr) sources.to_keep = &to_keep;
    WAYSIDE_TRY(auto session, CpuSession::create(file.bytes(), options, best_level(), sources));
    if (sources.to_keep != nullptr) {
      auto kept = cache->keep(model, file, best_level(), to_keep);
      if (!kept) base::log_warn("event=packed_weights_not_kept reason=\"{}\"", kept.error().message);
    }
    return session;
  };
  auto session = attempt();
  if (!session) return std::unexpected(session.error().context(std::format("model {}", model.string())));
  return session;
}

namespace {

class CpuAccelerator final : public Accelerator {
 public:
  explicit CpuAccelerator(std::filesystem::path packed_dir) : packed_dir_(std::move(packed_dir)) {}
  [[nodiscard]] std::string_view name() const override { return "cpu-int8"; }
  [[nodiscard]] std::string describe() const override {
    return std::format("CPU INT8 engine, {}", to_string(best_level()));
  }
  base::Result<std::unique_ptr<Session>> load(const std::filesystem::path& model,
                                              const SessionOptions& options) override {
    WAYSIDE_TRY(auto session, load_cpu_session(model, options, packed_dir_));
    return session;
  }

 private:
  std::filesystem::path packed_dir_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Accelerator> make_cpu_accelerator(std::filesystem::path packed_dir) {
  return std::make_unique<cpu::CpuAccelerator>(std::move(packed_dir));
}

std::shared_ptr<cpu::ThreadPool> make_cpu_threads(const SessionOptions& options) {
  cpu::ThreadPoolOptions wanted{.thread_count = options.thread_count, .spin = options.spin};
  if (options.cores != CoreChoice::any) {
    wanted.cores = cpu::allowed(cpu::choose_cores(cpu::read_cores("/sys"), options.cores));
  }
  return std::make_shared<cpu::ThreadPool>(wanted);
}

}  // namespace wayside::accel
