// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime as a reference for real models, and inputs as networks see them.
#pragma once

#include <onnxruntime/onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "optimizer/ir/graph.h"

namespace wayside::optimizer {

/// The float models of WAYSIDE_SHARED; none where it is absent.
inline std::vector<std::filesystem::path> onnx_models() {
  std::vector<std::filesystem::path> found;
  const char* shared = std::getenv("WAYSIDE_SHARED");
  const auto folder = std::filesystem::path(shared == nullptr ? "../shared" : shared) / "data/models/onnx";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

/// Letters and digits of a file's name, for the name of its test.
inline std::string test_name(const std::filesystem::path& path) {
  std::string name = path.stem().string();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

/// Of a file, or of its bytes; one thread.
inline Ort::Session open_reference(std::span<const std::uint8_t> bytes) {
  static const Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "test");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  return {env, bytes.data(), bytes.size(), options};
}
inline Ort::Session open_reference(const std::filesystem::path& path) {
  static const Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "test");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  return {env, path.c_str(), options};
}

/// Inputs and outputs in ONNX's order.
inline std::vector<std::vector<float>> run_reference(Ort::Session& session,
                                                     const std::vector<std::vector<float>>& inputs) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::AllocatorWithDefaultOptions allocator;
  std::vector<Ort::Value> values;
  std::vector<std::string> in, out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto shape = session.GetInputTypeInfo(i).GetTensorTypeAndShapeInfo().GetShape();
    for (auto& dim : shape) dim = std::max<std::int64_t>(dim, 1);
    values.push_back(Ort::Value::CreateTensor<float>(memory, const_cast<float*>(inputs[i].data()), inputs[i].size(),
                                                     shape.data(), shape.size()));
    in.emplace_back(session.GetInputNameAllocated(i, allocator).get());
  }
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i)
    out.emplace_back(session.GetOutputNameAllocated(i, allocator).get());
  std::vector<const char*> in_names, out_names;
  for (const auto& name : in) in_names.push_back(name.c_str());
  for (const auto& name : out) out_names.push_back(name.c_str());
  auto results = session.Run({}, in_names.data(), values.data(), values.size(), out_names.data(), out_names.size());
  std::vector<std::vector<float>> tensors;
  for (auto& result : results) {
    const auto* data = result.GetTensorMutableData<float>();
    tensors.emplace_back(data, data + result.GetTensorTypeAndShapeInfo().GetElementCount());
  }
  return tensors;
}

/// Pictures: smooth random waves of 0..255, as networks see them. Others: 0..1.
inline std::vector<float> random_input(const ir::Shape& s, std::mt19937& random) {
  std::uniform_real_distribution<float> draw(0, 1);
  std::vector<float> out(ir::element_count(s));
  const bool picture = s.size() == 4;
  const float fx = 0.02F + 0.1F * draw(random), fy = 0.02F + 0.1F * draw(random);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float noise = draw(random);
    if (!picture) {
      out[i] = noise;
      continue;
    }
    const auto columns = static_cast<std::size_t>(s[2]), rows = static_cast<std::size_t>(s[1]);
    const auto x = static_cast<float>(i % columns), y = static_cast<float>(i / columns % rows);
    out[i] = 100 + 70 * std::sin(x * fx) + 60 * std::cos(y * fy) + 25 * noise;
  }
  return out;
}

}  // namespace wayside::optimizer
