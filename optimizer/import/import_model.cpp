// SPDX-License-Identifier: Apache-2.0
// Choice of the importer.
#include "optimizer/import/import_model.h"

#include <format>

#include "optimizer/import/onnx_import.h"
#include "optimizer/import/tflite_import.h"

namespace wayside::optimizer {

base::Result<ir::Graph> import_model(const std::filesystem::path& path) {
  if (path.extension() == ".onnx") return import_onnx(path);
  if (path.extension() == ".tflite") return import_tflite(path);
  return base::fail(base::Code::unsupported,
                    std::format("{}: neither .onnx nor .tflite; export the model as one of them", path.string()));
}

}  // namespace wayside::optimizer
