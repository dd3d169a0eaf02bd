// SPDX-License-Identifier: Apache-2.0
// JpegArena: bump allocation in blocks that are merged into one when a picture needed several.
#include "base/codec/jpeg_arena.h"

#include <algorithm>
#include <cstdint>
#include <new>
#include <numeric>

namespace wayside::base {
namespace {

// libjpeg-turbo's SIMD code reads and writes rows in whole 32-byte vectors and may run one vector past a row
// (jmemmgr.c: ALIGN_SIZE 32, rows rounded up to 2 * ALIGN_SIZE).
constexpr std::size_t kAlignBytes = 32;
constexpr std::size_t kRowRoundBytes = 2 * kAlignBytes;
constexpr std::size_t kFirstBlockBytes = 64 * 1024;  // a baseline decoder of a 1280 px wide picture needs about 50 kB

constexpr std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

void free_block(std::byte* data) { ::operator delete[](data, std::align_val_t{kAlignBytes}); }

}  // namespace

void JpegArena::attach(j_common_ptr cinfo) {
  cinfo->client_data = this;
  original_ = *cinfo->mem;
  cinfo->mem->alloc_small = &JpegArena::alloc;
  cinfo->mem->alloc_large = &JpegArena::alloc_large;
  cinfo->mem->alloc_sarray = &JpegArena::alloc_sarray;
  cinfo->mem->free_pool = &JpegArena::free_pool;
}

JpegArena& JpegArena::of(j_common_ptr cinfo) { return *static_cast<JpegArena*>(cinfo->client_data); }

void* JpegArena::take(std::size_t size_bytes) {
  size_bytes = round_up(size_bytes, kAlignBytes);
  while (block_ < blocks_.size() && blocks_[block_].size_bytes - used_bytes_ < size_bytes) {
    ++block_;
    used_bytes_ = 0;
  }
  if (block_ == blocks_.size()) {
    const std::size_t block_bytes = std::max(size_bytes, kFirstBlockBytes);
    blocks_.push_back({{new (std::align_val_t{kAlignBytes}) std::byte[block_bytes], &free_block}, block_bytes});
    used_bytes_ = 0;
  }
  void* result = blocks_[block_].data.get() + used_bytes_;
  used_bytes_ += size_bytes;
  return result;
}

void JpegArena::rewind() {
  block_ = 0;
  used_bytes_ = 0;
}

void* JpegArena::alloc(j_common_ptr cinfo, int pool, std::size_t size_bytes) {
  JpegArena& self = of(cinfo);
  return pool == JPOOL_IMAGE ? self.take(size_bytes) : self.original_.alloc_small(cinfo, pool, size_bytes);
}

void* JpegArena::alloc_large(j_common_ptr cinfo, int pool, std::size_t size_bytes) {
  JpegArena& self = of(cinfo);
  return pool == JPOOL_IMAGE ? self.take(size_bytes) : self.original_.alloc_large(cinfo, pool, size_bytes);
}

JSAMPARRAY JpegArena::alloc_sarray(j_common_ptr cinfo, int pool, JDIMENSION samples_per_row, JDIMENSION rows) {
  JpegArena& self = of(cinfo);
  if (pool != JPOOL_IMAGE) return self.original_.alloc_sarray(cinfo, pool, samples_per_row, rows);
  const std::size_t row_bytes = round_up(samples_per_row, kRowRoundBytes);
  auto* index = static_cast<JSAMPARRAY>(self.take(rows * sizeof(JSAMPROW)));
  auto* samples = static_cast<JSAMPROW>(self.take(row_bytes * rows));
  for (JDIMENSION row = 0; row < rows; ++row) index[row] = samples + row * row_bytes;
  return index;
}

void JpegArena::free_pool(j_common_ptr cinfo, int pool) {
  JpegArena& self = of(cinfo);
  self.original_.free_pool(cinfo, pool);
  if (pool == JPOOL_IMAGE) self.rewind();
}

}  // namespace wayside::base
