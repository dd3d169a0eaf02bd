// SPDX-License-Identifier: Apache-2.0
// LookupTable: an 8-bit operator of one variable is 256 answers, computed once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "accel/cpu/ops/operator.h"

namespace wayside::accel::cpu::ops {

/// table[byte of q] = byte of function(q), for every value q of `type`; the function's results fit the output type.
template <class Function>
[[nodiscard]] LookupTable make_table(DType type, Function function) {
  LookupTable table;
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    table[byte] = static_cast<std::uint8_t>(function(value_of(static_cast<std::uint8_t>(byte), type)));
  }
  return table;
}

/// The table of a node's only input and output, or what was kept of it.
template <class Function>
[[nodiscard]] LookupTable node_table(const NodeView& node, Function function) {
  const bool is_kept = node.packed() != nullptr && node.packed()->table.has_value();
  return is_kept ? *node.packed()->table : make_table(node.input(0).type, function);
}

/// The operator out[i] = table[in[i]] of input number `input`, which has the output's shape.
[[nodiscard]] PreparedOp lookup_operator(const LookupTable& table, const NodeView& node, std::uint32_t input = 0);

}  // namespace wayside::accel::cpu::ops
