# SPDX-License-Identifier: Apache-2.0
"""Stand-in for RKNN-Toolkit2's module: takes the arguments that it documents, in the order of its steps."""
import pathlib

import numpy


class RKNN:
    def __init__(self, verbose=False, verbose_file=None):
        self.step = "new"

    def config(
        self,
        mean_values=None,
        std_values=None,
        quantized_dtype="w8a8",
        quantized_algorithm="normal",
        quantized_method="channel",
        target_platform=None,
        optimization_level=3,
    ):
        assert self.step == "new" and target_platform == "rk3588" and quantized_method in ("layer", "channel")
        assert quantized_algorithm in ("normal", "mmse", "kl_divergence")
        self.step = "configured"

    def load_onnx(self, model, inputs=None, input_size_list=None, outputs=None):
        assert self.step == "configured"
        import onnx

        port = onnx.load(model).graph.input[0]
        self.shape = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
        self.step = "loaded"
        return 0

    def build(self, do_quantization=True, dataset=None, rknn_batch_size=None):
        assert self.step == "loaded" and do_quantization
        shape = self.shape if len(self.shape) != 4 else [self.shape[i] for i in (0, 2, 3, 1)]
        for name in pathlib.Path(dataset).read_text().split():
            assert list(numpy.load(name).shape) == shape, name
        self.step = "built"
        return 0

    def export_rknn(self, export_path, cpp_gen_cfg=None):
        assert self.step == "built"
        pathlib.Path(export_path).write_bytes(b"RKNN" + bytes(28))
        return 0

    def release(self):
        self.step = "released"
