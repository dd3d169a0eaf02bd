// SPDX-License-Identifier: Apache-2.0
// Signatures over one document by several keys, and how many of a role's keys must have signed.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ota/package/keys.h"
#include "ota/package/refusal.h"

namespace wayside::ota {

inline constexpr std::size_t kMaxKeys = 32;
inline constexpr std::size_t kMaxSignatures = kMaxKeys;
/// 32 signatures of about 225 bytes, with room.
inline constexpr std::size_t kMaxSignaturesBytes = 16 * 1024;
inline constexpr std::size_t kMaxDocumentBytes = 1024 * 1024;

/// Who may sign something: any `threshold` of these keys.
struct Role {
  std::map<Digest, PublicKey> keys;
  std::uint32_t threshold = 1;
};

struct KeySignature {
  Digest key_id;
  Signature signature{};
};

/// What is signed: the pre-authentication encoding of DSSE v1.0.2 (secure-systems-lab/dsse, protocol.md), so that a
/// signature for one type of document is none for another: "DSSEv1 <len(type)> <type> <len(body)> <body>".
[[nodiscard]] std::string signed_bytes(std::string_view type, std::string_view body);
[[nodiscard]] base::Result<KeySignature> sign_document(const SecretKey& key, std::string_view type,
                                                       std::string_view body);
/// [{"keyid":hex,"sig":hex},...] sorted by key id, canonical.
[[nodiscard]] std::string serialize_signatures(std::vector<KeySignature> signatures);
/// Refusals: not_json ..., signatures_malformed, signature_length, duplicate_signature, no_signatures.
[[nodiscard]] Checked<std::vector<KeySignature>> parse_signatures(std::string_view text);
/// Every signature must be by a key that `known` has (Refusal::unknown_key else) and must be right (bad_signature);
/// those of `role` must reach its threshold (key_not_for_role when only others signed, threshold_not_met). One bad
/// signature refuses the whole, so that no byte of a package is free to change.
[[nodiscard]] Checked<void> verify_document(std::string_view type, std::string_view body,
                                            std::span<const KeySignature> signatures,
                                            const std::map<Digest, PublicKey>& known, const Role& role);

/// A document that travels by itself (root, roll-out policy): {"body":text,"signatures":[...],"type":text}, canonical.
struct Envelope {
  std::string type, body;
  std::vector<KeySignature> signatures;
  [[nodiscard]] std::string serialize() const;
  [[nodiscard]] static Checked<Envelope> parse(std::string_view text);
};

}  // namespace wayside::ota
