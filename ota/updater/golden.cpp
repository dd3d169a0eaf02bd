// SPDX-License-Identifier: Apache-2.0
// Comparing tensors and figures.
#include "ota/updater/golden.h"

#include <cmath>
#include <cstring>
#include <format>
#include <limits>

namespace wayside::ota {
namespace {

double difference(const std::byte* expected, const std::byte* actual, ElementType type) {
  switch (type) {
    case ElementType::int8: {
      const auto signed_of = [](std::byte byte) { return static_cast<int>(std::to_integer<std::int8_t>(byte)); };
      return std::abs(signed_of(*expected) - signed_of(*actual));
    }
    case ElementType::uint8: return std::abs(std::to_integer<int>(*expected) - std::to_integer<int>(*actual));
    case ElementType::float32: {
      float a = 0;
      float b = 0;
      std::memcpy(&a, expected, sizeof a);
      std::memcpy(&b, actual, sizeof b);
      const double off = std::abs(static_cast<double>(a) - static_cast<double>(b)) * 1000.0;
      return std::isnan(off) ? std::numeric_limits<double>::infinity() : off;
    }
  }
  return std::numeric_limits<double>::infinity();
}

std::string over(std::string_view name, std::uint64_t measured, std::uint64_t limit, std::string_view unit) {
  if (limit == 0 || measured <= limit) return {};
  return std::format("{} {} {} > {} {}", name, measured, unit, limit, unit);
}

}  // namespace

base::Result<void> compare(std::span<const std::byte> expected, std::span<const std::byte> actual, ElementType type,
                           GoldenVerdict& verdict) {
  const std::size_t step = type == ElementType::float32 ? sizeof(float) : 1;
  if (expected.size() != actual.size() || expected.size() % step != 0) {
    return base::fail(base::Code::invalid_argument, "golden: the output has another size than the model's");
  }
  for (std::size_t i = 0; i < expected.size(); i += step, ++verdict.elements) {
    const double off = difference(&expected[i], &actual[i], type);
    verdict.max_abs = std::max(verdict.max_abs, off);
    verdict.sum_abs += off;
  }
  return {};
}

std::string judge(const GoldenVerdict& verdict, const Golden& golden) {
  if (verdict.elements == 0) return "golden: nothing was compared";
  if (verdict.max_abs > golden.max_abs) {
    return std::format("golden: an output is off by {:.0f} steps, {} are allowed", verdict.max_abs, golden.max_abs);
  }
  if (verdict.mean_abs() * 1000.0 > golden.mean_abs_milli) {
    return std::format("golden: outputs are off by {:.3f} steps on average, {:.3f} are allowed", verdict.mean_abs(),
                       golden.mean_abs_milli / 1000.0);
  }
  return {};
}

base::Result<std::string> run_golden(const BlobStore& store, const Golden& golden, std::size_t input_bytes,
                                     std::size_t output_bytes, ElementType type, const Infer& infer) {
  WAYSIDE_TRY(const auto have_inputs, store.size_bytes(golden.inputs));
  WAYSIDE_TRY(const auto have_outputs, store.size_bytes(golden.outputs));
  if (have_inputs != std::uint64_t{golden.count} * input_bytes ||
      have_outputs != std::uint64_t{golden.count} * output_bytes) {
    return base::fail(base::Code::corrupt, "golden: the files do not fit the model's tensors; make the package again");
  }
  std::vector<std::byte> input(input_bytes), expected(output_bytes), actual(output_bytes);
  GoldenVerdict verdict;
  for (std::uint64_t i = 0; i < golden.count; ++i) {
    WAYSIDE_CHECK(store.read_at(golden.inputs, i * input_bytes, input));
    WAYSIDE_CHECK(store.read_at(golden.outputs, i * output_bytes, expected));
    WAYSIDE_CHECK(infer(input, actual));
    WAYSIDE_CHECK(compare(expected, actual, type, verdict));
  }
  return judge(verdict, golden);
}

std::string judge(const Measured& measured, const Limits& limits) {
  for (auto& line :
       {over("p50", measured.p50_us, limits.p50_us, "us"), over("p99", measured.p99_us, limits.p99_us, "us"),
        over("memory", measured.ram_bytes, limits.ram_bytes, "bytes"),
        over("power", measured.power_mw, limits.power_mw, "mW")}) {
    if (!line.empty()) return line;
  }
  return {};
}

}  // namespace wayside::ota
