// SPDX-License-Identifier: Apache-2.0
// Peer: ONNX Runtime, CPU EP.  argv[3] = path of libonnxruntime (dlopen'ed, so that any version can be used).
#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include "worker.h"
struct Ort_ : Peer {
  std::string lib;
  const OrtApi* A = nullptr;
  OrtSession* s = nullptr;
  OrtMemoryInfo* mi = nullptr;
  std::vector<std::string> in_n, out_n;
  std::vector<OrtValue*> in, o;
  std::vector<std::vector<uint8_t>> buf;
  std::vector<const char*> ip, op;
  std::vector<float> osc;
  std::vector<int> ozp;
  bool ok(OrtStatus* st) {
    if (st) {
      fprintf(stderr, "ort: %s\n", A->GetErrorMessage(st));
      return false;
    }
    return true;
  }
  bool load(const std::string& m, int th) override {
    void* h = dlopen(lib.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!h) {
      fprintf(stderr, "%s\n", dlerror());
      return false;
    }
    auto base = (const OrtApiBase* (*)())dlsym(h, "OrtGetApiBase");
    A = base()->GetApi(18);
    fprintf(stderr, "ORT %s\n", base()->GetVersionString());
    OrtEnv* e;
    if (!ok(A->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "p", &e))) return false;
    OrtSessionOptions* so;
    A->CreateSessionOptions(&so);
    A->SetIntraOpNumThreads(so, th);
    A->SetInterOpNumThreads(so, 1);
    A->SetSessionGraphOptimizationLevel(so, ORT_ENABLE_ALL);
    if (getenv("ORT_PROF")) A->EnableProfiling(so, getenv("ORT_PROF"));
    if (getenv("ORT_SAVE")) A->SetOptimizedModelFilePath(so, getenv("ORT_SAVE"));
    if (!ok(A->CreateSession(e, m.c_str(), so, &s))) return false;
    A->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &mi);
    OrtAllocator* al;
    A->GetAllocatorWithDefaultOptions(&al);
    size_t ni, no;
    A->SessionGetInputCount(s, &ni);
    A->SessionGetOutputCount(s, &no);
    for (size_t i = 0; i < ni; i++) {
      char* n;
      A->SessionGetInputName(s, i, al, &n);
      in_n.push_back(n);
      OrtTypeInfo* ti;
      A->SessionGetInputTypeInfo(s, i, &ti);
      const OrtTensorTypeAndShapeInfo* si;
      A->CastTypeInfoToTensorInfo(ti, &si);
      size_t nd;
      A->GetDimensionsCount(si, &nd);
      std::vector<int64_t> d(nd);
      A->GetDimensions(si, d.data(), nd);
      ONNXTensorElementDataType dt;
      A->GetTensorElementType(si, &dt);
      size_t c = 1;
      for (auto x : d) c *= x;
      std::vector<uint8_t> b(c);
      size_t C = nd == 4 ? d[1] : 1, HW = c / C;  // same image as the NHWC peers
      for (size_t p = 0; p < HW; p++)
        for (size_t k = 0; k < C; k++)
          b[k * HW + p] = input_byte(p * C + k, c) ^ (dt == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 ? 0x80 : 0);
      buf.push_back(std::move(b));
      OrtValue* v;
      if (!ok(A->CreateTensorWithDataAsOrtValue(mi, buf.back().data(), c, d.data(), nd, dt, &v))) return false;
      in.push_back(v);
    }
    for (size_t i = 0; i < no; i++) {
      char* n;
      A->SessionGetOutputName(s, i, al, &n);
      out_n.push_back(n);
    }
    for (auto& x : in_n) ip.push_back(x.c_str());
    for (auto& x : out_n) op.push_back(x.c_str());
    o.assign(no, nullptr);
    return true;
  }
  void run() override {
    for (auto& v : o)
      if (v) {
        A->ReleaseValue(v);
        v = nullptr;
      }
    if (!ok(A->Run(s, nullptr, ip.data(), in.data(), in.size(), op.data(), op.size(), o.data()))) abort();
  }
  std::vector<float> out()
      override {  // raw quantised values in NHWC order (bench.py applies no scale: compares rank/correlation)
    std::vector<float> r;
    for (auto v : o) {
      OrtTensorTypeAndShapeInfo* si;
      A->GetTensorTypeAndShape(v, &si);
      size_t nd, c;
      A->GetDimensionsCount(si, &nd);
      std::vector<int64_t> d(nd);
      A->GetDimensions(si, d.data(), nd);
      A->GetTensorShapeElementCount(si, &c);
      ONNXTensorElementDataType dt;
      A->GetTensorElementType(si, &dt);
      void* p;
      A->GetTensorMutableData(v, &p);
      size_t C = nd == 4 ? d[1] : 1, HW = c / C;
      for (size_t q = 0; q < HW; q++)
        for (size_t k = 0; k < C; k++) {
          size_t j = k * HW + q;
          r.push_back(dt == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 ? ((int8_t*)p)[j] : ((uint8_t*)p)[j]);
        }
    }
    return r;
  }
  std::string prof() override {
    if (!getenv("ORT_PROF")) return "none";
    for (int i = 0; i < 100; i++) run();
    OrtAllocator* al;
    A->GetAllocatorWithDefaultOptions(&al);
    char* f;
    A->SessionEndProfiling(s, al, &f);
    return std::string("prof ") + f;
  }
};
int main(int c, char** v) {
  Ort_ p;
  if (c < 4) return 2;
  p.lib = v[3];
  return worker_main(p, v[1], atoi(v[2]));
}
