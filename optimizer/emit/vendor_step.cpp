// SPDX-License-Identifier: Apache-2.0
// Texts for the vendors' tools. They cannot be run here: tests run the scripts against stand-ins that know the tools'
// arguments.
#include "optimizer/emit/vendor_step.h"

#include <cctype>
#include <format>

#include "optimizer/emit/onnx_ops.h"
#include "optimizer/emit/onnx_writer.h"

namespace wayside::optimizer::emit {
namespace {

/// A Python string; names of tensors are untrusted text.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\' || byte < 0x20 || byte > 0x7e) {
      out += std::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string back_into_package(const std::string& target, const std::string& file, const std::string& requires_,
                              const std::string& golden = {}) {
  return std::format(
      "\nThen take the result into the package, sign it, and hand it out:\n\n"
      "    wayside package add PACKAGE.wmp --accelerator {} --file {} --requires '{}'{}\n"
      "    wayside package sign PACKAGE.wmp --key KEY.pem\n",
      target, file, requires_, golden);
}

}  // namespace

std::string net_name(const std::string& model) {
  std::string out;
  for (const char c : model) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return out.empty() || std::isdigit(static_cast<unsigned char>(out[0])) ? "net_" + out : out;
}

std::string hailo_script(const std::string& model, const ir::Graph& graph, std::size_t samples) {
  const auto names = onnx_names(graph);
  std::string ends, shapes;
  for (const auto id : graph.outputs) ends += (ends.empty() ? "" : ", ") + quoted(names[id]);
  for (const auto id : graph.inputs) {
    std::string dims;
    for (const auto dim : onnx_shape(graph.tensors[id].shape))
      dims += std::format("{}{}", dims.empty() ? "" : ", ", dim);
    shapes += std::format("{}{}: [{}]", shapes.empty() ? "" : ", ", quoted(names[id]), dims);
  }
  return std::format(R"py(#!/usr/bin/env python3
"""Compiles model.onnx for Hailo-8 with the Hailo Dataflow Compiler. usage: compile.py [hailo8|hailo8l|hailo8r]"""
import pathlib
import sys

import numpy
from hailo_sdk_client import ClientRunner

here = pathlib.Path(__file__).resolve().parent
chip = sys.argv[1] if len(sys.argv) > 1 else "hailo8"
if chip not in ("hailo8", "hailo8l", "hailo8r"):
    sys.exit(f"compile.py: {{chip}}: not hailo8, hailo8l or hailo8r")

runner = ClientRunner(hw_arch=chip)
runner.translate_onnx_model(
    str(here / "model.onnx"),
    "{0}",
    end_node_names=[{1}],
    net_input_shapes={{{2}}},
)
runner.load_model_script("model_optimization_config(calibration, batch_size=8, calibset_size={3})\n")
runner.optimize(numpy.load(here / "calibration.npy"))
(here / "{0}.hef").write_bytes(runner.compile())
print(here / "{0}.hef")
)py",
                     net_name(model), ends, shapes, samples);
}

std::string hailo_readme(const std::string& model, std::size_t samples) {
  std::string out = std::format(
      "# {}: Hailo-8\n\nOne step is left, on a machine with the Hailo Dataflow Compiler 3.x (x86-64, from Hailo's "
      "developer zone):\n\n"
      "    python3 compile.py            # or: compile.py hailo8l\n\n"
      "It reads `model.onnx` (float, NCHW, the head that joins boxes and scores is cut off: it runs on the CPU) and\n"
      "`calibration.npy` ({} samples, as the network takes them: no normalisation is to be added), and writes "
      "`{}.hef`.\n",
      model, samples, net_name(model));
  constexpr std::size_t kStrongLevels = 1024;
  if (samples < kStrongLevels)
    out +=
        "Fewer than 1024 samples: the compiler leaves out its stronger levels of optimisation. `--calib-limit 1024` "
        "gives it more.\n";
  return out + back_into_package("hailo8", net_name(model) + ".hef", "hailort=>=4.20 <5");
}

