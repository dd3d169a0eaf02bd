// SPDX-License-Identifier: Apache-2.0
// Codes a plan of copies, additions and insertions.
#include <format>

#include "ota/delta/delta.h"
#include "ota/delta/delta_format.h"
#include "ota/delta/delta_model.h"

namespace wayside::ota {
namespace {

void code_bytes(DeltaModel& model, DeltaWriting direction, const DeltaStep& step, BytesView base, BytesView target) {
  if (step.kind == DeltaKind::insert) {
    for (const std::byte byte : target) model.literal.code(direction, std::to_integer<std::uint8_t>(byte));
  } else if (step.kind == DeltaKind::add) {
    for (std::size_t i = 0; i < target.size(); ++i) {
      const int residual = std::to_integer<int>(target[i]) - std::to_integer<int>(base[step.base_offset + i]);
      model.residual.code(direction, static_cast<std::uint8_t>(residual));
    }
  }
}

bool fits(const DeltaStep& step, std::uint64_t at, std::uint64_t base_bytes, std::uint64_t target_bytes) {
  if (step.bytes == 0 || step.bytes > target_bytes - at) return false;
  return step.kind == DeltaKind::insert ||
         (step.base_offset <= base_bytes && step.bytes <= base_bytes - step.base_offset);
}

}  // namespace

base::Result<Bytes> encode_delta(BytesView base, BytesView target, const std::vector<DeltaStep>& steps) {
  if (base.size() > kMaxFileBytes || target.size() > kMaxFileBytes) {
    return base::fail(base::Code::invalid_argument,
                      std::format("a delta is for files of at most {} bytes", kMaxFileBytes));
  }
  WAYSIDE_TRY(const Digest base_hash, sha256_of(base));
  WAYSIDE_TRY(const Digest target_hash, sha256_of(target));
  ByteWriter header;
  header.text(kDeltaMagic);
  header.bytes(target_hash.bytes);
  header.varint(target.size());
  header.bytes(base_hash.bytes);
  header.varint(base.size());

  RangeEncoder coder;
  const DeltaWriting direction{coder};
  const auto model = std::make_unique<DeltaModel>();
  std::uint64_t at = 0;
  std::int64_t diagonal = 0;
  for (const DeltaStep& step : steps) {
    if (!fits(step, at, base.size(), target.size())) {
      return base::fail(base::Code::invalid_argument, std::format("delta plan: bad step at {}", at));
    }
    model->kind(direction, step.kind);
    model->length[static_cast<std::size_t>(step.kind)].code(direction, static_cast<std::uint32_t>(step.bytes));
    if (step.kind != DeltaKind::insert) {
      const auto here = static_cast<std::int64_t>(step.base_offset) - static_cast<std::int64_t>(at);
      model->shift(direction, here - diagonal);
      diagonal = here;
    }
    code_bytes(*model, direction, step, base, target.subspan(at, step.bytes));
    at += step.bytes;
  }
  if (at != target.size()) return base::fail(base::Code::invalid_argument, "delta plan: does not cover the file");
  header.bytes(coder.finish());
  return header.take();
}

}  // namespace wayside::ota
