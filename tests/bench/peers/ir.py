# SPDX-License-Identifier: Apache-2.0
"""A small representation of 8-bit networks: what the benchmark's models are read into and written from.

load_tflite() reads a quantised .tflite with a flatbuffer reader of its own, simplify() cuts what is not the network's
body. Activations are NHWC; weights are OHWI (conv), 1HWC (dw), OI (fc), as in TFLite.
"""
import os
import struct

import numpy as np


DT = {0: np.float32, 2: np.int32, 3: np.uint8, 4: np.int64, 9: np.int8}
DTN = {np.float32: 'f32', np.int32: 's32', np.uint8: 'u8', np.int8: 's8', np.int64: 's64'}


class T:  # tensor
    def __init__(s, name, shape, dt, scale=None, zp=None, data=None, qdim=0):
        s.name, s.shape, s.dt, s.data, s.qdim = name, list(int(x) for x in shape), dt, data, qdim
        s.scale = None if scale is None else np.asarray(scale, np.float32).reshape(-1)
        s.zp = None if zp is None else np.asarray(zp, np.int64).reshape(-1)


class Op:
    def __init__(self, kind, ins, outs, **a):
        self.kind, self.ins, self.outs, self.a = kind, list(ins), list(outs), a


class Net:
    def __init__(s, name):
        s.name, s.t, s.ops, s.inputs, s.outputs = name, [], [], [], []
        s.note = ''

    def add(s, t):
        s.t.append(t)
        return len(s.t) - 1

    def macs(s):
        m = 0
        d = {}
        for o in s.ops:
            k = 0
            y = s.t[o.outs[0]].shape
            if o.kind == 'conv':
                w = s.t[o.ins[1]].shape
                k = y[1] * y[2] * w[0] * w[1] * w[2] * w[3]
                key = 'conv1x1' if w[1] * w[2] == 1 else 'convKxK'
            elif o.kind == 'dw':
                w = s.t[o.ins[1]].shape
                k = y[1] * y[2] * w[1] * w[2] * w[3]
                key = 'dw'
            elif o.kind == 'fc':
                w = s.t[o.ins[1]].shape
                k = w[0] * w[1]
                key = 'fc'
            if k:
                m += k
                d[key] = d.get(key, 0) + k
        return m, d


# ---------------------------------------------------------------- flatbuffer reader
class FB:
    def __init__(s, b):
        s.b = b

    def i(s, f, p):
        return struct.unpack_from('<' + f, s.b, p)[0]

    def root(s):
        return s.i('I', 0)

    def f(s, t, n):  # position of field n of table t, or 0
        vt = t - s.i('i', t)
        if 4 + 2 * n >= s.i('H', vt):
            return 0
        o = s.i('H', vt + 4 + 2 * n)
        return t + o if o else 0

    def sc(s, t, n, f, d=0):
        p = s.f(t, n)
        return s.i(f, p) if p else d

    def tab(s, t, n):
        p = s.f(t, n)
        return p + s.i('I', p) if p else 0

    def vec(s, t, n):  # (start, length)
        p = s.f(t, n)
        if not p:
            return 0, 0
        v = p + s.i('I', p)
        return v + 4, s.i('I', v)

    def arr(s, t, n, dt):
        p, l = s.vec(t, n)
        return np.frombuffer(s.b, dt, l, p).copy() if p else np.zeros(0, dt)

    def tabs(s, t, n):
        p, l = s.vec(t, n)
        return [p + 4 * k + s.i('I', p + 4 * k) for k in range(l)]

    def st(s, t, n):
        p, l = s.vec(t, n)
        return bytes(s.b[p:p + l]).decode('utf8', 'replace')


ACT = {0: 'none', 1: 'relu', 3: 'relu6'}


