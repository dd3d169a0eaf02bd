// SPDX-License-Identifier: Apache-2.0
// Magic numbers of model files. Sources: tensorflow/lite/schema/schema.fbs (file_identifier), hailort's hef.cpp
// (HEADER_MAGIC, big-endian), readers of .rknn and of TensorRT plans in Netron (rknn.js, tensorrt.js), onnx.proto.
#include "ota/package/variant_file.h"

#include <algorithm>
#include <array>
#include <format>

namespace wayside::ota {
namespace {

struct Magic {
  std::string_view accelerator;
  bool compile;
  std::size_t offset;
  std::string_view text, kind;
};
constexpr std::array<Magic, 7> kMagics{{{"cpu-int8", false, 4, "TFL3", ".tflite file"},
                                        {"opencl", false, 4, "TFL3", ".tflite file"},
                                        {"hailo8", false, 0, "\x01HEF", "Hailo executable (.hef)"},
                                        {"rk3588", false, 0, "RKNN", ".rknn file"},
                                        {"tensorrt", false, 0, "ptrt", "TensorRT engine"},
                                        {"tensorrt", false, 0, "ftrt", "TensorRT engine"},
                                        // A protobuf message whose first field is ir_version.
                                        {"tensorrt", true, 0, "\x08", ".onnx file"}}};

}  // namespace

Checked<void> check_variant_file(std::string_view accelerator, bool compile, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string_view expected;
  for (const Magic& magic : kMagics) {
    if (magic.accelerator != accelerator || magic.compile != compile) continue;
    if (text.size() > magic.offset && text.substr(magic.offset).starts_with(magic.text)) return {};
    expected = magic.kind;
  }
  if (expected.empty()) return {};
  return refuse(Refusal::bad_magic, std::format("not a {}, which {}{} needs", expected, accelerator,
                                                compile ? " (compiled on the board)" : ""));
}

}  // namespace wayside::ota
