// SPDX-License-Identifier: Apache-2.0
// Signing, thresholds and the envelope.
#include "ota/package/signatures.h"

#include <algorithm>
#include <format>

#include "ota/package/canonical_json.h"

namespace wayside::ota {
namespace {

using Json = nlohmann::json;

Json to_json(std::vector<KeySignature> signatures) {
  std::ranges::sort(signatures, {}, &KeySignature::key_id);
  Json list = Json::array();
  for (const auto& [key_id, signature] : signatures) {
    list.push_back({{"keyid", key_id.hex()}, {"sig", to_hex(signature)}});
  }
  return list;
}

Checked<KeySignature> read_one(const Json& json) {
  if (!json.is_object() || json.size() != 2 || !json.contains("keyid") || !json.contains("sig") ||
      !json["keyid"].is_string() || !json["sig"].is_string()) {
    return refuse(Refusal::signatures_malformed, "a signature is not {keyid, sig}");
  }
  const auto key_id = Digest::parse(json["keyid"].get_ref<const std::string&>());
  if (!key_id) return refuse(Refusal::signatures_malformed, "a key id is no SHA-256");
  const auto& hex = json["sig"].get_ref<const std::string&>();
  KeySignature result{.key_id = *key_id};
  if (hex.size() != 2 * kSignatureBytes) {
    return refuse(Refusal::signature_length,
                  std::format("a signature has {} hex digits, not {}", hex.size(), 2 * kSignatureBytes));
  }
  if (!from_hex(hex, result.signature))
    return refuse(Refusal::signatures_malformed, "a signature is not lower-case hex");
  return result;
}

Checked<std::vector<KeySignature>> read_list(const Json& json) {
  if (!json.is_array()) return refuse(Refusal::signatures_malformed, "the signatures are not a list");
  if (json.empty()) return refuse(Refusal::no_signatures, "nobody signed; use: wayside package sign");
  if (json.size() > kMaxSignatures) {
    return refuse(Refusal::signatures_malformed, std::format("more than {} signatures", kMaxSignatures));
  }
  std::vector<KeySignature> found;
  for (const Json& item : json) {
    auto one = read_one(item);
    if (!one) return std::unexpected(one.error());
    if (!found.empty() && found.back().key_id == one->key_id) {
      return refuse(Refusal::duplicate_signature, "a key signed twice; a threshold counts keys");
    }
    if (!found.empty() && one->key_id < found.back().key_id) {
      return refuse(Refusal::signatures_malformed, "the signatures are not sorted by key id");
    }
    found.push_back(*one);
  }
  return found;
}

}  // namespace

std::string signed_bytes(std::string_view type, std::string_view body) {
  return std::format("DSSEv1 {} {} {} {}", type.size(), type, body.size(), body);
}

base::Result<KeySignature> sign_document(const SecretKey& key, std::string_view type, std::string_view body) {
  const std::string message = signed_bytes(type, body);
  WAYSIDE_TRY(const PublicKey public_key, key.public_key());
  WAYSIDE_TRY(const Signature signature, key.sign(std::as_bytes(std::span(message))));
  return KeySignature{.key_id = public_key.id(), .signature = signature};
}

std::string serialize_signatures(std::vector<KeySignature> signatures) {
  return canonical(to_json(std::move(signatures)));
}

Checked<std::vector<KeySignature>> parse_signatures(std::string_view text) {
  if (text.size() > kMaxSignaturesBytes) {
    return refuse(Refusal::signatures_too_large, std::format("the signatures exceed {} bytes", kMaxSignaturesBytes));
  }
  auto json = parse_canonical(text);
  if (!json) return std::unexpected(json.error());
  return read_list(*json);
}

Checked<void> verify_document(std::string_view type, std::string_view body, std::span<const KeySignature> signatures,
                              const std::map<Digest, PublicKey>& known, const Role& role) {
  const std::string message = signed_bytes(type, body);
  std::size_t counted = 0;
  for (const auto& [key_id, signature] : signatures) {
    const auto key = known.find(key_id);
    if (key == known.end()) {
      return refuse(Refusal::unknown_key, std::format("signed by key {}, which the root does not know", key_id.hex()));
    }
    if (!key->second.verify(std::as_bytes(std::span(message)), signature)) {
      return refuse(Refusal::bad_signature, std::format("the signature of key {} is wrong", key_id.hex()));
    }
    counted += role.keys.contains(key_id) ? 1 : 0;
  }
  if (counted >= role.threshold && role.threshold > 0) return {};
  if (signatures.empty()) return refuse(Refusal::no_signatures, "nobody signed");
  if (counted == 0) return refuse(Refusal::key_not_for_role, "signed by keys that may not sign this kind of document");
  return refuse(Refusal::threshold_not_met,
                std::format("{} of the {} signatures needed; another holder must sign", counted, role.threshold));
}

std::string Envelope::serialize() const {
  return canonical(Json{{"body", body}, {"signatures", to_json(signatures)}, {"type", type}});
}

Checked<Envelope> Envelope::parse(std::string_view text) {
  if (text.size() > kMaxDocumentBytes + kMaxSignaturesBytes) {
    return refuse(Refusal::manifest_too_large, std::format("a signed document exceeds {} bytes", kMaxDocumentBytes));
  }
  auto json = parse_canonical(text);
  if (!json) return std::unexpected(json.error());
  const bool shape = json->is_object() && json->size() == 3 && json->contains("body") && (*json)["body"].is_string() &&
                     json->contains("type") && (*json)["type"].is_string() && json->contains("signatures");
  if (!shape) return refuse(Refusal::signatures_malformed, "a signed document is not {body, signatures, type}");
  auto signatures = read_list((*json)["signatures"]);
  if (!signatures) return std::unexpected(signatures.error());
  return Envelope{.type = (*json)["type"], .body = (*json)["body"], .signatures = std::move(*signatures)};
}

}  // namespace wayside::ota
