// SPDX-License-Identifier: Apache-2.0
// An ONNX model as plain structs (internal to the importer): protobuf classes stay in onnx_model.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "optimizer/ir/graph.h"

namespace wayside::optimizer::onnx_import {

using ir::Shape;

/// A constant: numbers in row order, floats or whole numbers. Rank 0 has an empty shape and one element.
struct Literal {
  Shape shape;
  bool whole = false;
  std::vector<float> floats;
  std::vector<std::int64_t> wholes;
  std::int64_t least = 0;  ///< of 8-bit numbers: the least that the type has
  [[nodiscard]] std::size_t size() const { return whole ? wholes.size() : floats.size(); }
};

struct Attribute {
  std::int64_t i = 0;
  float f = 0;
  std::string s;
  std::vector<std::int64_t> ints;
  std::vector<float> floats;
  std::optional<Literal> tensor;
};

struct Node {
  std::string name, op;
  std::vector<std::string> inputs, outputs;  ///< an empty name: left out
  std::map<std::string, Attribute> attributes;

  [[nodiscard]] const Attribute* find(const std::string& key) const;
  [[nodiscard]] std::int64_t whole(const std::string& key, std::int64_t otherwise) const;
  [[nodiscard]] float number(const std::string& key, float otherwise) const;
  [[nodiscard]] std::string text(const std::string& key, const std::string& otherwise) const;
  [[nodiscard]] std::vector<std::int64_t> wholes(const std::string& key) const;
  [[nodiscard]] bool has_input(std::size_t index) const { return index < inputs.size() && !inputs[index].empty(); }
};

struct Port {
  std::string name;
  Shape shape;
};

struct Model {
  int opset = 0;
  std::vector<Node> nodes;
  std::map<std::string, Literal> initializers;
  std::vector<Port> inputs;  ///< without initializers
  std::vector<std::string> outputs;
};

/// Parses and bounds. Errors: see import_onnx().
[[nodiscard]] base::Result<Model> read_model(std::span<const std::uint8_t> bytes);

/// Untrusted text for one-line messages: printable ASCII, at most 64 characters.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace wayside::optimizer::onnx_import
