// SPDX-License-Identifier: Apache-2.0
// Opening packages, signing policies.
#include "fleet/signed_package.h"

#include "ota/package/trust.h"

namespace wayside::fleet {

using ota::Checked;
using ota::refuse;

Checked<SignedPackage> open_package(const std::filesystem::path& path, const ota::Root& root, std::int64_t now_unix_s) {
  auto file = place(path);
  if (!file) return std::unexpected(file.error());
  auto head = ota::read_head(file->storage, file->name);
  if (!head) return refuse(head.error().reason, path.string() + ": " + head.error().message);
  auto manifest = ota::verify_manifest(head->manifest, head->signatures, root, now_unix_s);
  if (!manifest) return refuse(manifest.error().reason, path.string() + ": " + manifest.error().message);
  if (const auto table = ota::check_table(*head, *manifest); !table) return std::unexpected(table.error());
  if (const auto whole = ota::check_contents(file->storage, file->name, *head); !whole) {
    return std::unexpected(whole.error());
  }
  auto signatures = ota::parse_signatures(head->signatures);
  if (!signatures) return std::unexpected(signatures.error());
  WAYSIDE_TRY_IO(const ota::Digest digest, ota::sha256_of(std::as_bytes(std::span(head->manifest))));
  const ota::Envelope envelope{std::string(manifest->type()), head->manifest, std::move(*signatures)};
  auto text = envelope.serialize();
  return SignedPackage{std::move(*file), std::move(*head), std::move(*manifest), digest, std::move(text)};
}

Checked<std::string> sign_policy(const ota::RolloutPolicy& policy, const std::vector<std::string>& key_files,
                                 const ota::Root& root) {
  ota::Envelope envelope{.type = std::string(ota::kRolloutPolicyType), .body = ota::to_json(policy)};
  for (const auto& path : key_files) {
    const auto key = read_secret_key(path);
    if (!key) return std::unexpected(key.error());
    WAYSIDE_TRY_IO(const auto signature, ota::sign_document(*key, envelope.type, envelope.body));
    std::erase_if(envelope.signatures, [&](const auto& each) { return each.key_id == signature.key_id; });
    envelope.signatures.push_back(signature);
  }
  const auto good =
      ota::verify_document(envelope.type, envelope.body, envelope.signatures, root.known_keys(), root.rollouts);
  if (!good) return refuse(good.error().reason, "the policy's signature: " + good.error().message);
  return envelope.serialize();
}

}  // namespace wayside::fleet