std::string rknn_script(const std::string& model) {
  return std::format(R"py(#!/usr/bin/env python3
"""Compiles model.onnx for RK3588 with RKNN-Toolkit2. usage: compile.py [normal|mmse|kl_divergence]"""
import os
import pathlib
import sys

from rknn.api import RKNN

here = pathlib.Path(__file__).resolve().parent
algorithm = sys.argv[1] if len(sys.argv) > 1 else "normal"
if algorithm not in ("normal", "mmse", "kl_divergence"):
    sys.exit(f"compile.py: {{algorithm}}: not normal, mmse or kl_divergence")


def check(status, step):
    if status != 0:
        sys.exit(f"compile.py: {{step}} failed with {{status}}")


os.chdir(here)  # dataset.txt names its files from here
rknn = RKNN()
check(rknn.config(target_platform="rk3588", quantized_algorithm=algorithm, quantized_method="channel") or 0, "config")
check(rknn.load_onnx(model="model.onnx"), "load_onnx")
check(rknn.build(do_quantization=True, dataset="dataset.txt"), "build")
check(rknn.export_rknn("{0}.rknn"), "export_rknn")
rknn.release()
print(here / "{0}.rknn")
)py",
                     net_name(model));
}

std::string rknn_readme(const std::string& model) {
  return std::format(
             "# {}: RK3588\n\nOne step is left, on a machine with Rockchip's RKNN-Toolkit2 (Python, x86-64; 1.6 to "
             "2.3):\n\n"
             "    python3 compile.py            # or: compile.py mmse\n\n"
             "It reads `model.onnx` (float, NCHW, without the head that joins boxes and scores) and the samples that "
             "`dataset.txt`\n"
             "lists (NHWC, the tool's own default, as the network takes them: no mean and no deviation), and writes "
             "`{}.rknn`.\n"
             "The board's librknnrt must not be older than the toolkit.\n",
             model, net_name(model)) +
         back_into_package("rk3588", net_name(model) + ".rknn", "librknnrt=>=1.6");
}

std::string tensorrt_script(const std::string& model) {
  return std::format(R"sh(#!/bin/sh
# Builds {0}.engine with trtexec of TensorRT 8, on the board that shall run it. usage: build_engine.sh [fp16|int8|calibrated]
# fp16: Jetson Nano (sm_53 has no INT8). int8: from the pairs in model.qdq.onnx. calibrated: TensorRT's own INT8, with
# the ranges of calibration.cache.
set -eu
cd "$(dirname "$0")"
trtexec=${{TRTEXEC:-/usr/src/tensorrt/bin/trtexec}}
case ${{1:-fp16}} in
  fp16) "$trtexec" --onnx=model.onnx --fp16 --saveEngine={0}.engine ;;
  int8) "$trtexec" --onnx=model.qdq.onnx --int8 --fp16 --saveEngine={0}.engine ;;
  calibrated) "$trtexec" --onnx=model.onnx --int8 --fp16 --calib=calibration.cache --saveEngine={0}.engine ;;
  *)
    echo "build_engine.sh: $1: not fp16, int8 or calibrated" >&2
    exit 1
    ;;
esac
)sh",
                     net_name(model));
}

std::string tensorrt_readme(const std::string& model, const FloatGolden& golden) {
  const bool bearable = golden.max_abs && golden.mean_abs_milli;
  return std::format(
             "# {}: TensorRT\n\nEngines are tied to the TensorRT version and the GPU: build this one on the board.\n\n"
             "    ./build_engine.sh             # fp16: the right one for a Jetson Nano, which has no INT8\n"
             "    ./build_engine.sh int8        # GPUs with INT8: the scales are in model.qdq.onnx\n"
             "    ./build_engine.sh calibrated  # the same by calibration.cache (written for TensorRT 8.2.1)\n\n"
             "`model.onnx` is float, `model.qdq.onnx` has QuantizeLinear/DequantizeLinear pairs with zero points of 0, "
             "as TensorRT\n"
             "wants them. Both are cut before the head that joins boxes and scores.\n\n"
             "`golden.in` and `golden.out`: {} inputs and what the float network answers, float32 in the engine's "
             "order. "
             "{}\n",
             model, golden.count,
             bearable ? "The\ntolerances below are twice what INT8 differs from them."
                      : "INT8\ndiffers from them by more than a manifest can allow (0.127): no board would pass with "
                        "them.") +
         back_into_package("tensorrt", net_name(model) + ".engine", "tensorrt=>=8.2 <8.3",
                           bearable ? std::format(" --golden . --golden-cases {} --golden-max-abs {} "
                                                  "--golden-mean-abs-milli {}",
                                                  golden.count, *golden.max_abs, *golden.mean_abs_milli)
                                    : std::string());
}

}  // namespace wayside::optimizer::emit