def same_pad(i, k, s, d=1):
    o = -(-i // s)
    p = max((o - 1) * s + (k - 1) * d + 1 - i, 0)
    return p // 2, p - p // 2


def load_tflite(path, name=None):
    b = open(path, 'rb').read()
    F = FB(b)
    m = F.root()
    codes = []
    for c in F.tabs(m, 1):
        codes.append(max(F.sc(c, 0, 'b'), F.sc(c, 3, 'i')))
    bufs = F.tabs(m, 4)
    sg = F.tabs(m, 2)[0]
    n = Net(name or os.path.basename(path).rsplit('.', 1)[0])
    for t in F.tabs(sg, 0):
        shape = F.arr(t, 0, '<i4')
        ty = F.sc(t, 1, 'b')
        q = F.tab(t, 4)
        sc = F.arr(q, 2, '<f4') if q else []
        zp = F.arr(q, 3, '<i8') if q else []
        qd = F.sc(q, 6, 'i') if q else 0
        if len(shape) == 1:
            qd = 0
        raw = F.arr(bufs[F.sc(t, 2, 'I')], 0, 'u1')
        dt = DT.get(ty, np.uint8)
        data = None
        if len(raw):
            data = raw.tobytes()
            data = np.frombuffer(data, dt).reshape(shape if len(shape) else [-1])
        n.add(T('t%d' % len(n.t), shape, dt, sc if len(sc) else None, zp if len(sc) else None, data, qd))
    n.inputs = [int(x) for x in F.arr(sg, 1, '<i4')]
    n.outputs = [int(x) for x in F.arr(sg, 2, '<i4')]
    for o in F.tabs(sg, 3):
        code = codes[F.sc(o, 0, 'I')]
        ins = [int(x) for x in F.arr(o, 1, '<i4')]
        outs = [int(x) for x in F.arr(o, 2, '<i4')]
        op = F.tab(o, 4)
        g = lambda k, f='i', d=0: F.sc(op, k, f, d) if op else d
        if code in (3, 4):  # conv / depthwise
            x, w = n.t[ins[0]].shape, n.t[ins[1]].shape
            kh, kw = w[1], w[2]
            pad, sw, sh = g(0, 'b'), g(1), g(2)
            act = ACT[g(3 if code == 3 else 4, 'b')]
            dw_, dh_ = (g(4, 'i', 1), g(5, 'i', 1)) if code == 3 else (g(5, 'i', 1), g(6, 'i', 1))
            pt, pb = same_pad(x[1], kh, sh, dh_) if pad == 0 else (0, 0)
            pl, pr = same_pad(x[2], kw, sw, dw_) if pad == 0 else (0, 0)
            kind = 'conv' if code == 3 else 'dw'
            if code == 4 and x[3] == 1:  # depthwise on one channel is a plain conv: 1HWC -> OHWI
                kind = 'conv'
                w_ = n.t[ins[1]]
                ins[1] = n.add(T('w_dw1', [w[3], w[1], w[2], 1], w_.dt, w_.scale, w_.zp,
                                 np.ascontiguousarray(w_.data.transpose(3, 1, 2, 0)), 0))
            n.ops.append(Op(kind, ins, outs, k=(kh, kw), s=(sh, sw), d=(dh_, dw_),
                            pad=(pt, pl, pb, pr), act=act))
        elif code == 9:
            n.ops.append(Op('fc', ins, outs, act=ACT[g(0, 'b')]))
        elif code == 0:
            n.ops.append(Op('add', ins, outs, act=ACT[g(0, 'b')]))
        elif code == 18:
            n.ops.append(Op('mul', ins, outs, act=ACT[g(0, 'b')]))
        elif code == 14:
            n.ops.append(Op('logistic', ins, outs))
        elif code == 2:
            n.ops.append(Op('concat', ins, outs, axis=g(0)))
        elif code in (1, 17):
            x = n.t[ins[0]].shape
            sw, sh, kw, kh = g(1), g(2), g(3), g(4)
            pt, pb = same_pad(x[1], kh, sh) if g(0, 'b') == 0 else (0, 0)
            pl, pr = same_pad(x[2], kw, sw) if g(0, 'b') == 0 else (0, 0)
            n.ops.append(Op('avgpool' if code == 1 else 'maxpool', ins, outs, k=(kh, kw), s=(sh, sw),
                            pad=(pt, pl, pb, pr)))
        elif code == 40:
            n.ops.append(Op('mean', ins[:1], outs))
        elif code in (22, 43):
            n.ops.append(Op('reshape', ins[:1], outs))
        elif code == 25:
            n.ops.append(Op('softmax', ins, outs))
        elif code == 39:
            n.ops.append(Op('transpose', ins[:1], outs))
        elif code == 34:
            pd = n.t[ins[1]].data.reshape(-1, 2)
            n.ops.append(Op('pad', ins[:1], outs, p=pd.tolist()))
        elif code == 114:
            n.ops.append(Op('quantize', ins, outs))
        elif code == 6:
            n.ops.append(Op('dequantize', ins, outs))
        elif code == 97:
            n.ops.append(Op('resize_nn', ins[:1], outs))
        elif code == 23:
            n.ops.append(Op('resize_bl', ins[:1], outs))
        else:
            n.ops.append(Op('unsupported_%d' % code, ins, outs))
    return n


def simplify(n):
    """Keeps the network's body only, so that every peer computes the same: cuts leading QUANTIZE and TRANSPOSE, trailing
    DEQUANTIZE, QUANTIZE, SOFTMAX, decoding and custom operations, and folds PAD into the convolution that follows."""
    # leading quantize
    for o in list(n.ops):
        if o.kind in ('quantize', 'transpose') and o.ins[0] in n.inputs:
            n.inputs = [o.outs[0] if x == o.ins[0] else x for x in n.inputs]
            n.ops.remove(o)
    # fold pad
    for o in list(n.ops):
        if o.kind == 'pad':
            users = [u for u in n.ops if o.outs[0] in u.ins]
            if len(users) == 1 and users[0].kind in ('conv', 'dw'):
                u = users[0]
                p = o.a['p']
                pt, pl, pb, pr = u.a['pad']
                u.a['pad'] = (pt + p[1][0], pl + p[2][0], pb + p[1][1], pr + p[2][1])
                u.ins[0] = o.ins[0]
                n.ops.remove(o)
    # global MEAN that keeps dims = average pool over the whole map (TFLite 2.14's delegate cannot set up the former
    # with a newer XNNPACK)
    for o in n.ops:
        if o.kind == 'mean' and len(n.t[o.outs[0]].shape) == 4:
            x = n.t[o.ins[0]].shape
            o.kind = 'avgpool'
            o.a.update(k=(x[1], x[2]), s=(1, 1), pad=(0, 0, 0, 0))
    # cut from the end: unsupported / softmax / dequantize and what depends on them
    bad = set()
    for o in list(n.ops):
        if o.kind.startswith('unsupported') or o.kind in ('dequantize', 'quantize', 'softmax') or \
                any(i in bad for i in o.ins):
            bad.update(o.outs)
            n.ops.remove(o)
    # then what only rearranges or decodes the results: the peers disagree about its shapes, and it costs nothing
    tail = True
    while tail:
        used = {x for o in n.ops for x in o.ins}
        tail = [o for o in n.ops if o.outs[0] not in used and o.kind in ('reshape', 'concat', 'logistic')]
        n.ops = [o for o in n.ops if o not in tail]
    n.outputs = [o.outs[0] for o in n.ops if o.outs[0] not in used]
    n.inputs = [i for i in n.inputs if i in used]
    drop_unused(n)
    return n


def drop_unused(n):
    """Renumbers the tensors: those of removed operations must not lie in the model files."""
    live = sorted({i for o in n.ops for i in o.ins + o.outs if i >= 0} | set(n.inputs))
    number = {old: new for new, old in enumerate(live)}
    number[-1] = -1
    n.t = [n.t[i] for i in live]
    for o in n.ops:
        o.ins, o.outs = [number[i] for i in o.ins], [number[i] for i in o.outs]
    n.inputs, n.outputs = [number[i] for i in n.inputs], [number[i] for i in n.outputs]
