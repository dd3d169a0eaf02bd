// SPDX-License-Identifier: Apache-2.0
// Golden files: models, inputs and the outputs of TFLite's reference kernels, as tools/make_goldens recorded them.
//
// A .golden file is "WAYGOLD1", the u64 size of its payload, and the payload compressed with zlib. All numbers are
// little-endian; a blob is a u32 length and its bytes. The payload is a u32 case count and then, for each case:
//   blob op, blob name, u64 seed, blob model_file, blob model_sha256, blob model,
//   u32 count, inputs (blob each), u32 count, outputs (blob tensor name, u32 sample_step, blob bytes each).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace wayside::conformance {

/// What the reference kernels gave for one output tensor.
struct GoldenOutput {
  std::string tensor;             ///< name in the model; outputs are matched by it
  std::uint32_t sample_step = 1;  ///< `bytes` holds each sample_step-th byte of the tensor, the first included
  std::vector<std::uint8_t> bytes;
};

/// One model with one set of inputs. Either the model and the inputs are held here, or (real models) the model is a
/// file outside the repository, known by its hash, and the inputs are fill_picture(seed + input index).
struct GoldenCase {
  std::string op;    ///< TFLite's name of the operator, or of the family of small models
  std::string name;  ///< says what is special, e.g. "i8 1x7x9x5 k3x3 s2x1 same relu6"
  std::uint64_t seed = 0;
  std::string model_file;
  std::string model_sha256;
  std::vector<std::uint8_t> model;
  std::vector<std::vector<std::uint8_t>> inputs;
  std::vector<GoldenOutput> outputs;
};

/// Largest payload that read_golden accepts, so that a damaged size cannot exhaust the memory.
inline constexpr std::uint64_t kMaxGoldenBytes = 64U << 20U;

[[nodiscard]] std::vector<std::uint8_t> encode_golden(std::span<const GoldenCase> cases);
/// Errors: not_found, io, corrupt; each names the file.
[[nodiscard]] base::Result<std::vector<GoldenCase>> read_golden(const std::filesystem::path& path);
base::Result<void> write_golden(const std::filesystem::path& path, std::span<const GoldenCase> cases);

/// The whole file as bytes. Errors: not_found, io.
[[nodiscard]] base::Result<std::vector<std::uint8_t>> read_bytes(const std::filesystem::path& path);
/// Lower-case hexadecimal SHA-256.
[[nodiscard]] std::string sha256_hex(std::span<const std::uint8_t> bytes);

}  // namespace wayside::conformance
