// SPDX-License-Identifier: Apache-2.0
// Names and numbers of refusals.
#include "ota/package/refusal.h"

#include <format>

namespace wayside::ota {

std::string_view to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::io: return "io";
    case Refusal::truncated: return "truncated";
    case Refusal::trailing_bytes: return "trailing_bytes";
    case Refusal::bad_magic: return "bad_magic";
    case Refusal::unsupported_format: return "unsupported_format";
    case Refusal::reserved_not_zero: return "reserved_not_zero";
    case Refusal::manifest_too_large: return "manifest_too_large";
    case Refusal::signatures_too_large: return "signatures_too_large";
    case Refusal::too_many_files: return "too_many_files";
    case Refusal::table_not_sorted: return "table_not_sorted";
    case Refusal::extra_file: return "extra_file";
    case Refusal::missing_file: return "missing_file";
    case Refusal::size_mismatch: return "size_mismatch";
    case Refusal::hash_mismatch: return "hash_mismatch";
    case Refusal::package_too_large: return "package_too_large";
    case Refusal::not_json: return "not_json";
    case Refusal::too_deep: return "too_deep";
    case Refusal::not_canonical: return "not_canonical";
    case Refusal::unknown_type: return "unknown_type";
    case Refusal::missing_field: return "missing_field";
    case Refusal::unknown_field: return "unknown_field";
    case Refusal::wrong_field_type: return "wrong_field_type";
    case Refusal::not_an_integer: return "not_an_integer";
    case Refusal::out_of_range: return "out_of_range";
    case Refusal::bad_text: return "bad_text";
    case Refusal::bad_digest: return "bad_digest";
    case Refusal::bad_version: return "bad_version";
    case Refusal::too_many_items: return "too_many_items";
    case Refusal::parser_failed: return "parser_failed";
    case Refusal::duplicate_variant: return "duplicate_variant";
    case Refusal::file_not_listed: return "file_not_listed";
    case Refusal::unreferenced_file: return "unreferenced_file";
    case Refusal::file_too_large: return "file_too_large";
    case Refusal::total_too_large: return "total_too_large";
    case Refusal::no_variants: return "no_variants";
    case Refusal::no_golden_set: return "no_golden_set";
    case Refusal::bad_requirement: return "bad_requirement";
    case Refusal::lifetime_empty: return "lifetime_empty";
    case Refusal::no_signatures: return "no_signatures";
    case Refusal::signatures_malformed: return "signatures_malformed";
    case Refusal::signature_length: return "signature_length";
    case Refusal::duplicate_signature: return "duplicate_signature";
    case Refusal::unknown_key: return "unknown_key";
    case Refusal::key_not_for_role: return "key_not_for_role";
    case Refusal::bad_signature: return "bad_signature";
    case Refusal::threshold_not_met: return "threshold_not_met";
    case Refusal::no_root: return "no_root";
    case Refusal::root_malformed: return "root_malformed";
    case Refusal::root_version: return "root_version";
    case Refusal::root_threshold_old: return "root_threshold_old";
    case Refusal::root_threshold_new: return "root_threshold_new";
    case Refusal::root_expired: return "root_expired";
    case Refusal::bad_key: return "bad_key";
    case Refusal::expired: return "expired";
    case Refusal::issued_in_future: return "issued_in_future";
    case Refusal::rollback: return "rollback";
    case Refusal::fast_forward: return "fast_forward";
    case Refusal::wrong_target: return "wrong_target";
    case Refusal::wrong_role: return "wrong_role";
    case Refusal::foreign_board: return "foreign_board";
    case Refusal::no_variant_for_runtime: return "no_variant_for_runtime";
    case Refusal::command_malformed: return "command_malformed";
    case Refusal::command_expired: return "command_expired";
    case Refusal::command_repeated: return "command_repeated";
    case Refusal::manifest_not_known: return "manifest_not_known";
    case Refusal::not_admitted: return "not_admitted";
    case Refusal::no_space: return "no_space";
    case Refusal::busy: return "busy";
    case Refusal::failed_before: return "failed_before";
    case Refusal::not_yet: return "not_yet";
    case Refusal::over_byte_budget: return "over_byte_budget";
  }
  return "unknown";
}

Refusal refusal_of(std::uint32_t number) {
  const auto refusal = static_cast<Refusal>(number);
  return to_string(refusal) == "unknown" ? Refusal::parser_failed : refusal;
}

std::string code_of(Refusal refusal) { return std::format("E-OTA-{:04}", static_cast<int>(refusal)); }

std::string describe(const Refused& refused) {
  return std::format("{} {}: {}", code_of(refused.reason), to_string(refused.reason), refused.message);
}

}  // namespace wayside::ota
