// SPDX-License-Identifier: Apache-2.0
// A device in memory for updater tests: real updater, store and signatures; transfer and accelerator are played.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ota/updater/updater.h"

namespace wayside::ota {

inline constexpr std::int64_t kSimNow_s = 1'800'000'000;

inline std::vector<std::byte> sim_bytes(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

/// Everything outside the device: keys, signed models, what the network would deliver.
struct SimWorld {
  SecretKey key = SecretKey::generate().value();
  SecretKey policy_key = SecretKey::generate().value();
  Root root;
  std::map<Digest, std::vector<std::byte>> cloud;
  std::map<std::string, Digest> manifests;  ///< by version
  std::map<std::string, std::string> envelopes;

  SimWorld() {
    root.expires_unix_s = kSimNow_s + 1'000'000;
    root.root = root.packages = role_of(key);
    root.rollouts = role_of(policy_key);
  }
  static Role role_of(const SecretKey& key) {
    const auto public_key = key.public_key().value();
    return {.keys = {{public_key.id(), public_key}}, .threshold = 1};
  }
  Digest upload(const std::string& text) {
    auto bytes = sim_bytes(text);
    const Digest digest = sha256_of(bytes).value();
    cloud[digest] = std::move(bytes);
    return digest;
  }
  Manifest make(const std::string& version, std::uint64_t counter = 1) {
    Manifest manifest{.name = "street", .role = "detector", .version = version, .security_counter = counter};
    manifest.issued_unix_s = kSimNow_s - 1000;
    manifest.expires_unix_s = kSimNow_s + 100'000;
    const Digest model = upload("model " + version + std::string(700, 'm'));
    manifest.variants = {{.id = "cpu", .accelerator = "cpu-int8", .file = model}};
    manifest.postprocess.decoder = "anchor_free";
    manifest.golden = {.count = 1, .inputs = upload("inputs"), .outputs = upload("outputs " + version)};
    manifest.watch.probation_s = 1;
    for (const Digest& digest : manifest.referenced()) manifest.files[digest] = cloud.at(digest).size();
    return manifest;
  }
  Digest publish(const Manifest& manifest) {
    Envelope envelope{.type = std::string(manifest.type()), .body = manifest.serialize()};
    envelope.signatures = {sign_document(key, envelope.type, envelope.body).value()};
    const Digest digest = sha256_of(std::as_bytes(std::span(envelope.body))).value();
    manifests[manifest.version] = digest;
    envelopes[manifest.version] = envelope.serialize();
    return digest;
  }
  [[nodiscard]] UpdateCommand command(const std::string& version) const {
    return {.id = "cmd-" + version,
            .role = "detector",
            .manifest = manifests.at(version),
            .not_after_unix_s = kSimNow_s + 1000};
  }
};

class SimClock final : public base::Clock {
 public:
  [[nodiscard]] base::MonotonicTime now() const override { return now_; }
  [[nodiscard]] std::chrono::system_clock::time_point wall_now() const override {
    return std::chrono::system_clock::time_point(std::chrono::seconds(wall_s));
  }
  void sleep_until(base::MonotonicTime deadline) override { now_ = std::max(now_, deadline); }
  std::int64_t wall_s = kSimNow_s;

 private:
  base::MonotonicTime now_{0};
};

/// Plays transfer, accelerator and pipeline; versions in the sets fail at that gate.
class SimGates final : public Gates {
 public:
  SimGates(const SimWorld& world, BlobStore& store) : world_(&world), store_(&store) {}

  Step fetch(const Task&, const std::vector<Blob>& missing) override {
    ++fetches;
    if (hang_fetch) return Step::working();
    for (const Blob& blob : missing) {
      const auto& bytes = world_->cloud.at(blob.digest);
      auto writer = store_->stage(blob);
      if (!writer) return Step::failed(writer.error().message);
      constexpr std::size_t kPiece = 300;
      for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
        const auto piece = std::span(bytes).subspan(at, std::min(kPiece, bytes.size() - at));
        if (const auto done = writer->append(piece); !done) return Step::failed(done.error().message);
      }
      if (const auto done = writer->commit(); !done) return Step::failed(done.error().message);
    }
    return Step::done();
  }
  Step compile(const Task&) override { return ++compiles, Step::done(); }
  Step self_test(const Task& task) override { return judge(bad_self_test, task, "golden"); }
  Step shadow(const Task& task) override { return judge(bad_shadow, task, "disagreement"); }
  Step swap(const std::string& role, const std::optional<Installed>& installed) override {
    ++swaps;
    running[role] = installed;
    return Step::done();
  }
  Step install(const Task&) override { return ++installs, install_step; }
  Step watch(const Task& task) override {
    if (hang_watch) return Step::working();
    return judge(bad_watch, task, "rate");
  }
  void forget(const Job&) override { ++forgotten; }

  std::set<std::string> bad_self_test, bad_shadow, bad_watch;
  std::map<std::string, std::optional<Installed>> running;
  bool hang_fetch = false, hang_watch = false;
  Step install_step = Step::done();
  int fetches = 0, compiles = 0, swaps = 0, installs = 0, forgotten = 0;

 private:
  static Step judge(const std::set<std::string>& bad, const Task& task, const char* why) {
    return bad.contains(task.manifest.version) ? Step::model_failed(why) : Step::done();
  }
  const SimWorld* world_;
  BlobStore* store_;
};

inline UpdaterOptions sim_options(const SimWorld& world) {
  return {.device_id = "device-1",
          .facts = {.board = "host", .runtimes = {{.accelerator = "cpu-int8"}}},
          .root = world.root,
          .built_unix_s = kSimNow_s - 100'000};
}

/// Whether all that an installed model needs is whole: empty, or one line of what is wrong.
inline std::string check_blobs(const Manifest& manifest, const Installed& installed, const BlobStore& store) {
  const auto* variant = manifest.find_variant(installed.variant);
  if (variant == nullptr) return "variant is not in the manifest";
  for (const Blob& blob : manifest.blobs_of(*variant)) {
    const auto good = store.verify(blob.digest);
    if (!good) return good.error().message;
  }
  return {};
}

/// The same for what the device would load at its next start.
inline std::string check_loadable(const Updater& updater, const BlobStore& store, const std::string& role) {
  const auto active = updater.active(role);
  if (!active) return {};
  const auto manifest = updater.manifest_of(active->manifest);
  return manifest ? check_blobs(*manifest, *active, store) : "manifest: " + manifest.error().message;
}

}  // namespace wayside::ota
