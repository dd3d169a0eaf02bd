// SPDX-License-Identifier: Apache-2.0
// Loading, golden set, bench.
#include "agent/ota/session_gate.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace wayside::agent {
namespace {

using ota::Step;

std::size_t total_bytes(std::span<const accel::TensorInfo> tensors) {
  std::size_t total = 0;
  for (const auto& tensor : tensors) total += tensor.byte_count();
  return total;
}

std::optional<ota::ElementType> common_type(std::span<const accel::TensorInfo> outputs) {
  if (outputs.empty()) return std::nullopt;
  const auto type = outputs.front().type;
  if (!std::ranges::all_of(outputs, [&](const auto& output) { return output.type == type; })) return std::nullopt;
  switch (type) {
    case accel::DType::i8: return ota::ElementType::int8;
    case accel::DType::u8: return ota::ElementType::uint8;
    case accel::DType::f32: return ota::ElementType::float32;
    default: return std::nullopt;
  }
}

/// One inference between plain bytes.
base::Result<void> infer(accel::Session& session, std::span<const std::byte> input, std::span<std::byte> output) {
  for (std::size_t i = 0; i < session.inputs().size(); ++i) {
    const auto target = session.input(i);
    std::ranges::copy(input.first(target.size()), target.begin());
    input = input.subspan(target.size());
  }
  WAYSIDE_CHECK(session.run());
  for (std::size_t i = 0; i < session.outputs().size(); ++i) {
    const auto source = session.output(i);
    std::ranges::copy(source, output.begin());
    output = output.subspan(source.size());
  }
  return {};
}

base::Result<ota::Measured> measure(accel::Session& session, unsigned runs, const base::Clock& clock) {
  ota::Measured measured{.ram_bytes = session.info().arena_bytes + session.info().weight_bytes};
  if (runs == 0) return measured;
  std::vector<std::uint64_t> times_us;
  WAYSIDE_CHECK(session.run());
  for (unsigned i = 0; i < runs; ++i) {
    const auto start = clock.now();
    WAYSIDE_CHECK(session.run());
    times_us.push_back(static_cast<std::uint64_t>((clock.now() - start) / std::chrono::microseconds(1)));
  }
  std::ranges::sort(times_us);
  measured.p50_us = times_us[times_us.size() / 2];
  measured.p99_us = times_us[times_us.size() * 99 / 100];
  return measured;
}

}  // namespace

SessionGateReport test_model(accel::Accelerator& accelerator, const ota::BlobStore& store, const ota::Task& task,
                             const SessionGateOptions& options, const base::Clock& clock) {
  const auto refused = [](const std::string& why) { return SessionGateReport{Step::model_failed(why), {}}; };
  const auto file = options.store_root / ota::BlobStore::blob_path(task.variant.file);
  const auto session = accelerator.load(file, {.thread_count = options.thread_count});
  if (!session) return refused("does not load: " + session.error().message);
  const auto type = common_type((*session)->outputs());
  if (!type) return refused("its outputs have no common type of int8, uint8, float32");
  const auto difference = ota::run_golden(store, task.manifest.golden_of(task.variant),
                                          total_bytes((*session)->inputs()), total_bytes((*session)->outputs()), *type,
                                          [&](auto input, auto output) { return infer(**session, input, output); });
  if (!difference) {
    const bool medium = difference.error().code == base::Code::io || difference.error().code == base::Code::not_found;
    return {medium ? Step::failed(difference.error().message) : Step::model_failed(difference.error().message), {}};
  }
  if (!difference->empty()) return refused(*difference);
  SessionGateReport report;
  for (unsigned round = 0; round < std::max(options.bench_rounds, 1U); ++round) {
    const auto measured = measure(**session, options.bench_runs, clock);
    if (!measured) return refused(measured.error().message);
    const auto over = ota::judge(*measured, task.variant.limits);
    report = {over.empty() ? Step::done() : Step::model_failed(over), *measured};
    if (over.empty()) break;
  }
  return report;
}

}  // namespace wayside::agent
