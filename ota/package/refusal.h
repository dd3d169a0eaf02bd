// SPDX-License-Identifier: Apache-2.0
// Refusal: why a package, a signature, a root or a command was not accepted; one code for each kind of attack or
// mistake.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace wayside::ota {

/// The numbers are public (docs/formats/package.md) and never reused.
enum class Refusal {
  io = 1,
  // container
  truncated = 10,
  trailing_bytes,
  bad_magic,
  unsupported_format,
  reserved_not_zero,
  manifest_too_large,
  signatures_too_large,
  too_many_files,
  table_not_sorted,
  extra_file,
  missing_file,
  size_mismatch,
  hash_mismatch,
  package_too_large,
  // JSON
  not_json = 40,
  too_deep,
  not_canonical,
  unknown_type,
  missing_field,
  unknown_field,
  wrong_field_type,
  not_an_integer,
  out_of_range,
  bad_text,
  bad_digest,
  bad_version,
  too_many_items,
  parser_failed,  ///< what parses it in a jail did not survive it
  // manifest
  duplicate_variant = 60,
  file_not_listed,
  unreferenced_file,
  file_too_large,
  total_too_large,
  no_variants,
  no_golden_set,
  bad_requirement,
  lifetime_empty,
  // signatures and trust
  no_signatures = 80,
  signatures_malformed,
  signature_length,
  duplicate_signature,
  unknown_key,
  key_not_for_role,
  bad_signature,
  threshold_not_met,
  no_root,
  root_malformed,
  root_version,
  root_threshold_old,
  root_threshold_new,
  root_expired,
  bad_key,
  // policy of this device
  expired = 110,
  issued_in_future,
  rollback,
  fast_forward,
  wrong_target,
  wrong_role,
  foreign_board,
  no_variant_for_runtime,
  // commands
  command_malformed = 130,
  command_expired,
  command_repeated,
  manifest_not_known,
  not_admitted,
  no_space,
  over_byte_budget,
  busy,
  failed_before,
  not_yet,
};

/// "hash_mismatch"
[[nodiscard]] std::string_view to_string(Refusal refusal);
/// "E-OTA-0022"
[[nodiscard]] std::string code_of(Refusal refusal);

/// A refusal and one line that names the thing and the remedy.
struct Refused {
  Refusal reason = Refusal::io;
  std::string message;
};

template <class T>
using Checked = std::expected<T, Refused>;

[[nodiscard]] inline std::unexpected<Refused> refuse(Refusal reason, std::string message) {
  return std::unexpected(Refused{reason, std::move(message)});
}
/// A failure of the medium, as a refusal.
[[nodiscard]] inline std::unexpected<Refused> refuse(base::Error error) {
  return std::unexpected(Refused{Refusal::io, std::move(error.message)});
}
/// The refusal of this number; parser_failed for a number that none has.
[[nodiscard]] Refusal refusal_of(std::uint32_t number);
/// "E-OTA-0022 hash_mismatch: <message>"
[[nodiscard]] std::string describe(const Refused& refused);

}  // namespace wayside::ota

/// Like WAYSIDE_TRY, for a base::Result inside a function that returns Checked.
#define WAYSIDE_TRY_IO(declaration, expression)                                       \
  auto WAYSIDE_CONCAT(try_, __LINE__) = (expression);                                 \
  if (!WAYSIDE_CONCAT(try_, __LINE__))                                                \
    return ::wayside::ota::refuse(std::move(WAYSIDE_CONCAT(try_, __LINE__)).error()); \
  declaration = std::move(*WAYSIDE_CONCAT(try_, __LINE__))
#define WAYSIDE_CHECK_IO(expression)                                                     \
  do {                                                                                   \
    auto wayside_check = (expression);                                                   \
    if (!wayside_check) return ::wayside::ota::refuse(std::move(wayside_check).error()); \
  } while (false)
