# SPDX-License-Identifier: Apache-2.0
"""Writes one network in the formats of the peers: .flat (XNNPACK, oneDNN), .onnx (ONNX Runtime), .tflite (TFLite, ours)."""
import json
import os
import subprocess

import numpy as np

from ir import DTN, T, same_pad


def emit_flat(n, base):
    """text graph + raw blob: read by flat.h"""
    blob = bytearray()
    L = []
    for i, t in enumerate(n.t):
        off = ln = soff = 0
        if t.data is not None:
            while len(blob) % 64:
                blob.append(0)
            off = len(blob)
            blob += t.data.tobytes()
            ln = len(t.data.tobytes())
        ns = 0 if t.scale is None else len(t.scale)
        if ns > 1:
            while len(blob) % 64:
                blob.append(0)
            soff = len(blob)
            blob += t.scale.astype('<f4').tobytes()
        s0 = float(t.scale[0]) if ns else 0.
        z0 = int(t.zp[0]) if ns else 0
        L.append('tensor %d %s %.9g %d %d %d %d %d %d %d %s' % (
            i, DTN.get(t.dt, 'u8'), s0, z0, ns, t.qdim, off, ln, soff, len(t.shape), ' '.join(map(str, t.shape))))
    for o in n.ops:
        a = o.a
        k, s, d, p = a.get('k', (1, 1)), a.get('s', (1, 1)), a.get('d', (1, 1)), a.get('pad', (0, 0, 0, 0))
        ins = [i for i in o.ins if i >= 0]
        L.append('op %s %s %d %d %d %d %d %d %d %d %d %d %d %d %s %d %s' % (
            o.kind, a.get('act', 'none'), k[0], k[1], s[0], s[1], d[0], d[1], p[0], p[1], p[2], p[3], a.get('axis', 0),
            len(ins), ' '.join(map(str, ins)), len(o.outs), ' '.join(map(str, o.outs))))
    L.append('inputs %d %s' % (len(n.inputs), ' '.join(map(str, n.inputs))))
    L.append('outputs %d %s' % (len(n.outputs), ' '.join(map(str, n.outputs))))
    L.append('macs %d' % n.macs()[0])
    open(base + '.flat', 'w').write('\n'.join(L) + '\n')
    open(base + '.flat.bin', 'wb').write(bytes(blob))


def act_range(t, act):
    """(needs explicit clip?, lo, hi) of a fused activation given the output quantisation"""
    lo, hi = {'none': (None, None), 'relu': (0., None), 'relu6': (0., 6.)}[act]
    info = np.iinfo(t.dt)
    s, z = float(t.scale[0]), int(t.zp[0])
    need = False
    if lo is not None and (info.min - z) * s < lo - s * .51:
        need = True
    if hi is not None and (info.max - z) * s > hi + s * .51:
        need = True
    return need, lo, hi


