// SPDX-License-Identifier: Apache-2.0
// Names and sizes of element types.
#include "accel/accelerator.h"

#include <format>

namespace wayside::accel {

std::size_t size_bytes(DType type) {
  switch (type) {
    case DType::i8:
    case DType::u8: return 1;
    case DType::i16: return 2;
    case DType::i32:
    case DType::f32: return 4;
  }
  return 0;
}

std::string_view to_string(DType type) {
  switch (type) {
    case DType::i8: return "i8";
    case DType::u8: return "u8";
    case DType::i16: return "i16";
    case DType::i32: return "i32";
    case DType::f32: return "f32";
  }
  return "?";
}

base::Result<void> Session::set_batch(std::size_t count) {
  if (count >= 1 && count <= max_batch()) return {};
  return base::fail(base::Code::invalid_argument,
                    std::format("a batch of {}: this session was loaded for 1 to {}; load it with a larger max_batch",
                                count, max_batch()));
}

}  // namespace wayside::accel
