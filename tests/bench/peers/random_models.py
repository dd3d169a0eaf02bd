# SPDX-License-Identifier: Apache-2.0
"""Well-known architectures with RANDOM weights: for speed only, never for accuracy."""
import math

import numpy as np

from ir import Net, Op, T


class B:
    def __init__(s, name, hw, c=3, seed=1):
        s.n = Net(name)
        s.n.note = 'RANDOM weights'
        s.r = np.random.default_rng(seed)
        x = s.n.add(T('input', [1, hw, hw, c], np.int8, [1 / 127.], [0]))
        s.n.inputs = [x]
        s.x = x

    def act_t(s, shape, act):
        sc, zp = {'relu6': (6 / 255., -128), 'relu': (6 / 255., -128), 'none': (8 / 255., 0),
                  'silu': (6.3 / 255., -117), 'sig': (1 / 256., -128)}[act]
        return s.n.add(T('a%d' % len(s.n.t), shape, np.int8, [sc], [zp]))

    def conv(s, x, o, k=1, st=1, act='relu6', dw=False, pad='same'):
        xi = s.n.t[x]
        _, h, w, c = xi.shape
        if dw:
            o = c
        fan = k * k * (1 if dw else c)
        shp = [1, k, k, c] if dw else [o, k, k, c]
        wd = s.r.integers(-127, 128, shp, dtype=np.int8)
        ws = (math.sqrt(2. / fan) / 73 * s.r.uniform(.8, 1.2, o)).astype(np.float32)
        wt = s.n.add(T('w%d' % len(s.n.t), shp, np.int8, ws, np.zeros(o, np.int64), wd, 3 if dw else 0))
        bd = (s.r.normal(0, .3, o) / (ws * xi.scale[0])).astype(np.int32)
        bt = s.n.add(T('b%d' % len(s.n.t), [o], np.int32, ws * xi.scale[0], np.zeros(o, np.int64), bd, 0))
        p = k // 2
        if pad == 'same':  # pytorch-style symmetric padding
            pads = (p, p, p, p)
        else:
            pads = (0, 0, 0, 0)
        oh = (h + pads[0] + pads[2] - k) // st + 1
        ow = (w + pads[1] + pads[3] - k) // st + 1
        y = s.act_t([1, oh, ow, o], 'none' if act == 'silu' else act)
        a = 'none' if act in ('silu', 'none') else act
        s.n.ops.append(Op('dw' if dw else 'conv', [x, wt, bt], [y], k=(k, k), s=(st, st), d=(1, 1), pad=pads, act=a))
        if act == 'silu':
            g = s.act_t([1, oh, ow, o], 'sig')
            s.n.ops.append(Op('logistic', [y], [g]))
            z = s.act_t([1, oh, ow, o], 'silu')
            s.n.ops.append(Op('mul', [y, g], [z], act='none'))
            y = z
        return y

    def fc(s, x, o):
        c = s.n.t[x].shape[-1]
        wd = s.r.integers(-127, 128, [o, c], dtype=np.int8)
        ws = np.full(1, math.sqrt(2. / c) / 73, np.float32)
        wt = s.n.add(T('w%d' % len(s.n.t), [o, c], np.int8, ws, [0], wd, 0))
        bt = s.n.add(T('b%d' % len(s.n.t), [o], np.int32, ws * s.n.t[x].scale[0], [0], np.zeros(o, np.int32), 0))
        y = s.act_t([1, o], 'none')
        s.n.ops.append(Op('fc', [x, wt, bt], [y], act='none'))
        return y

    def add(s, a, b, act='none'):
        y = s.act_t(s.n.t[a].shape, act)
        s.n.ops.append(Op('add', [a, b], [y], act='none' if act == 'silu' else act))
        return y

    def cat(s, xs):
        sh = list(s.n.t[xs[0]].shape)
        sh[3] = sum(s.n.t[x].shape[3] for x in xs)
        y = s.act_t(sh, 'silu' if s.silu else 'relu')
        s.n.ops.append(Op('concat', xs, [y], axis=3))
        return y

    def same(self, kind, x, shape, **a):  # output keeps input quantisation
        xi = self.n.t[x]
        y = self.n.add(T('a%d' % len(self.n.t), shape, np.int8, xi.scale, xi.zp))
        self.n.ops.append(Op(kind, [x], [y], **a))
        return y


def build_resnet50(hw=224):
    b = B('resnet50_%d_RANDOM' % hw, hw)
    x = b.conv(b.x, 64, 7, 2, 'relu')
    h = b.n.t[x].shape[1]
    x = b.same('maxpool', x, [1, h // 2, h // 2, 64], k=(3, 3), s=(2, 2), pad=(1, 1, 1, 1))
    for w, nb, st in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(nb):
            s1 = st if i == 0 else 1
            sc = b.conv(x, w * 4, 1, s1, 'none') if i == 0 else x
            y = b.conv(x, w, 1, 1, 'relu')
            y = b.conv(y, w, 3, s1, 'relu')
            y = b.conv(y, w * 4, 1, 1, 'none')
            x = b.add(y, sc, 'relu')
    c = b.n.t[x].shape[3]
    x = b.same('mean', x, [1, c])
    y = b.fc(x, 1000)
    b.n.outputs = [y]
    return b.n


def build_yolov8n(hw=320, act='silu'):
    b = B('yolov8n_%d%s_RANDOM' % (hw, '' if act == 'silu' else '_' + act), hw)
    b.silu = act == 'silu'
    C = lambda x, o, k=1, st=1: b.conv(x, o, k, st, act)

    def split2(x, c):  # C2f's channel split: expressed as two 1x1 convs (same MACs, no slice op)
        return C(x, c), C(x, c)

    def c2f(x, o, n, short):
        c = o // 2
        p, q = split2(x, c)
        ys = [p, q]
        for _ in range(n):
            z = C(C(ys[-1], c, 3), c, 3)
            ys.append(b.add(ys[-1], z, 'silu' if b.silu else 'relu') if short else z)
        return C(b.cat(ys), o)

    def up(x):
        _, h, w, c = b.n.t[x].shape
        return b.same('resize_nn', x, [1, h * 2, w * 2, c])

    x = C(b.x, 16, 3, 2)
    x = C(x, 32, 3, 2)
    x = c2f(x, 32, 1, True)
    x = C(x, 64, 3, 2)
    p3 = c2f(x, 64, 2, True)
    x = C(p3, 128, 3, 2)
    p4 = c2f(x, 128, 2, True)
    x = C(p4, 256, 3, 2)
    x = c2f(x, 256, 1, True)
    y = C(x, 128)  # SPPF
    ps = [y]
    for _ in range(3):
        ps.append(b.same('maxpool', ps[-1], b.n.t[y].shape, k=(5, 5), s=(1, 1), pad=(2, 2, 2, 2)))
    p5 = C(b.cat(ps), 256)
    n4 = c2f(b.cat([up(p5), p4]), 128, 1, False)
    n3 = c2f(b.cat([up(n4), p3]), 64, 1, False)
    m4 = c2f(b.cat([C(n3, 64, 3, 2), n4]), 128, 1, False)
    m5 = c2f(b.cat([C(m4, 128, 3, 2), p5]), 256, 1, False)
    outs = []
    for f in (n3, m4, m5):  # head up to the raw box/class maps (DFL+NMS are left to post-processing)
        outs.append(b.conv(C(C(f, 64, 3), 64, 3), 64, 1, 1, 'none'))
        outs.append(b.conv(C(C(f, 80, 3), 80, 3), 80, 1, 1, 'none'))
    b.n.outputs = outs
    return b.n
