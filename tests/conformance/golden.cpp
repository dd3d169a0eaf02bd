// SPDX-License-Identifier: Apache-2.0
// Golden files: encoding and checked decoding.
#include "tests/conformance/golden.h"

#include <openssl/sha.h>
#include <zlib.h>

#include <array>
#include <cstring>
#include <fstream>
#include <string_view>

namespace wayside::conformance {

namespace {

using base::Code;
using base::fail;
using base::Result;
using Bytes = std::vector<std::uint8_t>;

constexpr std::string_view kMagic = "WAYGOLD1";
constexpr std::size_t kHeaderBytes = 16;

template <class T>
void put(Bytes& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

template <class Range>
void put_blob(Bytes& out, const Range& bytes) {
  put(out, static_cast<std::uint32_t>(bytes.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Reads forward; after the first read beyond the end `ok()` is false and everything read is empty.
class Cursor {
 public:
  explicit Cursor(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

  template <class T>
  T number() {
    T value = 0;
    const auto part = take(sizeof(T));
    for (std::size_t i = 0; i < part.size(); ++i) value = static_cast<T>(value | (static_cast<T>(part[i]) << (8 * i)));
    return value;
  }
  /// A count of things that take at least one byte each.
  std::size_t count() {
    const auto value = number<std::uint32_t>();
    if (value > bytes_.size()) ok_ = false;
    return ok_ ? value : 0;
  }
  Bytes blob() {
    const auto part = take(number<std::uint32_t>());
    return {part.begin(), part.end()};
  }
  std::string text() {
    const auto part = take(number<std::uint32_t>());
    return {part.begin(), part.end()};
  }

 private:
  std::span<const std::uint8_t> take(std::size_t count) {
    if (!ok_ || count > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const auto part = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return part;
  }

  std::span<const std::uint8_t> bytes_;
  bool ok_ = true;
};

void put_case(Bytes& out, const GoldenCase& item) {
  put_blob(out, item.op);
  put_blob(out, item.name);
  put(out, item.seed);
  put_blob(out, item.model_file);
  put_blob(out, item.model_sha256);
  put_blob(out, item.model);
  put(out, static_cast<std::uint32_t>(item.inputs.size()));
  for (const auto& input : item.inputs) put_blob(out, input);
  put(out, static_cast<std::uint32_t>(item.outputs.size()));
  for (const auto& output : item.outputs) {
    put_blob(out, output.tensor);
    put(out, output.sample_step);
    put_blob(out, output.bytes);
  }
}

GoldenCase take_case(Cursor& in) {
  GoldenCase item;
  item.op = in.text();
  item.name = in.text();
  item.seed = in.number<std::uint64_t>();
  item.model_file = in.text();
  item.model_sha256 = in.text();
  item.model = in.blob();
  item.inputs.resize(in.count());
  for (auto& input : item.inputs) input = in.blob();
  item.outputs.resize(in.count());
  for (auto& output : item.outputs) {
    output.tensor = in.text();
    output.sample_step = in.number<std::uint32_t>();
    output.bytes = in.blob();
  }
  return item;
}

Result<Bytes> decompress(const std::filesystem::path& path, std::span<const std::uint8_t> file) {
  if (file.size() < kHeaderBytes || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return fail(Code::corrupt, path.string() + ": not a golden file; make it anew with tools/make_goldens");
  }
  const auto size = Cursor(file.subspan(kMagic.size())).number<std::uint64_t>();
  if (size > kMaxGoldenBytes) return fail(Code::corrupt, path.string() + ": golden payload is too large");
  Bytes payload(size);
  auto length = static_cast<uLongf>(size);
  const auto packed = file.subspan(kHeaderBytes);
  if (uncompress(payload.data(), &length, packed.data(), packed.size()) != Z_OK || length != size) {
    return fail(Code::corrupt, path.string() + ": damaged golden file; restore it from git");
  }
  return payload;
}

}  // namespace

Bytes encode_golden(std::span<const GoldenCase> cases) {
  Bytes payload;
  put(payload, static_cast<std::uint32_t>(cases.size()));
  for (const auto& item : cases) put_case(payload, item);
  Bytes file(kMagic.begin(), kMagic.end());
  put(file, static_cast<std::uint64_t>(payload.size()));
  auto length = compressBound(payload.size());
  file.resize(kHeaderBytes + length);
  if (compress2(file.data() + kHeaderBytes, &length, payload.data(), payload.size(), Z_BEST_COMPRESSION) != Z_OK) {
    return {};
  }
  file.resize(kHeaderBytes + length);
  return file;
}

Result<std::vector<GoldenCase>> read_golden(const std::filesystem::path& path) {
  WAYSIDE_TRY(const auto file, read_bytes(path));
  WAYSIDE_TRY(const auto payload, decompress(path, file));
  Cursor in(payload);
  std::vector<GoldenCase> cases(in.count());
  for (auto& item : cases) item = take_case(in);
  if (!in.ok() || !in.at_end()) {
    return fail(Code::corrupt, path.string() + ": truncated golden payload; make it anew with tools/make_goldens");
  }
  return cases;
}

Result<void> write_golden(const std::filesystem::path& path, std::span<const GoldenCase> cases) {
  const auto file = encode_golden(cases);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  out.flush();
  if (!out) return base::fail_errno("write " + path.string());
  return {};
}

Result<Bytes> read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return base::fail_errno("open " + path.string());
  Bytes bytes(static_cast<std::size_t>(in.tellg()));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!in) return base::fail_errno("read " + path.string());
  return bytes;
}

std::string sha256_hex(std::span<const std::uint8_t> bytes) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(bytes.data(), bytes.size(), digest.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const auto byte : digest) {
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 15U];
  }
  return hex;
}

}  // namespace wayside::conformance