def emit_onnx(n, path, u8act=False):
    import onnx
    from onnx import helper as H, numpy_helper as NH, TensorProto as TP
    nodes, inits = [], []
    done = {}

    def act_q(t):
        dt, zp = t.dt, t.zp[0]
        if u8act and dt == np.int8:
            dt, zp = np.uint8, zp + 128
        return dt, np.array(zp, dt)

    def qp(i):
        t = n.t[i]
        if ('q', i) not in done:
            dt, zp = act_q(t)
            inits.append(NH.from_array(np.array(t.scale[0], np.float32), 's_%d' % i))
            inits.append(NH.from_array(zp, 'z_%d' % i))
            done['q', i] = 1
        return 's_%d' % i, 'z_%d' % i

    def dq(i):  # dequantised name of activation i
        if ('d', i) not in done:
            s, z = qp(i)
            nodes.append(H.make_node('DequantizeLinear', ['q_%d' % i, s, z], ['f_%d' % i]))
            done['d', i] = 'f_%d' % i
        return done['d', i]

    def q(name, i):
        s, z = qp(i)
        nodes.append(H.make_node('QuantizeLinear', [name, s, z], ['q_%d' % i]))

    def const(i, arr, axis):
        t = n.t[i]
        inits.append(NH.from_array(arr, 'c_%d' % i))
        sc = t.scale if len(t.scale) > 1 else t.scale[0]
        zp = t.zp if len(t.scale) > 1 else t.zp[0]
        inits.append(NH.from_array(np.array(sc, np.float32), 'cs_%d' % i))
        inits.append(NH.from_array(np.array(zp).astype(arr.dtype), 'cz_%d' % i))
        at = {'axis': axis} if len(t.scale) > 1 else {}
        nodes.append(H.make_node('DequantizeLinear', ['c_%d' % i, 'cs_%d' % i, 'cz_%d' % i], ['cf_%d' % i], **at))
        return 'cf_%d' % i

    def bias(o, groups_scale):
        if len(o.ins) < 3 or o.ins[2] < 0:
            return []
        i = o.ins[2]
        return [const(i, n.t[i].data, 0)]

    def fin(o, nm):  # quantise; the activation's bounds, where the stored range does not imply them, on the integers:
        # a Clip before QuantizeLinear would keep ONNX Runtime from using its integer convolution
        i = o.outs[0]
        t = n.t[i]
        need, lo, hi = act_range(t, o.a.get('act', 'none'))
        if not need:
            q(nm, i)
            return
        s, z = qp(i)
        dt, zp = act_q(t)
        info = np.iinfo(dt)
        bounds = [info.min if lo is None else lo / float(t.scale[0]) + int(zp), info.max if hi is None else hi / float(t.scale[0]) + int(zp)]
        nodes.append(H.make_node('QuantizeLinear', [nm, s, z], [nm + 'q']))
        for nme, v in zip(('lo', 'hi'), bounds):
            inits.append(NH.from_array(np.array(int(np.clip(round(v), info.min, info.max)), dt), nm + nme))
        nodes.append(H.make_node('Clip', [nm + 'q', nm + 'lo', nm + 'hi'], ['q_%d' % i]))

    for k, o in enumerate(n.ops):
        y = 'y%d' % k
        if o.kind in ('conv', 'dw'):
            w = n.t[o.ins[1]]
            if o.kind == 'conv':
                wd, g = w.data.transpose(0, 3, 1, 2), 1
            else:
                wd, g = w.data.transpose(3, 0, 1, 2), w.shape[3]
            wn = const(o.ins[1], np.ascontiguousarray(wd), 0)
            bn = bias(o, None)
            pt, pl, pb, pr = o.a['pad']
            nodes.append(H.make_node('Conv', [dq(o.ins[0]), wn] + bn, [y], kernel_shape=list(o.a['k']),
                                     strides=list(o.a['s']), dilations=list(o.a['d']), pads=[pt, pl, pb, pr], group=g))
            fin(o, y)
        elif o.kind == 'fc':
            w = n.t[o.ins[1]]
            xin = dq(o.ins[0])
            if len(n.t[o.ins[0]].shape) == 4:
                nodes.append(H.make_node('Flatten', [xin], [y + 'fl'], axis=1))
                xin = y + 'fl'
            nodes.append(H.make_node('Gemm', [xin, const(o.ins[1], w.data, 0)] + bias(o, None), [y], transB=1))
            fin(o, y)
        elif o.kind in ('add', 'mul'):
            nodes.append(H.make_node('Add' if o.kind == 'add' else 'Mul', [dq(o.ins[0]), dq(o.ins[1])], [y]))
            fin(o, y)
        elif o.kind == 'logistic':
            nodes.append(H.make_node('Sigmoid', [dq(o.ins[0])], [y]))
            q(y, o.outs[0])
        elif o.kind == 'concat':
            nodes.append(H.make_node('Concat', [dq(i) for i in o.ins], [y], axis=1))
            q(y, o.outs[0])
        elif o.kind in ('mean', 'avgpool'):
            x = n.t[o.ins[0]].shape
            if o.kind == 'mean' or tuple(o.a['k']) == (x[1], x[2]):
                nodes.append(H.make_node('GlobalAveragePool', [dq(o.ins[0])], [y]))
            else:
                nodes.append(H.make_node('AveragePool', [dq(o.ins[0])], [y], kernel_shape=list(o.a['k']),
                                         strides=list(o.a['s'])))
            if len(n.t[o.outs[0]].shape) == 2:
                nodes.append(H.make_node('Flatten', [y], [y + 'f'], axis=1))
                y = y + 'f'
            q(y, o.outs[0])
        elif o.kind == 'maxpool':
            pt, pl, pb, pr = o.a['pad']
            nodes.append(H.make_node('MaxPool', [dq(o.ins[0])], [y], kernel_shape=list(o.a['k']),
                                     strides=list(o.a['s']), pads=[pt, pl, pb, pr]))
            q(y, o.outs[0])
        elif o.kind == 'resize_nn':
            inits.append(NH.from_array(np.array([1, 1, 2, 2], np.float32), y + 'sc'))
            nodes.append(H.make_node('Resize', [dq(o.ins[0]), '', y + 'sc'], [y], mode='nearest',
                                     coordinate_transformation_mode='asymmetric', nearest_mode='floor'))
            q(y, o.outs[0])
        elif o.kind == 'reshape':
            nodes.append(H.make_node('Flatten', [dq(o.ins[0])], [y], axis=1))
            # flatten of NCHW vs NHWC differ when H,W>1; only used after global pooling here
            q(y, o.outs[0])
        else:
            raise RuntimeError('onnx: ' + o.kind)

    def vi(i):
        t = n.t[i]
        sh = t.shape if len(t.shape) != 4 else [t.shape[0], t.shape[3], t.shape[1], t.shape[2]]
        return H.make_tensor_value_info('q_%d' % i, H.np_dtype_to_tensor_dtype(np.dtype(act_q(t)[0])) if hasattr(H, 'np_dtype_to_tensor_dtype')
                                        else (TP.UINT8 if act_q(t)[0] == np.uint8 else TP.INT8), sh)
    outs = [H.make_tensor_value_info('q_%d' % i, TP.UINT8 if act_q(n.t[i])[0] == np.uint8 else TP.INT8, None) for i in n.outputs]
    g = H.make_graph(nodes, n.name, [vi(i) for i in n.inputs], outs, inits)
    m = H.make_model(g, opset_imports=[H.make_opsetid('', 13)])
    m.ir_version = 8
    onnx.save(m, path)


