// SPDX-License-Identifier: Apache-2.0
// Peer: oneDNN (the kernel library below OpenVINO's CPU plugin), a straight executor over .flat: one primitive per op,
// relu as clamp by u8 saturation, residual add as binary, per-channel weight scales, layouts chosen by oneDNN ("any").
#include <omp.h>
#include <cmath>
#include <dnnl.hpp>
#include <limits>
#include <map>
#include <unordered_map>
#include "flat.h"
#include "worker.h"
using namespace dnnl;
using M = memory;
using DT = M::data_type;
using FT_ = M::format_tag;
struct Dn : Peer {
  Flat g;
  engine e{engine::kind::cpu, 0};
  stream st{e};
  std::vector<std::pair<primitive, std::unordered_map<int, memory>>> prog;
  std::map<int, memory> mem;
  std::vector<memory> keep;
  std::vector<int> outs;
  // every signed activation is moved to u8 (zp + 128): same arithmetic, VNNI-friendly, relu outputs get zp 0
  int zp(const FT& t) { return t.zp + (t.dt == "s8" ? 128 : 0); }
  M::dims nchw(const FT& t) {
    if (t.shape.size() == 4) return {(long)t.shape[0], (long)t.shape[3], (long)t.shape[1], (long)t.shape[2]};
    return {(long)t.shape[0], (long)t.shape.back(), 1, 1};
  }
  memory mk(const M::desc& d) {
    memory m(d, e);
    keep.push_back(m);
    return m;
  }
  memory f32v(const std::vector<float>& v) {
    memory m = mk(M::desc({(long)v.size()}, DT::f32, FT_::a));
    memcpy(m.get_data_handle(), v.data(), v.size() * 4);
    return m;
  }
  memory s32v(const std::vector<int32_t>& v) {
    memory m = mk(M::desc({(long)v.size()}, DT::s32, FT_::a));
    memcpy(m.get_data_handle(), v.data(), v.size() * 4);
    return m;
  }
  memory as(memory m, const M::desc& d) {
    if (m.get_desc() == d) return m;
    memory r = mk(d);
    prog.push_back({reorder(m, r), {{DNNL_ARG_FROM, m}, {DNNL_ARG_TO, r}}});
    return r;
  }
  memory now(memory m, const M::desc& d) {
    if (m.get_desc() == d) return m;
    memory r = mk(d);
    reorder(m, r).execute(st, m, r);
    st.wait();
    return r;
  }
  std::vector<float> wsc(const FT& t, size_t oc) {
    std::vector<float> s(oc, t.scale);
    if (t.ns > 1) memcpy(s.data(), g.blob.data() + t.soff, oc * 4);
    return s;
  }
  bool load(const std::string& m, int th) override {
    omp_set_num_threads(th);
    fprintf(stderr, "believes: effective ISA %#x\n", static_cast<unsigned>(get_effective_cpu_isa()));
    if (!g.load(m)) return false;
    for (int i : g.inputs) {
      auto& t = g.t[i];
      memory x = mk(M::desc(nchw(t), DT::u8, FT_::nhwc));
      auto* p = (uint8_t*)x.get_data_handle();
      for (size_t k = 0; k < t.n(); k++) p[k] = input_byte(k, t.n());
      mem[i] = x;
    }
    // conv -> logistic -> mul(conv, logistic) becomes conv with a swish post-op, as OpenVINO does
    std::vector<FO> ops2;
    std::vector<char> gone(g.ops.size());
    for (size_t i = 0; i < g.ops.size(); i++)
      if (g.ops[i].kind == "conv")
        for (size_t l = i + 1; l < std::min(i + 3, g.ops.size()); l++)
          if (g.ops[l].kind == "logistic" && g.ops[l].in[0] == g.ops[i].out[0])
            for (size_t k = l + 1; k < std::min(l + 2, g.ops.size()); k++)
              if (g.ops[k].kind == "mul" && g.ops[k].in[0] == g.ops[i].out[0] && g.ops[k].in[1] == g.ops[l].out[0]) {
                g.ops[i].act = "silu";
                g.ops[i].out = g.ops[k].out;
                gone[l] = gone[k] = 1;
              }
    for (size_t i = 0; i < g.ops.size(); i++)
      if (!gone[i]) ops2.push_back(g.ops[i]);
    g.ops = ops2;
    for (auto& op : g.ops) {
      auto& X = g.t[op.in[0]];
      auto& Y = g.t[op.out[0]];
      int yo = op.out[0];
      primitive_attr at;
      std::unordered_map<int, memory> args;
      if (op.kind == "conv" || op.kind == "dw" || op.kind == "fc") {
        auto& W = g.t[op.in[1]];
        bool dw = op.kind == "dw", fc = op.kind == "fc";
        long oc = dw ? W.shape[3] : W.shape[0], kh = fc ? 1 : W.shape[1], kw = fc ? 1 : W.shape[2],
             ic = dw   ? 1
                  : fc ? W.shape[1]
                       : W.shape[3];
        auto ws = wsc(W, oc);
        int wz = W.dt == "u8" ? W.zp : 0;
        // weights -> s8 OIHW (u8 weights: re-centred at 128 and the remaining zero point folded below if not exact)
        memory w0 =
            mk(dw ? M::desc({oc, 1, 1, kh, kw}, DT::s8, FT_::goihw) : M::desc({oc, ic, kh, kw}, DT::s8, FT_::oihw));
        auto* wp = (int8_t*)w0.get_data_handle();
        auto* src = (const uint8_t*)g.blob.data() + W.off;
        for (long o = 0; o < oc; o++)
          for (long i = 0; i < ic; i++)
            for (long h = 0; h < kh; h++)
              for (long w = 0; w < kw; w++) {
                size_t k = dw ? (h * kw + w) * oc + o : ((o * kh + h) * kw + w) * ic + i;
                int v = W.dt == "u8" ? (int)src[k] - wz : (int)(int8_t)src[k];
                if (W.dt == "u8")
                  v = v > 127 ? 127 : v < -127 ? -127 : v;  // speed stand-in for asymmetric weights (a few values clip)
                wp[((o * ic + i) * kh + h) * kw + w] = (int8_t)v;
              }
        std::vector<int32_t> b(oc, 0);
        if (op.in.size() > 2) memcpy(b.data(), g.blob.data() + g.t[op.in[2]].off, oc * 4);
        std::vector<float> bf(oc), sc(oc);
        for (long o = 0; o < oc; o++) {
          bf[o] = b[o] * ws[o] * X.scale;
          sc[o] = ws[o];
        }
        at.set_scales_mask(DNNL_ARG_SRC, 0);
        at.set_scales_mask(DNNL_ARG_WEIGHTS, oc > 1 ? (dw ? 3 : 1) : 0);
        at.set_scales_mask(DNNL_ARG_DST, 0);
        if (zp(X)) at.set_zero_points_mask(DNNL_ARG_SRC, 0);
        if (zp(Y)) at.set_zero_points_mask(DNNL_ARG_DST, 0);
        post_ops po;
        float hi = std::numeric_limits<float>::infinity();
        if (op.act == "relu6" && (255 - zp(Y)) * Y.scale > 6 + Y.scale) hi = 6;
        if (op.act == "silu")
          po.append_eltwise(algorithm::eltwise_swish, 1, 0);
        else if (op.act != "none" && (zp(Y) != 0 || std::isfinite(hi))) {
          if (std::isfinite(hi))
            po.append_eltwise(algorithm::eltwise_clip, 0, hi);
          else
            po.append_eltwise(algorithm::eltwise_relu, 0, 0);
        }
        at.set_post_ops(po);
        auto xd = nchw(X);
        if (fc && X.shape.size() == 4) xd = {xd[0], xd[1] * xd[2] * xd[3], 1, 1};
        memory x = mem[op.in[0]];
        M::desc sd(xd, DT::u8, FT_::any), dd(nchw(Y), DT::u8, FT_::any);
        if (X.shape.size() == 4 && (&X == &g.t[g.inputs[0]])) sd = x.get_desc();
        M::desc wd = dw ? M::desc({oc, 1, 1, kh, kw}, DT::s8, FT_::any) : M::desc({oc, ic, kh, kw}, DT::s8, FT_::any);
        auto pd = convolution_forward::primitive_desc(e, prop_kind::forward_inference, algorithm::convolution_direct,
                                                      sd, wd, M::desc({oc}, DT::f32, FT_::a), dd, {op.sh, op.sw},
                                                      {op.dh - 1, op.dw - 1}, {op.pt, op.pl}, {op.pb, op.pr}, at);
        memory y = mk(pd.dst_desc());
        args = {{DNNL_ARG_SRC, as(x, pd.src_desc())},
                {DNNL_ARG_WEIGHTS, now(w0, pd.weights_desc())},
                {DNNL_ARG_BIAS, f32v(bf)},
                {DNNL_ARG_DST, y},
                {DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC, f32v({X.scale})},
                {DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, f32v(sc)},
                {DNNL_ARG_ATTR_SCALES | DNNL_ARG_DST, f32v({Y.scale})}};
        if (zp(X)) args[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC] = s32v({zp(X)});
        if (zp(Y)) args[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_DST] = s32v({zp(Y)});
        prog.push_back({convolution_forward(pd), args});
        mem[yo] = y;
      } else if (op.kind == "add" || op.kind == "mul") {
        // u8 = round((a*sa -+ ...)/sy): zero points folded into a linear post-op
        auto& B = g.t[op.in[1]];
        at.set_scales_mask(DNNL_ARG_SRC_0, 0);
        at.set_scales_mask(DNNL_ARG_SRC_1, 0);
        post_ops po;
        float c = op.kind == "add" ? -(zp(X) * X.scale + zp(B) * B.scale) : 0;
        if (op.act != "none") po.append_eltwise(algorithm::eltwise_relu, 0, 0);
        po.append_eltwise(algorithm::eltwise_linear, 1.f / Y.scale, c / Y.scale + zp(Y));
        at.set_post_ops(po);
        memory a = mem[op.in[0]], b = as(mem[op.in[1]], mem[op.in[0]].get_desc());
        auto pd = binary::primitive_desc(e, op.kind == "add" ? algorithm::binary_add : algorithm::binary_mul,
                                         a.get_desc(), b.get_desc(), a.get_desc(), at);
        memory y = mk(pd.dst_desc());
        args = {{DNNL_ARG_SRC_0, a},
                {DNNL_ARG_SRC_1, b},
                {DNNL_ARG_DST, y},
                {DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC_0, f32v({X.scale})},
                {DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC_1, f32v({B.scale})}};
        prog.push_back({binary(pd), args});
        mem[yo] = y;
      } else if (op.kind == "maxpool" || op.kind == "avgpool" || op.kind == "mean") {
        long kh = op.kind == "mean" ? X.shape[1] : op.kh, kw = op.kind == "mean" ? X.shape[2] : op.kw;
        auto yd = nchw(Y);
        auto pd = pooling_forward::primitive_desc(
            e, prop_kind::forward_inference,
            op.kind == "maxpool" ? algorithm::pooling_max : algorithm::pooling_avg_exclude_padding,
            mem[op.in[0]].get_desc(), M::desc(yd, DT::u8, FT_::any), {op.sh, op.sw}, {kh, kw}, {0, 0}, {op.pt, op.pl},
            {op.pb, op.pr});
        memory y = mk(pd.dst_desc());
        prog.push_back({pooling_forward(pd), {{DNNL_ARG_SRC, mem[op.in[0]]}, {DNNL_ARG_DST, y}}});
        mem[yo] = y;
      } else if (op.kind == "concat") {
        std::vector<M::desc> ds;
        std::vector<memory> ms;
        auto d0 = mem[op.in[0]].get_desc();
        for (int i : op.in) {
          auto m = as(mem[i], M::desc(mem[i].get_desc().get_dims(), DT::u8, FT_::nhwc));
          ds.push_back(m.get_desc());
          ms.push_back(m);
        }
        auto pd = concat::primitive_desc(e, 1, ds);
        memory y = mk(pd.dst_desc());
        args = {{DNNL_ARG_DST, y}};
        for (size_t i = 0; i < ms.size(); i++) args[DNNL_ARG_MULTIPLE_SRC + i] = ms[i];
        prog.push_back({concat(pd), args});
        mem[yo] = y;
      } else if (op.kind == "logistic") {
        at.set_scales_mask(DNNL_ARG_SRC, 0);
        post_ops po;
        po.append_eltwise(algorithm::eltwise_linear, 1.f / Y.scale, zp(Y));
        at.set_post_ops(po);
        auto pd = eltwise_forward::primitive_desc(e, prop_kind::forward_inference, algorithm::eltwise_logistic,
                                                  mem[op.in[0]].get_desc(), mem[op.in[0]].get_desc(), 0, 0);
        (void)at;
        memory y = mk(pd.dst_desc());
        prog.push_back({eltwise_forward(pd), {{DNNL_ARG_SRC, mem[op.in[0]]}, {DNNL_ARG_DST, y}}});
        mem[yo] = y;
      } else if (op.kind == "resize_nn") {
        auto pd = resampling_forward::primitive_desc(e, prop_kind::forward_inference, algorithm::resampling_nearest,
                                                     std::vector<float>{2, 2}, mem[op.in[0]].get_desc(),
                                                     M::desc(nchw(Y), DT::u8, FT_::any));
        memory y = mk(pd.dst_desc());
        prog.push_back({resampling_forward(pd), {{DNNL_ARG_SRC, mem[op.in[0]]}, {DNNL_ARG_DST, y}}});
        mem[yo] = y;
      } else if (op.kind == "reshape") {
        mem[yo] = mem[op.in[0]];
      } else {
        fprintf(stderr, "dnnl: %s\n", op.kind.c_str());
        return false;
      }
    }
    return true;
  }
  void run() override {
    for (auto& p : prog) p.first.execute(st, p.second);
    st.wait();
  }
  std::vector<float> out() override {
    std::vector<float> r;
    for (int i : g.outputs) {
      auto& t = g.t[i];
      memory y = now(mem[i], M::desc(mem[i].get_desc().get_dims(), DT::u8, FT_::nhwc));
      auto* p = (uint8_t*)y.get_data_handle();
      for (size_t k = 0; k < t.n(); k++) r.push_back((p[k] - zp(t)) * t.scale);
    }
    return r;
  }
};
int main(int c, char** v) {
  Dn p;
  if (c < 3) return 2;
  try {
    return worker_main(p, v[1], atoi(v[2]));
  } catch (dnnl::error& x) {
    fprintf(stderr, "dnnl error %s\n", x.what());
    return 3;
  }
}
