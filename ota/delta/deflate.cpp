// SPDX-License-Identifier: Apache-2.0
// Raw deflate: no zlib header and no Adler checksum, since every chunk is checked by its hash.
#include "ota/delta/deflate.h"

#include <zlib.h>

#include <memory>

namespace wayside::ota {
namespace {

constexpr int kRawWindowBits = -15;  // negative: raw deflate, 32 KiB window (zlib.h)
constexpr int kMemoryLevel = 9;

struct EndDeflate {
  void operator()(z_stream* stream) const { deflateEnd(stream); }
};
struct EndInflate {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};

Bytef* to_zlib(const std::byte* bytes) { return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes)); }

}  // namespace

base::Result<Bytes> deflate_chunk(BytesView raw) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kRawWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) {
    return base::fail(base::Code::exhausted, "zlib has no memory to deflate");
  }
  const std::unique_ptr<z_stream, EndDeflate> guard(&stream);
  Bytes out(raw.size());
  stream.next_in = to_zlib(raw.data());
  stream.avail_in = static_cast<uInt>(raw.size());
  stream.next_out = to_zlib(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END || stream.total_out >= raw.size()) return Bytes{};
  out.resize(stream.total_out);
  return out;
}

base::Result<Bytes> inflate_chunk(BytesView deflated, std::size_t raw_bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, kRawWindowBits) != Z_OK) {
    return base::fail(base::Code::exhausted, "zlib has no memory to inflate");
  }
  const std::unique_ptr<z_stream, EndInflate> guard(&stream);
  Bytes out(raw_bytes);
  stream.next_in = to_zlib(deflated.data());
  stream.avail_in = static_cast<uInt>(deflated.size());
  stream.next_out = to_zlib(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (inflate(&stream, Z_FINISH) != Z_STREAM_END || stream.total_out != raw_bytes || stream.avail_in != 0) {
    return base::fail(base::Code::corrupt, "the deflated chunk is damaged");
  }
  return out;
}

}  // namespace wayside::ota
