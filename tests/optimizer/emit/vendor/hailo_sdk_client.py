# SPDX-License-Identifier: Apache-2.0
"""Stand-in for the Hailo Dataflow Compiler's module: takes the arguments that it documents, in the order of its steps."""
import pathlib


class ClientRunner:
    def __init__(self, hw_arch=None, har=None):
        assert hw_arch in ("hailo8", "hailo8l", "hailo8r"), hw_arch
        self.step = "new"

    def translate_onnx_model(
        self, model, net_name="model", start_node_names=None, end_node_names=None, net_input_shapes=None, **others
    ):
        assert self.step == "new" and not others, others
        import onnx

        graph = onnx.load(model).graph
        nodes = {node.name for node in graph.node}
        assert net_name.isidentifier() and end_node_names and set(end_node_names) <= nodes
        shapes = {port.name: [dim.dim_value for dim in port.type.tensor_type.shape.dim] for port in graph.input}
        assert net_input_shapes == shapes, (net_input_shapes, shapes)
        self.shape = list(shapes.values())[0]
        self.step = "translated"

    def load_model_script(self, model_script):
        assert self.step == "translated" and model_script.startswith("model_optimization_config(calibration, ")
        self.samples = int(model_script.split("calibset_size=")[1].split(")")[0])

    def optimize(self, calib_data):
        assert self.step == "translated"
        count, *item = calib_data.shape
        wanted = [self.shape[2], self.shape[3], self.shape[1]] if len(self.shape) == 4 else self.shape[1:]
        assert count == self.samples and item == wanted, (calib_data.shape, wanted)
        self.step = "optimized"

    def compile(self):
        assert self.step == "optimized"
        return b"\x01HEF" + bytes(28)
