// SPDX-License-Identifier: Apache-2.0
// From the file's options tables to OpOptions (internal to the model reader).
#pragma once

#include "accel/cpu/graph.h"
#include "base/result.h"

namespace wayside::accel::cpu {

namespace schema {
struct Operator;
}

/// Reads the options of an operator with this builtin code. An operator whose table is absent, or of another kind than
/// its code says, gets the format's defaults and present = false. Errors: unsupported fused activations or formats.
[[nodiscard]] base::Result<OpOptions> read_options(const schema::Operator& op, std::int32_t builtin_code);

}  // namespace wayside::accel::cpu
