// SPDX-License-Identifier: Apache-2.0
// The folders of the targets.
#include "optimizer/emit/targets.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <format>
#include <system_error>
#include <utility>

#include "optimizer/emit/onnx_writer.h"
#include "optimizer/emit/vendor_step.h"
#include "optimizer/tflite/writer.h"

namespace wayside::optimizer::emit {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::array kTargets{Target::cpu_int8, Target::tensorrt, Target::hailo8, Target::rk3588};

/// Writes the files of one target and remembers their names.
class Folder {
 public:
  Folder(const TargetWork& work, Target target) : work_(work), status_{.target = std::string(to_string(target))} {}

  Result<void> write(const std::string& name, const std::vector<std::uint8_t>& bytes, bool listed = true) {
    const auto path = work_.folder / status_.target / name;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error) return fail(Code::io, std::format("{}: {}", path.parent_path().string(), error.message()));
    WAYSIDE_CHECK(save_file(path, bytes));
    if (listed) status_.files.push_back(status_.target + "/" + name);
    return {};
  }
  Result<void> write(const std::string& name, const std::string& text) {
    return write(name, std::vector<std::uint8_t>(text.begin(), text.end()));
  }
  Result<void> make_executable(const std::string& name) {
    using std::filesystem::perms;
    std::error_code error;
    std::filesystem::permissions(work_.folder / status_.target / name,
                                 perms::owner_exec | perms::group_exec | perms::others_exec,
                                 std::filesystem::perm_options::add, error);
    return error ? fail(Code::io, std::format("{}: {}", name, error.message())) : Result<void>{};
  }
  Result<void> write_float_model() {
    WAYSIDE_TRY(const auto bytes, write_onnx(work_.quantized->graph));
    return write("model.onnx", bytes);
  }
  TargetStatus done(std::string state) {
    status_.state = std::move(state);
    return std::move(status_);
  }

 private:
  const TargetWork& work_;
  TargetStatus status_;
};

Result<TargetStatus> emit_cpu(const TargetWork& work) {
  Folder folder(work, Target::cpu_int8);
  const auto to = work.folder / "cpu-int8" / (work.model + ".tflite");
  std::error_code error;
  std::filesystem::create_directories(to.parent_path(), error);
  if (!error) std::filesystem::copy_file(work.tflite, to, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return fail(Code::io, std::format("{}: {}", to.string(), error.message()));
  auto status = folder.done("ready");
  status.files.push_back("cpu-int8/" + work.model + ".tflite");
  return status;
}

Result<TargetStatus> emit_tensorrt(const TargetWork& work) {
  Folder folder(work, Target::tensorrt);
  WAYSIDE_CHECK(folder.write_float_model());
  WAYSIDE_TRY(const auto pairs, write_onnx(work.quantized->integer, QdqForm::symmetric));
  WAYSIDE_CHECK(folder.write("model.qdq.onnx", pairs));
  WAYSIDE_CHECK(
      folder.write("calibration.cache",
                   calibration_cache(work.quantized->graph, symmetric_scales(work.quantized->integer.tensors))));
  WAYSIDE_CHECK(folder.write("build_engine.sh", tensorrt_script(work.model)));
  WAYSIDE_CHECK(folder.make_executable("build_engine.sh"));
  const auto golden = float_golden(*work.quantized, *work.calibration);
  WAYSIDE_CHECK(folder.write("golden.in", golden.inputs));
  WAYSIDE_CHECK(folder.write("golden.out", golden.outputs));
  WAYSIDE_CHECK(folder.write("README.md", tensorrt_readme(work.model, golden)));
  return folder.done("build_engine.sh is to be run on the board");
}

std::vector<const ir::Values*> rows_of(const std::vector<ir::Values>& samples) {
  std::vector<const ir::Values*> out;
  for (const auto& sample : samples) out.push_back(&sample);
  return out;
}

Result<TargetStatus> emit_hailo(const TargetWork& work) {
  Folder folder(work, Target::hailo8);
  const ir::Graph& graph = work.quantized->graph;
  ir::Shape shape = graph.tensors[graph.inputs[0]].shape;
  shape[0] = static_cast<int>(work.calibration->size());
  WAYSIDE_CHECK(folder.write_float_model());
  WAYSIDE_CHECK(folder.write("calibration.npy", npy(shape, rows_of(*work.calibration))));
  WAYSIDE_CHECK(folder.write("compile.py", hailo_script(work.model, graph, work.calibration->size())));
  WAYSIDE_CHECK(folder.write("README.md", hailo_readme(work.model, work.calibration->size())));
  return folder.done("compile.py is to be run where the Hailo Dataflow Compiler is");
}

Result<TargetStatus> emit_rknn(const TargetWork& work) {
  Folder folder(work, Target::rk3588);
  const ir::Graph& graph = work.quantized->graph;
  const ir::Shape& shape = graph.tensors[graph.inputs[0]].shape;
  WAYSIDE_CHECK(folder.write_float_model());
  std::string list;
  for (std::size_t i = 0; i < work.calibration->size(); ++i) {
    const auto name = std::format("calibration/{:05}.npy", i);
    WAYSIDE_CHECK(folder.write(name, npy(shape, {&(*work.calibration)[i]}), false));
    list += name + "\n";
  }
  WAYSIDE_CHECK(folder.write("dataset.txt", list));
  WAYSIDE_CHECK(folder.write("compile.py", rknn_script(work.model)));
  WAYSIDE_CHECK(folder.write("README.md", rknn_readme(work.model)));
  return folder.done("compile.py is to be run where RKNN-Toolkit2 is");
}

}  // namespace

