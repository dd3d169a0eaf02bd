// SPDX-License-Identifier: Apache-2.0
// Formats the table.
#include "accel/cpu/model_summary.h"

#include <format>

namespace wayside::accel::cpu {
namespace {

double microseconds(std::chrono::nanoseconds time) { return std::chrono::duration<double, std::micro>(time).count(); }

std::string timing(std::uint64_t mac_count, std::chrono::nanoseconds time) {
  if (time.count() <= 0) return std::format(" {:>9} {:>6}", "-", "-");
  return std::format(" {:>9.1f} {:>6.2f}", microseconds(time),
                     static_cast<double>(mac_count) / static_cast<double>(time.count()));
}

std::string line(const OperatorInfo& op) {
  return std::format("{:>4} {:<23} {:<18} {:<18} {:>9} {:>9}", op.index, op.name, to_string(op.input_shape),
                     to_string(op.output_shape), op.mac_count / 1000, op.weight_bytes);
}

}  // namespace

std::string summarize(const CpuSession& session, const OperatorProfile* profile) {
  std::string text =
      std::format("{:>4} {:<23} {:<18} {:<18} {:>9} {:>9}", "#", "operator", "input", "output", "kMAC", "weights B");
  if (profile != nullptr) text += std::format(" {:>9} {:>6}", "us", "GMAC/s");
  text += '\n';
  std::chrono::nanoseconds total{0};
  for (std::size_t i = 0; i < session.operators().size(); ++i) {
    const OperatorInfo& op = session.operators()[i];
    text += line(op);
    if (profile != nullptr) {
      total += profile->mean(i);
      text += timing(op.mac_count, profile->mean(i));
    }
    text += op.runs ? "\n" : "  (no work)\n";
  }
  const ModelInfo& info = session.info();
  text += std::format("total {} kMAC, {} B weights and constants, {} B arena", info.mac_count / 1000, info.weight_bytes,
                      info.arena_bytes);
  if (profile != nullptr) text += std::format(", {:.1f} us", microseconds(total));
  return text + '\n';
}

}  // namespace wayside::accel::cpu
