// SPDX-License-Identifier: Apache-2.0
// Peer: TFLite's interpreter. argv[3] = "builtin" (its optimised kernels) or "reference" (the plain ones that define
// results).
#include <tensorflow/lite/interpreter.h>
#include <tensorflow/lite/interpreter_builder.h>
#include <tensorflow/lite/kernels/register.h>
#include <tensorflow/lite/kernels/register_ref.h>
#include <tensorflow/lite/model.h>
#include "worker.h"
struct TL : Peer {
  std::string mode;
  std::unique_ptr<tflite::FlatBufferModel> m;
  std::unique_ptr<tflite::Interpreter> it;
  bool load(const std::string& path, int th) override {
    m = tflite::FlatBufferModel::BuildFromFile(path.c_str());
    if (!m) return false;
    const tflite::ops::builtin::BuiltinOpResolverWithoutDefaultDelegates builtin;
    const tflite::ops::builtin::BuiltinRefOpResolver reference;
    tflite::InterpreterBuilder b(*m, mode == "reference" ? static_cast<const tflite::OpResolver&>(reference) : builtin);
    b.SetNumThreads(th);
    if (b(&it) != kTfLiteOk || !it) return false;
    if (it->AllocateTensors() != kTfLiteOk) return false;
    fprintf(stderr, "execution plan: %zu nodes\n", it->execution_plan().size());
    for (int i : it->inputs()) {
      auto* t = it->tensor(i);
      for (size_t k = 0; k < t->bytes; k++)
        ((uint8_t*)t->data.raw)[k] = input_byte(k, t->bytes) ^ (t->type == kTfLiteInt8 ? 0x80 : 0);
    }
    return true;
  }
  void run() override {
    if (it->Invoke() != kTfLiteOk) abort();
  }
  std::vector<float> out() override {
    std::vector<float> r;
    for (int i : it->outputs()) {
      auto* t = it->tensor(i);
      for (size_t k = 0; k < t->bytes; k++) {
        int q = t->type == kTfLiteInt8 ? ((int8_t*)t->data.raw)[k] : ((uint8_t*)t->data.raw)[k];
        r.push_back((q - t->params.zero_point) * t->params.scale);
      }
    }
    return r;
  }
};
int main(int c, char** v) {
  TL p;
  if (c < 3) return 2;
  p.mode = c > 3 ? v[3] : "builtin";
  return worker_main(p, v[1], atoi(v[2]));
}
