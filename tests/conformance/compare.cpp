// SPDX-License-Identifier: Apache-2.0
// Compares engine outputs with golden outputs.
#include "tests/conformance/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <format>
#include <string_view>

namespace wayside::conformance {

namespace {

using accel::DType;
using base::Code;
using base::fail;
using base::Result;

double value_at(DType type, const std::uint8_t* bytes, std::size_t index) {
  switch (type) {
    case DType::i8: return static_cast<std::int8_t>(bytes[index]);
    case DType::u8: return bytes[index];
    case DType::f32: {
      float value = 0;
      std::memcpy(&value, bytes + index * sizeof value, sizeof value);
      return static_cast<double>(value);
    }
    case DType::i32: {
      std::int32_t value = 0;
      std::memcpy(&value, bytes + index * sizeof value, sizeof value);
      return value;
    }
    case DType::i16: break;  // no golden output has it
  }
  return std::nan("");
}

double tolerance(DType type, double want) {
  if (type == DType::f32) return kFloatTolerance * std::max(1.0, std::abs(want));
  return type == DType::i32 ? 0 : 1;
}

Result<Tally> compare_output(const accel::TensorInfo& info, std::span<const std::byte> got,
                             const GoldenOutput& wanted) {
  const auto size = accel::size_bytes(info.type);
  const auto step = wanted.sample_step;
  const auto count = wanted.bytes.size() / size;
  if (step == 0 || (got.size() / size + step - 1) / step != count) {
    return fail(Code::corrupt, std::format("output {}: {} bytes, the golden file has {} (each {}th)", info.name,
                                           got.size(), wanted.bytes.size(), step));
  }
  const auto* got_bytes = reinterpret_cast<const std::uint8_t*>(got.data());
  Tally tally{.values = count};
  std::string first;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = value_at(info.type, got_bytes, i * step);
    const auto want = value_at(info.type, wanted.bytes.data(), i);
    const auto difference = std::abs(value - want);
    if (!(difference == 0)) ++tally.different;
    tally.largest = std::max(tally.largest, difference);
    if (first.empty() && !(difference <= tolerance(info.type, want))) {
      first = std::format("output {} index {}: got {}, want {}", info.name, i * step, value, want);
    }
  }
  if (first.empty()) return tally;
  return fail(Code::corrupt, std::format("{} ({} of {} values differ, by at most {})", first, tally.different,
                                         tally.values, tally.largest));
}

}  // namespace

void Tally::add(const Tally& other) {
  cases += other.cases;
  values += other.values;
  different += other.different;
  largest = std::max(largest, other.largest);
}

std::string to_string(const Tally& tally) {
  return std::format("{} runs, {} values, {} not bit-identical (largest difference {})", tally.cases, tally.values,
                     tally.different, tally.largest);
}

Result<Tally> compare_outputs(const accel::Session& session, std::span<const GoldenOutput> wanted) {
  Tally total{.cases = 1};
  const auto infos = session.outputs();
  for (const auto& golden : wanted) {
    const auto found = std::ranges::find(infos, golden.tensor, &accel::TensorInfo::name);
    if (found == infos.end()) return fail(Code::not_found, std::format("the model has no output {}", golden.tensor));
    const auto index = static_cast<std::size_t>(found - infos.begin());
    WAYSIDE_TRY(const auto tally, compare_output(*found, session.output(index), golden));
    total.add(tally);
  }
  return total;
}

std::size_t top_index(std::span<const std::uint8_t> bytes, bool is_signed) {
  const auto value = [&](std::uint8_t byte) { return is_signed ? static_cast<std::int8_t>(byte) : int{byte}; };
  return static_cast<std::size_t>(std::ranges::max_element(bytes, {}, value) - bytes.begin());
}

}  // namespace wayside::conformance
