// SPDX-License-Identifier: Apache-2.0
// Delta: makes a file out of an older one and a small document; and the decoder that runs on untrusted documents.
#pragma once

#include <memory>
#include <vector>

#include "ota/delta/byte_source.h"
#include "ota/delta/chunk_index.h"
#include "ota/delta/digest_io.h"

namespace wayside::ota {

enum class DeltaKind : std::uint8_t;

/// One operation of an encoder's plan. The plan covers the new file from start to end, in order, without gaps.
struct DeltaStep {
  DeltaKind kind{};
  std::uint64_t base_offset = 0;  ///< copy and add
  std::uint64_t bytes = 0;        ///< > 0
};

/// Where the new file equals the old one byte for byte, and what lies between. For changes in few places, and
/// insertions. Linear time; memory: a table of 8 bytes for each 32 of `base`.
[[nodiscard]] std::vector<DeltaStep> plan_patch(BytesView base, BytesView target);

/// The new file block by block (1 KiB) as old bytes plus residuals, along those shifts where tensors moved as a whole.
/// For weights that changed a little everywhere. Linear time; memory: a table of 8 bytes for each 16 of `base`.
[[nodiscard]] std::vector<DeltaStep> plan_subtract(BytesView base, BytesView target);

/// Codes a plan (docs/formats/transfer.md, "Delta"). Both files at most kMaxFileBytes. Errors: invalid_argument.
base::Result<Bytes> encode_delta(BytesView base, BytesView target, const std::vector<DeltaStep>& steps);

/// What a delta says about itself.
struct DeltaHeader {
  Digest target_hash{}, base_hash{};
  std::uint64_t target_bytes = 0, base_bytes = 0;
  std::uint64_t coded_offset = 0;  ///< where the range coder's stream starts
  static base::Result<DeltaHeader> read(const ByteSource& delta);
};

struct DeltaExpectation {
  Digest base_hash{}, target_hash{};  ///< from signed metadata, never from the delta
  std::uint64_t target_bytes = 0;
};

/// Makes a file out of a delta and an older file, piece by piece; in this process, or where a mistake in it does no
/// harm.
class DeltaMaker {
 public:
  virtual ~DeltaMaker() = default;
  /// Writes about `max_bytes` more (> 0), or nothing yet. True when the file is complete; until then, and until
  /// somebody has compared its hash, the sink's content must not be used. Errors: corrupt, those of sources and sink;
  /// the maker is of no more use then.
  virtual base::Result<bool> step(ByteSink& sink, std::size_t max_bytes) = 0;
};

/// Decodes in steps of bounded work. Memory: about 150 KiB, whatever the delta says. Time: linear in the size of the
/// target, which signed metadata bounds. Thread: one.
class DeltaDecoder {
 public:
  /// Sources must outlive the decoder. Errors: corrupt when the header is not what is expected.
  static base::Result<DeltaDecoder> open(const ByteSource& delta, const ByteSource& base,
                                         const DeltaExpectation& expected);
  ~DeltaDecoder();
  DeltaDecoder(DeltaDecoder&&) noexcept;
  DeltaDecoder& operator=(DeltaDecoder&&) noexcept;

  /// Writes at most `max_bytes` more (> 0). True when the file is complete and its hash is right; until then the sink's
  /// content must not be used. Errors: corrupt (the delta is damaged or makes another file), those of sources and sink;
  /// after an error the decoder is of no more use.
  base::Result<bool> step(ByteSink& sink, std::size_t max_bytes);

 private:
  struct State;
  explicit DeltaDecoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wayside::ota
