// SPDX-License-Identifier: Apache-2.0
// Peer: XNNPACK alone (subgraph API), fed from .flat -- what TFLite's delegate does, minus the interpreter.
#include <cpuinfo.h>
#include <pthreadpool.h>
#include <xnnpack.h>
#include <cmath>
#include <limits>
#include "flat.h"
#include "worker.h"
#define CK(x)                                                                         \
  do {                                                                                \
    xnn_status s_ = (x);                                                              \
    if (s_ != xnn_status_success) {                                                   \
      fprintf(stderr, "xnn error %d at %s:%d %s\n", (int)s_, __FILE__, __LINE__, #x); \
      return false;                                                                   \
    }                                                                                 \
  } while (0)
struct Xnn : Peer {
  Flat g;
  xnn_runtime_t rt = nullptr;
  pthreadpool_t tp = nullptr;
  bool prof_on = getenv("XNN_PROF") != nullptr;
  std::vector<std::vector<uint8_t>> in, o;
  std::vector<xnn_external_value> ev;
  bool load(const std::string& m, int th) override {
    if (!g.load(m)) return false;
    CK(xnn_initialize(nullptr));
    if (cpuinfo_initialize())
      fprintf(stderr, "believes: avx512vnni %d, avx512f %d, avxvnni %d, avx2 %d\n", cpuinfo_has_x86_avx512vnni(),
              cpuinfo_has_x86_avx512f(), cpuinfo_has_x86_avxvnni(), cpuinfo_has_x86_avx2());
    xnn_subgraph_t sg;
    uint32_t next = 0;
    CK(xnn_create_subgraph(g.inputs.size() + g.outputs.size(), 0, &sg));
    std::vector<uint32_t> id(g.t.size(), XNN_INVALID_VALUE_ID);
    auto dtype = [](const FT& t) {
      return t.dt == "u8" ? xnn_datatype_quint8 : t.dt == "s8" ? xnn_datatype_qint8 : xnn_datatype_qint32;
    };
    std::vector<char> used(g.t.size());
    for (auto& op : g.ops) {
      for (int i : op.in) used[i] = 1;
      for (int i : op.out) used[i] = 1;
    }
    for (size_t i = 0; i < g.t.size(); i++) {
      if (!used[i]) continue;
      auto& t = g.t[i];
      uint32_t flags = 0, ext = XNN_INVALID_VALUE_ID;
      for (int x : g.inputs)
        if (x == (int)i) {
          flags |= XNN_VALUE_FLAG_EXTERNAL_INPUT;
          ext = next++;
        }
      for (int x : g.outputs)
        if (x == (int)i) {
          flags |= XNN_VALUE_FLAG_EXTERNAL_OUTPUT;
          ext = next++;
        }
      if (t.len && t.ns > 1)
        CK(xnn_define_channelwise_quantized_tensor_value(
            sg, t.dt == "s32" ? xnn_datatype_qcint32 : xnn_datatype_qcint8, (const float*)(g.blob.data() + t.soff),
            t.shape.size(), t.qdim, t.shape.data(), g.blob.data() + t.off, XNN_INVALID_VALUE_ID, 0, &id[i]));
      else
        CK(xnn_define_quantized_tensor_value(sg, dtype(t), t.zp, t.scale, t.shape.size(), t.shape.data(),
                                             t.len ? g.blob.data() + t.off : nullptr, ext, flags, &id[i]));
    }
    const float inf = std::numeric_limits<float>::infinity();
    for (auto& op : g.ops) {
      float lo = op.act == "none" ? -inf : 0.f, hi = op.act == "relu6" ? 6.f : inf;
      auto& X = g.t[op.in[0]];
      uint32_t a = id[op.in[0]], y = id[op.out[0]];
      uint32_t bias = op.in.size() > 2 ? id[op.in[2]] : XNN_INVALID_VALUE_ID;
      if (op.kind == "conv") {
        auto& W = g.t[op.in[1]];
        CK(xnn_define_convolution_2d(sg, op.pt, op.pr, op.pb, op.pl, op.kh, op.kw, op.sh, op.sw, op.dh, op.dw, 1,
                                     W.shape[3], W.shape[0], lo, hi, a, id[op.in[1]], bias, y, 0));
      } else if (op.kind == "dw") {
        auto& W = g.t[op.in[1]];
        CK(xnn_define_depthwise_convolution_2d(sg, op.pt, op.pr, op.pb, op.pl, op.kh, op.kw, op.sh, op.sw, op.dh, op.dw,
                                               W.shape[3] / X.shape[3], X.shape[3], lo, hi, a, id[op.in[1]], bias, y,
                                               0));
      } else if (op.kind == "fc") {
        CK(xnn_define_fully_connected(sg, lo, hi, a, id[op.in[1]], bias, y, 0));
      } else if (op.kind == "add" || op.kind == "mul") {
        xnn_binary_params bp{lo, hi};
        CK(xnn_define_binary(sg, op.kind == "add" ? xnn_binary_add : xnn_binary_multiply, &bp, a, id[op.in[1]], y, 0));
      } else if (op.kind == "logistic") {
        CK(xnn_define_unary(sg, xnn_unary_sigmoid, nullptr, a, y, 0));
      } else if (op.kind == "concat") {
        std::vector<uint32_t> v;
        for (int i : op.in) v.push_back(id[i]);
#ifdef XNN_OLD  // Debian's 20241108 API
        if (v.size() == 2)
          CK(xnn_define_concatenate2(sg, op.axis, v[0], v[1], y, 0));
        else if (v.size() == 3)
          CK(xnn_define_concatenate3(sg, op.axis, v[0], v[1], v[2], y, 0));
        else if (v.size() == 4)
          CK(xnn_define_concatenate4(sg, op.axis, v[0], v[1], v[2], v[3], y, 0));
        else
          return false;
#else
        CK(xnn_define_concatenate(sg, op.axis, v.size(), v.data(), y, 0));
#endif
      } else if (op.kind == "mean" ||
                 (op.kind == "avgpool" && (size_t)op.kh == X.shape[1] && (size_t)op.kw == X.shape[2])) {
        size_t ax[2] = {1, 2};
        CK(xnn_define_static_reduce(sg, xnn_reduce_mean, 2, ax, a, y,
                                    g.t[op.out[0]].shape.size() == 4 ? XNN_FLAG_KEEP_DIMS : 0));
      } else if (op.kind == "maxpool") {
        CK(xnn_define_max_pooling_2d(sg, op.pt, op.pr, op.pb, op.pl, op.kh, op.kw, op.sh, op.sw, 1, 1, -inf, inf, a, y,
                                     0));
      } else if (op.kind == "resize_nn") {  // XNNPACK has no nearest resize: bilinear stands in
        auto& Y = g.t[op.out[0]];
        CK(xnn_define_static_resize_bilinear_2d(sg, Y.shape[1], Y.shape[2], a, y, 0));
      } else if (op.kind == "reshape") {
        auto& Y = g.t[op.out[0]];
        CK(xnn_define_static_reshape(sg, Y.shape.size(), Y.shape.data(), a, y, 0));
      } else {
        fprintf(stderr, "xnn: op %s\n", op.kind.c_str());
        return false;
      }
    }
    tp = th > 1 ? pthreadpool_create(th) : nullptr;
    uint32_t fl = prof_on ? XNN_FLAG_BASIC_PROFILING : 0;
    CK(xnn_create_runtime_v3(sg, nullptr, tp, fl, &rt));
    CK(xnn_delete_subgraph(sg));
    for (int i : g.inputs) {
      auto& t = g.t[i];
      size_t n = t.n();
      std::vector<uint8_t> v(n + 128);
      for (size_t k = 0; k < n; k++) v[k] = input_byte(k, n) ^ (t.dt == "s8" ? 0x80 : 0);
      in.push_back(std::move(v));
    }
    for (int i : g.outputs) o.emplace_back(g.t[i].n() + 128);
    uint32_t e = 0;  // external ids were handed out in tensor order
    for (size_t i = 0; i < g.t.size(); i++) {
      if (!used[i]) continue;
      for (size_t k = 0; k < g.inputs.size(); k++)
        if (g.inputs[k] == (int)i) ev.push_back({e++, in[k].data()});
      for (size_t k = 0; k < g.outputs.size(); k++)
        if (g.outputs[k] == (int)i) ev.push_back({e++, o[k].data()});
    }
    CK(xnn_reshape_runtime(rt));
    CK(xnn_setup_runtime_v2(rt, ev.size(), ev.data()));
    return true;
  }
  void run() override {
    if (xnn_invoke_runtime(rt) != xnn_status_success) abort();
  }
  std::vector<float> out() override {
    std::vector<float> r;
    for (size_t k = 0; k < o.size(); k++) {
      auto& t = g.t[g.outputs[k]];
      size_t n = t.n();
      for (size_t i = 0; i < n; i++)
        r.push_back(((t.dt == "u8" ? (int)o[k][i] : (int)(int8_t)o[k][i]) - t.zp) * t.scale);
    }
    return r;
  }
  std::string prof() override {
    if (!prof_on) return "none";
    size_t n = 0, sz = 0;
    xnn_get_runtime_profiling_info(rt, xnn_profile_info_num_operators, sizeof n, &n, &sz);
    std::vector<uint64_t> tm(n), best(n, ~0ull);
    for (int r = 0; r < 200; r++) {
      run();
      xnn_get_runtime_profiling_info(rt, xnn_profile_info_operator_timing, n * 8, tm.data(), &sz);
      for (size_t i = 0; i < n; i++)
        if (tm[i] < best[i]) best[i] = tm[i];
    }
    sz = 0;
    xnn_get_runtime_profiling_info(rt, xnn_profile_info_operator_name, 0, nullptr, &sz);
    std::vector<char> nm(sz);
    xnn_get_runtime_profiling_info(rt, xnn_profile_info_operator_name, sz, nm.data(), &sz);
    std::string s = "prof";
    const char* p = nm.data();
    for (size_t i = 0; i < n; i++) {
      std::string x = p;
      p += x.size() + 1;
      for (auto& c : x)
        if (c == ' ' || c == ',') c = '_';
      s += " " + x + "=" + std::to_string(best[i]);
    }
    return s;
  }
};
int main(int c, char** v) {
  Xnn p;
  return c < 3 ? 2 : worker_main(p, v[1], atoi(v[2]));
}