std::string_view to_string(Target target) {
  constexpr std::array<std::string_view, 4> kNames{"cpu-int8", "tensorrt", "hailo8", "rk3588"};
  return kNames[static_cast<std::size_t>(target)];
}

Result<std::vector<Target>> parse_targets(std::string_view text) {
  if (text == "all") return std::vector(kTargets.begin(), kTargets.end());
  std::vector<Target> out;
  while (!text.empty()) {
    const auto name = text.substr(0, text.find(','));
    const auto* const found = std::ranges::find(kTargets, name, [](Target target) { return to_string(target); });
    if (found == kTargets.end())
      return fail(Code::invalid_argument,
                  std::format("target \"{}\": not all, cpu-int8, tensorrt, hailo8 or rk3588", name));
    if (!std::ranges::contains(out, *found)) out.push_back(*found);
    text.remove_prefix(std::min(name.size() + 1, text.size()));
  }
  return out;
}

Result<TargetStatus> emit_target(Target target, const TargetWork& work) {
  switch (target) {
    case Target::cpu_int8: return emit_cpu(work);
    case Target::tensorrt: return emit_tensorrt(work);
    case Target::hailo8: return emit_hailo(work);
    case Target::rk3588: return emit_rknn(work);
  }
  std::unreachable();
}

std::string calibration_cache(const ir::Graph& graph, const std::vector<TensorQuantization>& scales) {
  const auto names = onnx_names(graph);
  std::string out = "TRT-8201-EntropyCalibration2\n";  // of TensorRT 8.2.1, the last on a Jetson Nano
  const auto line = [&](const std::string& name, ir::TensorId id) {
    out += std::format("{}: {:08x}\n", name, std::bit_cast<std::uint32_t>(scales[id].scale));
  };
  for (const auto id : graph.inputs) line(names[id], id);
  for (const auto& op : graph.ops) {
    // The value before the activation has a name of its own in the file, and may be as large.
    if (op.activation != ir::Activation::none) line(names[op.output] + "/linear", op.output);
    line(names[op.output], op.output);
  }
  return out;
}

std::vector<std::uint8_t> npy(const ir::Shape& shape, const std::vector<const ir::Values*>& rows) {
  const bool bytes = std::ranges::all_of(rows, [](const ir::Values* row) {
    return std::ranges::all_of(*row, [](float x) { return x >= 0 && x <= 255 && x == std::floor(x); });
  });
  std::string dims;
  for (const int dim : shape) dims += std::format("{}, ", dim);
  std::string header =
      std::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", bytes ? "|u1" : "<f4", dims);
  constexpr std::size_t kPreamble = 10, kAlignment = 64;  // magic, version, length; the data begin at a multiple of 64
  header.append(kAlignment - 1 - (kPreamble + header.size()) % kAlignment, ' ');
  header += '\n';
  std::vector<std::uint8_t> out{0x93,
                                'N',
                                'U',
                                'M',
                                'P',
                                'Y',
                                1,
                                0,
                                static_cast<std::uint8_t>(header.size() & 255U),
                                static_cast<std::uint8_t>(header.size() >> 8U)};
  out.insert(out.end(), header.begin(), header.end());
  for (const ir::Values* row : rows) {
    if (bytes) {
      for (const float x : *row) out.push_back(static_cast<std::uint8_t>(x));
    } else {
      const auto* const raw = reinterpret_cast<const std::uint8_t*>(row->data());
      out.insert(out.end(), raw, raw + row->size() * sizeof(float));
    }
  }
  return out;
}

}  // namespace wayside::optimizer::emit
