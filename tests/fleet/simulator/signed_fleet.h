// SPDX-License-Identifier: Apache-2.0
// SignedFleet: the keys of an operator, signed models of made-up bytes, and signed policies, for fleets of simulated
// devices.
#pragma once

#include <functional>
#include <string>

#include "fleet/simulator/simulated_gates.h"
#include "ota/package/root.h"
#include "ota/rollout_policy.h"
#include "tests/ota/delta/synthetic_model.h"

namespace wayside::fleet::test {

struct SignedFleet {
  struct Release {
    ota::Manifest manifest;
    std::string sha256, envelope;
  };

  ota::SecretKey package_key = ota::SecretKey::generate().value();
  ota::SecretKey rollout_key = ota::SecretKey::generate().value();
  ota::Root root;
  Shelf shelf;  ///< every file of every release

  SignedFleet() {
    root.expires_unix_s = kFarFuture_s;
    root.root = root.packages = role_of(package_key);
    root.rollouts = role_of(rollout_key);
  }

  Release release(
      const std::string& version, ota::Bytes model, const std::function<void(ota::Manifest&)>& change = [](auto&) {}) {
    ota::Manifest manifest{.name = "street", .role = "detector", .version = version};
    manifest.issued_unix_s = 0;
    manifest.expires_unix_s = kFarFuture_s;
    manifest.variants = {{.id = "cpu", .accelerator = "cpu-int8", .file = put(std::move(model))}};
    manifest.postprocess.decoder = "anchor_free";
    manifest.golden = {.count = 1, .inputs = put(text("inputs")), .outputs = put(text("outputs of " + version))};
    manifest.watch.probation_s = 1;
    change(manifest);
    for (const auto& digest : manifest.referenced()) manifest.files[digest] = shelf.at(digest).size();
    ota::Envelope envelope{.type = std::string(ota::kManifestType), .body = manifest.serialize()};
    envelope.signatures = {ota::sign_document(package_key, envelope.type, envelope.body).value()};
    return {std::move(manifest), ota::sha256_of(std::as_bytes(std::span(envelope.body)))->hex(), envelope.serialize()};
  }

  [[nodiscard]] std::string sign(const ota::RolloutPolicy& policy) const { return sign(policy, rollout_key); }
  [[nodiscard]] static std::string sign(const ota::RolloutPolicy& policy, const ota::SecretKey& key) {
    ota::Envelope envelope{.type = std::string(ota::kRolloutPolicyType), .body = ota::to_json(policy)};
    envelope.signatures = {ota::sign_document(key, envelope.type, envelope.body).value()};
    return envelope.serialize();
  }

 private:
  static constexpr std::int64_t kFarFuture_s = 4'000'000'000;
  static ota::Role role_of(const ota::SecretKey& key) {
    const auto public_key = key.public_key().value();
    return {.keys = {{public_key.id(), public_key}}, .threshold = 1};
  }
  static ota::Bytes text(std::string_view words) {
    const auto* data = reinterpret_cast<const std::byte*>(words.data());
    return {data, data + words.size()};
  }
  ota::Digest put(ota::Bytes bytes) {
    const auto digest = ota::sha256_of(bytes).value();
    shelf[digest] = std::move(bytes);
    return digest;
  }
};

}  // namespace wayside::fleet::test
