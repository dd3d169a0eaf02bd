# SPDX-License-Identifier: Apache-2.0
"""Converts the real .tflite models and makes the random ones. Usage: make_models.py OUT_DIR SCHEMA.fbs MODEL.tflite..."""
import os
import sys

import emit
import ir
import random_models


def write(net, base, schema):
    emit.emit_flat(net, base)
    # Unsigned activations with signed weights: the format in which ONNX Runtime is fastest on x86.
    emit.emit_onnx(net, base + '.u8.onnx', u8act=True)
    emit.emit_tflite(net, base + '.tflite', schema)


def main():
    out, schema, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(out, exist_ok=True)
    nets = [ir.simplify(ir.load_tflite(path)) for path in files]
    nets += [random_models.build_resnet50(), random_models.build_yolov8n(320)]
    for net in nets:
        write(net, os.path.join(out, net.name), schema)
        kinds = ' '.join(sorted({op.kind for op in net.ops}))
        print(f'{net.name:42s} {net.macs()[0] / 1e6:8.1f} MMAC  {len(net.ops):3d} operations: {kinds}')


if __name__ == '__main__':
    main()
