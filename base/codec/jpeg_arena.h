// SPDX-License-Identifier: Apache-2.0
// JpegArena: gives libjpeg its per-picture memory from blocks that stay, so that decoding a stream does not allocate.
#pragma once

#include <cstddef>
#include <cstdio>  // jpeglib.h needs size_t and FILE

#include <jpeglib.h>

#include <memory>
#include <vector>

namespace wayside::base {

/// Replaces the allocation methods of one libjpeg object for its JPOOL_IMAGE memory; everything else (permanent pool,
/// virtual arrays of progressive files) stays with libjpeg's own manager.
/// Source of the contract: libjpeg-turbo, libjpeg.txt, "Memory management", and jpeglib.h, struct jpeg_memory_mgr.
class JpegArena {
 public:
  /// Call once, right after jpeg_create_decompress(). The arena must outlive `cinfo`; cinfo->client_data becomes ours.
  void attach(j_common_ptr cinfo);

 private:
  struct Block {
    std::unique_ptr<std::byte[], void (*)(std::byte*)> data;
    std::size_t size_bytes;
  };
  void* take(std::size_t size_bytes);
  void rewind();
  static JpegArena& of(j_common_ptr cinfo);
  static void* alloc(j_common_ptr cinfo, int pool, std::size_t size_bytes);
  static void* alloc_large(j_common_ptr cinfo, int pool, std::size_t size_bytes);
  static JSAMPARRAY alloc_sarray(j_common_ptr cinfo, int pool, JDIMENSION samples_per_row, JDIMENSION rows);
  static void free_pool(j_common_ptr cinfo, int pool);

  jpeg_memory_mgr original_{};
  std::vector<Block> blocks_;
  std::size_t block_ = 0;       ///< index of the block being filled
  std::size_t used_bytes_ = 0;  ///< of that block
};

}  // namespace wayside::base
