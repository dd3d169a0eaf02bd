// SPDX-License-Identifier: Apache-2.0
// The reference: TFLite's interpreter with its reference kernels.
#include "tests/conformance/generator/reference.h"

#include <tensorflow/lite/error_reporter.h>
#include <tensorflow/lite/interpreter.h>
#include <tensorflow/lite/interpreter_builder.h>
#include <tensorflow/lite/kernels/register_ref.h>
#include <tensorflow/lite/model.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include "tests/conformance/seeded.h"

namespace wayside::conformance {

namespace {

using base::Code;
using base::fail;
using base::Result;

/// Keeps the first message, for the "refused" line.
class FirstMessage : public tflite::ErrorReporter {
 public:
  int Report(const char* format, va_list args) override {
    char text[256] = {};
    std::vsnprintf(text, sizeof text, format, args);
    if (message.empty()) message = text;
    std::ranges::replace(message, '\n', ' ');
    return 0;
  }
  std::string message;
};

struct Loaded {
  std::unique_ptr<tflite::FlatBufferModel> model;
  std::unique_ptr<tflite::Interpreter> interpreter;
};

Result<Loaded> load(std::span<const std::uint8_t> bytes, FirstMessage& errors) {
  Loaded loaded;
  loaded.model = tflite::FlatBufferModel::VerifyAndBuildFromBuffer(reinterpret_cast<const char*>(bytes.data()),
                                                                   bytes.size(), nullptr, &errors);
  if (!loaded.model) return fail(Code::corrupt, errors.message);
  const tflite::ops::builtin::BuiltinRefOpResolver resolver;
  if (tflite::InterpreterBuilder(*loaded.model, resolver)(&loaded.interpreter, 1) != kTfLiteOk) {
    return fail(Code::unsupported, errors.message);
  }
  if (loaded.interpreter->AllocateTensors() != kTfLiteOk) return fail(Code::unsupported, errors.message);
  return loaded;
}

/// Values over the whole range of an 8-bit type, or -40..40 for floats; the extremes come first.
std::vector<std::uint8_t> random_input(Random& random, const TfLiteTensor& tensor) {
  std::vector<std::uint8_t> bytes(tensor.bytes);
  if (tensor.type == kTfLiteFloat32) {
    for (std::size_t at = 0; at + sizeof(float) <= bytes.size(); at += sizeof(float)) {
      const auto value = static_cast<float>(random.real(-40, 40));
      std::memcpy(bytes.data() + at, &value, sizeof value);
    }
    return bytes;
  }
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.between(0, 255));
  const auto zero = static_cast<std::uint8_t>(tensor.params.zero_point);
  const std::uint8_t extremes[] = {tensor.type == kTfLiteInt8 ? std::uint8_t{0x80} : std::uint8_t{0},
                                   tensor.type == kTfLiteInt8 ? std::uint8_t{0x7f} : std::uint8_t{0xff}, zero};
  for (std::size_t i = 0; i < std::min<std::size_t>(3, bytes.size() / 4); ++i) bytes[i * 4] = extremes[i];
  return bytes;
}

}  // namespace

Result<std::vector<GoldenOutput>> run_reference(std::span<const std::uint8_t> model,
                                                std::span<const std::vector<std::uint8_t>> inputs) {
  FirstMessage errors;
  WAYSIDE_TRY(const auto loaded, load(model, errors));
  auto& interpreter = *loaded.interpreter;
  if (interpreter.inputs().size() != inputs.size()) return fail(Code::invalid_argument, "wrong number of inputs");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto* tensor = interpreter.input_tensor(i);
    if (tensor->bytes != inputs[i].size()) return fail(Code::invalid_argument, "wrong size of an input");
    std::memcpy(tensor->data.raw, inputs[i].data(), inputs[i].size());
  }
  if (interpreter.Invoke() != kTfLiteOk) return fail(Code::unsupported, errors.message);
  std::vector<GoldenOutput> outputs;
  for (std::size_t i = 0; i < interpreter.outputs().size(); ++i) {
    const auto* tensor = interpreter.output_tensor(i);
    const auto* raw = reinterpret_cast<const std::uint8_t*>(tensor->data.raw);
    outputs.push_back({tensor->name, 1, {raw, raw + tensor->bytes}});
  }
  return outputs;
}

void Suite::add(const std::string& op, const std::string& name, std::uint64_t seed, std::vector<std::uint8_t> model) {
  FirstMessage errors;
  const auto loaded = load(model, errors);
  if (!loaded) {
    std::printf("refused by TFLite: %s: %s: %s\n", op.c_str(), name.c_str(), loaded.error().message.c_str());
    ++refused_;
    return;
  }
  Random random(seed);
  std::vector<std::vector<std::uint8_t>> inputs;
  for (std::size_t i = 0; i < loaded->interpreter->inputs().size(); ++i) {
    inputs.push_back(random_input(random, *loaded->interpreter->input_tensor(i)));
  }
  add(op, name, seed, std::move(model), std::move(inputs));
}

void Suite::add(const std::string& op, const std::string& name, std::uint64_t seed, std::vector<std::uint8_t> model,
                std::vector<std::vector<std::uint8_t>> inputs) {
  auto outputs = run_reference(model, inputs);
  if (!outputs) {
    std::printf("refused by TFLite: %s: %s: %s\n", op.c_str(), name.c_str(), outputs.error().message.c_str());
    ++refused_;
    return;
  }
  cases_[op].push_back({op, name, seed, "", "", std::move(model), std::move(inputs), std::move(*outputs)});
}

Result<void> Suite::write(const std::filesystem::path& folder) const {
  std::size_t total = 0;
  for (const auto& [op, cases] : cases_) {
    const auto path = folder / (op + ".golden");
    WAYSIDE_CHECK(write_golden(path, cases));
    const auto size = std::filesystem::file_size(path);
    total += size;
    std::printf("%-24s %4zu cases %8zu bytes\n", op.c_str(), cases.size(), static_cast<std::size_t>(size));
  }
  std::printf("%zu operators, %zu bytes, %zu models refused by TFLite\n", cases_.size(), total, refused_);
  return {};
}

Result<void> Suite::write_corpus(const std::filesystem::path& folder) const {
  for (const auto& [op, cases] : cases_) {
    const auto smallest = std::ranges::min_element(cases, {}, [](const GoldenCase& item) { return item.model.size(); });
    const auto path = folder / (op + ".tflite");
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(smallest->model.data()),
              static_cast<std::streamsize>(smallest->model.size()));
    out.flush();
    if (!out) return base::fail_errno("write " + path.string());
  }
  return {};
}

}  // namespace wayside::conformance