BOPT = {'conv': ('CONV_2D', 3, 'Conv2DOptions', 5), 'dw': ('DEPTHWISE_CONV_2D', 4, 'DepthwiseConv2DOptions', 5),
        'fc': ('FULLY_CONNECTED', 9, 'FullyConnectedOptions', 5), 'add': ('ADD', 0, 'AddOptions', 2),
        'mul': ('MUL', 18, 'MulOptions', 2), 'concat': ('CONCATENATION', 2, 'ConcatenationOptions', 2),
        'logistic': ('LOGISTIC', 14, None, 2), 'maxpool': ('MAX_POOL_2D', 17, 'Pool2DOptions', 2),
        'avgpool': ('AVERAGE_POOL_2D', 1, 'Pool2DOptions', 2),
        'mean': ('MEAN', 40, 'ReducerOptions', 2), 'pad': ('PAD', 34, None, 2),
        'reshape': ('RESHAPE', 22, 'ReshapeOptions', 1),
        'resize_nn': ('RESIZE_NEAREST_NEIGHBOR', 97, 'ResizeNearestNeighborOptions', 2)}


def emit_tflite(n, path, schema, flatc='flatc'):
    """JSON + flatc -> .tflite.  Paddings other than SAME/VALID become an explicit PAD op, as the usual
    exporters do (int8 yolov8 exports look like this)."""
    TY = {np.int8: 'INT8', np.uint8: 'UINT8', np.int32: 'INT32', np.float32: 'FLOAT32'}
    bufs, tens, ops, codes = [{}], [], [], []
    cidx = {}

    def tensor(t):
        bi = 0
        if t.data is not None:
            bufs.append({'data': np.frombuffer(t.data.tobytes(), np.uint8).tolist()})
            bi = len(bufs) - 1
        d = {'shape': t.shape, 'type': TY[t.dt], 'buffer': bi, 'name': t.name}
        if t.scale is not None:
            d['quantization'] = {'scale': [float(x) for x in t.scale], 'zero_point': [int(x) for x in t.zp],
                                 'quantized_dimension': t.qdim}
        tens.append(d)
        return len(tens) - 1

    for t in n.t:
        tensor(t)

    def code(kind):
        if kind not in cidx:
            nm, c, _, v = BOPT[kind]
            codes.append({'deprecated_builtin_code': c, 'builtin_code': c, 'version': v})
            cidx[kind] = len(codes) - 1
        return cidx[kind]

    A = {'none': 'NONE', 'relu': 'RELU', 'relu6': 'RELU6'}
    i32 = lambda v: tensor(T('c%d' % len(tens), np.asarray(v).shape, np.int32, None, None, np.asarray(v, np.int32)))
    for o in n.ops:
        ins = [i for i in o.ins if i >= 0]
        opt = {}
        if o.kind in ('conv', 'dw', 'maxpool', 'avgpool'):
            x = n.t[o.ins[0]].shape
            pt, pl, pb, pr = o.a['pad']
            k, s = o.a['k'], o.a['s']
            if (pt, pb) == same_pad(x[1], k[0], s[0]) and (pl, pr) == same_pad(x[2], k[1], s[1]):
                padding = 'SAME'
            else:
                padding = 'VALID'
                if any(o.a['pad']):
                    xt = n.t[o.ins[0]]
                    pt_ = tensor(T('pad%d' % len(tens), [1, x[1] + pt + pb, x[2] + pl + pr, x[3]], xt.dt, xt.scale, xt.zp))
                    ops.append({'opcode_index': code('pad'), 'inputs': [ins[0], i32([[0, 0], [pt, pb], [pl, pr], [0, 0]])],
                                'outputs': [pt_]})
                    ins[0] = pt_
            opt = {'padding': padding, 'stride_h': s[0], 'stride_w': s[1]}
            if o.kind in ('conv', 'dw'):
                opt['fused_activation_function'] = A[o.a['act']]
                if o.kind == 'dw':
                    opt['depth_multiplier'] = 1
            else:
                opt['filter_height'], opt['filter_width'] = k
        elif o.kind in ('add', 'mul', 'fc'):
            opt = {'fused_activation_function': A[o.a['act']]}
        elif o.kind == 'concat':
            opt = {'axis': o.a['axis']}
        elif o.kind == 'mean':
            ins = [ins[0], i32([1, 2])]
            opt = {'keep_dims': len(n.t[o.outs[0]].shape) == 4}
        elif o.kind == 'resize_nn':
            ins = [ins[0], i32(n.t[o.outs[0]].shape[1:3])]
        elif o.kind == 'reshape':
            opt = {'new_shape': n.t[o.outs[0]].shape}
        d = {'opcode_index': code(o.kind), 'inputs': ins, 'outputs': o.outs}
        if BOPT[o.kind][2]:
            d['builtin_options_type'], d['builtin_options'] = BOPT[o.kind][2], opt
        ops.append(d)
    js = {'version': 3, 'operator_codes': codes, 'buffers': bufs, 'description': n.name + ' ' + n.note,
          'subgraphs': [{'tensors': tens, 'inputs': n.inputs, 'outputs': n.outputs, 'operators': ops, 'name': 'main'}]}
    jp = path[:-7] + '.json'
    json.dump(js, open(jp, 'w'))
    subprocess.check_call([flatc, '-b', '-o', os.path.dirname(path) or '.', schema, jp])
    os.remove(jp)
