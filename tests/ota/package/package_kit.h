// SPDX-License-Identifier: Apache-2.0
// PackageKit: keys, a root, a small package and a device, made fresh; tests bend one thing and see the refusal.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ota/package/container.h"
#include "ota/package/trust.h"

namespace wayside::ota {

using Bytes = std::vector<std::byte>;

inline constexpr std::int64_t kTestNow_s = 1'800'000'000;

inline Bytes to_bytes(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

struct PackageKit {
  SecretKey root_key = SecretKey::generate().value();
  SecretKey first = SecretKey::generate().value();   ///< may sign packages
  SecretKey second = SecretKey::generate().value();  ///< may sign packages
  SecretKey stranger = SecretKey::generate().value();
  Root root;
  Manifest manifest;
  DeviceFacts device{.board = "pi5-hailo8",
                     .runtimes = {{.accelerator = "hailo8", .versions = {{"hailort", "4.20.0"}}},
                                  {.accelerator = "cpu-int8", .versions = {}}}};
  std::map<Digest, Bytes> blobs;
  std::int64_t now_s = kTestNow_s;

  PackageKit() {
    root.issued_unix_s = kTestNow_s - 1000;
    root.expires_unix_s = kTestNow_s + 1000;
    root.root = role_of({&root_key}, 1);
    root.packages = role_of({&first, &second}, 2);
    root.rollouts = role_of({&first}, 1);
    manifest = {.name = "street", .role = "detector", .version = "1.2.0", .security_counter = 5};
    manifest.issued_unix_s = kTestNow_s - 100;
    manifest.expires_unix_s = kTestNow_s + 100;
    manifest.boards = {"pi5-hailo8", "host"};
    const Digest cpu = add("the model for a CPU");
    const Digest hailo = add("the model for a Hailo");
    manifest.variants = {
        {.id = "hailo8", .accelerator = "hailo8", .file = hailo, .requires_ = {{"hailort", ">=4.20 <4.21"}}},
        {.id = "cpu", .accelerator = "cpu-int8", .file = cpu, .limits = {.p99_us = 33'000}}};
    manifest.labels = {"person", "car"};
    manifest.postprocess = {.decoder = "anchor_free"};
    manifest.golden = {.count = 2, .inputs = add("in"), .outputs = add("out"), .max_abs = 1, .mean_abs_milli = 100};
    manifest.accuracy = {
        {.variant = "cpu", .dataset = "street-held-out", .metric = "AP50", .value_ppm = 358'000, .samples = 512}};
  }

  static Role role_of(std::vector<const SecretKey*> keys, std::uint32_t threshold) {
    Role role{.threshold = threshold};
    for (const auto* key : keys) {
      const auto public_key = key->public_key().value();
      role.keys.emplace(public_key.id(), public_key);
    }
    return role;
  }

  Digest add(std::string_view text) {
    const auto bytes = to_bytes(text);
    const Digest digest = sha256_of(bytes).value();
    blobs[digest] = bytes;
    manifest.files[digest] = bytes.size();
    return digest;
  }

  [[nodiscard]] std::string sign(std::string_view body, std::vector<const SecretKey*> keys,
                                 std::string_view type = kManifestType) const {
    std::vector<KeySignature> signatures;
    for (const auto* key : keys) signatures.push_back(sign_document(*key, type, body).value());
    return serialize_signatures(std::move(signatures));
  }
  [[nodiscard]] std::string sign(std::string_view body) const { return sign(body, {&first, &second}); }

  /// The whole package, written by code of its own so that the format is checked from two sides.
  [[nodiscard]] Bytes package(const std::string& text, const std::string& signatures,
                              const std::vector<std::pair<Digest, Bytes>>& files) const {
    Bytes out = to_bytes("WAYSIDEM");
    const auto put = [&](std::uint64_t value, unsigned bytes) {
      for (unsigned i = 0; i < bytes; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i)));
    };
    std::uint64_t total = 40 + text.size() + signatures.size();
    for (const auto& [digest, bytes] : files) total += 40 + bytes.size();
    const auto append = [&](std::span<const std::byte> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); };
    put(1, 4);
    put(text.size(), 4);
    put(signatures.size(), 4);
    put(files.size(), 4);
    put(total, 8);
    put(0, 8);
    append(to_bytes(text));
    append(to_bytes(signatures));
    for (const auto& [digest, bytes] : files) {
      append(digest.bytes);
      put(bytes.size(), 8);
    }
    for (const auto& [digest, bytes] : files) append(bytes);
    return out;
  }
  [[nodiscard]] std::vector<std::pair<Digest, Bytes>> files() const { return {blobs.begin(), blobs.end()}; }
  [[nodiscard]] Bytes package_of(const std::string& text) const { return package(text, sign(text), files()); }
  [[nodiscard]] Bytes package() const { return package_of(manifest.serialize()); }

  /// All that a device does with a package from outside, up to having it in its store.
  Checked<Manifest> install(base::Storage& storage, const std::string& path, BlobStore& store) const {
    const auto head = read_head(storage, path);
    if (!head) return std::unexpected(head.error());
    auto verified = verify_manifest(head->manifest, head->signatures, root, now_s);
    if (!verified) return verified;
    if (const auto table = check_table(*head, *verified); !table) return std::unexpected(table.error());
    if (const auto variant = choose_variant(*verified, device); !variant) return std::unexpected(variant.error());
    const auto imported = import_contents(storage, path, *head, verified->referenced(), store);
    if (!imported) return std::unexpected(imported.error());
    return verified;
  }

  /// install() of these bytes into an empty device; `published` tells how many files reached a final path.
  Checked<Manifest> try_package(const Bytes& bytes, std::size_t& published) const {
    base::FaultyStorage storage(1);
    auto store = BlobStore::open(storage).value();
    storage.write("in", bytes).value();
    auto result = install(storage, "in", store);
    published = store.list().value().size();
    return result;
  }
};

}  // namespace wayside::ota
