// SPDX-License-Identifier: Apache-2.0
// UpdateWorld: an operator for tests of the real agent: keys, a root, packages of the shipped detector in good and bad
// versions, chunk servers, commands over a real broker.
#pragma once

#include <functional>
#include <map>

#include "ota/package/manifest.h"
#include "ota/package/root.h"
#include "ota/transfer/repository.h"
#include "tests/system/agent_fixture.h"

namespace wayside::test {

class UpdateWorld {
 public:
  /// `folder` is for all files; `model` with its card beside it is what versions are made of.
  UpdateWorld(std::filesystem::path folder, std::filesystem::path model);

  /// What one version is like; the defaults are good.
  struct Version {
    std::string version;
    std::function<void(std::string& model)> bend_model{};  ///< after the golden set was made
    std::function<void(std::string& model)> retrain{};     ///< before the golden set is made
    std::function<std::string(std::string card)> bend_card{};
    ota::Watch watch{.shadow_frames = 5, .shadow_one_in = 1, .probation_s = 1, .max_restarts = 2};
    ota::Limits limits{};
    std::uint64_t security_counter = 1;
  };
  /// Makes, signs and publishes into the repository; the digest of its manifest.
  ota::Digest publish(const Version& version);
  /// A firmware package: `bundle` is what RAUC will get, `provides` the runtimes of the system in it.
  ota::Digest publish_firmware(const std::string& version, const std::string& bundle,
                               const std::vector<ota::Runtime>& provides);

  /// The package file of what was published, as it is carried on a stick.
  void write_package(const ota::Digest& manifest, const std::filesystem::path& path);

  /// What `wayside fleet push --dry-run` says a device with this inventory (its payload) will fetch.
  [[nodiscard]] std::uint64_t price_bytes(const ota::Digest& manifest, const std::string& inventory);

  /// A signed policy that lets every device take this, for a stick.
  [[nodiscard]] std::string policy(const ota::Digest& manifest) const;

  /// Another key for everything from now on; the next root document, signed by the old key and the new one.
  std::string rotate_keys();

  [[nodiscard]] std::string root_file() const { return (folder_ / "root.json").string(); }
  [[nodiscard]] std::filesystem::path repository_folder() const { return folder_ / "repository"; }
  [[nodiscard]] const std::string& envelope(const ota::Digest& manifest) const { return envelopes_.at(manifest); }
  [[nodiscard]] std::unique_ptr<AgentProcess> serve(std::uint16_t port,
                                                    const std::string& id = "wayside-server-1") const;
  [[nodiscard]] std::string config(const std::string& more = {}) const;  ///< the agent's ota section

 private:
  struct Golden {
    std::string inputs, outputs;
  };
  Golden golden(const std::filesystem::path& model);
  ota::Digest upload(const std::string& bytes, ota::Manifest& manifest);
  ota::Digest sign(const ota::Manifest& manifest);

  std::filesystem::path folder_, model_;
  [[nodiscard]] std::string root(const std::vector<const ota::SecretKey*>& signers) const;
  ota::SecretKey key_ = ota::SecretKey::generate().value();
  std::uint32_t root_version_ = 1;
  base::DiskStorage storage_;
  std::map<ota::Digest, std::string> envelopes_;
  std::map<ota::Digest, std::string> uploaded_;
  std::string last_model_;  ///< deltas lead from it to the next one
};

/// Sends retained messages as the operator's tool does.
class Operator {
 public:
  explicit Operator(std::uint16_t port);
  void publish_manifest(const UpdateWorld& world, const ota::Digest& manifest);
  void command(const std::string& id, const ota::Digest& manifest, std::int64_t not_after_unix_s,
               std::uint64_t max_bytes = 0, const std::string& role = "detector");
  void send(const std::string& topic, const std::string& payload, bool retain = true);

 private:
  std::unique_ptr<base::mqtt::Client> client_;
};

[[nodiscard]] std::string file_text(const std::filesystem::path& path);
[[nodiscard]] inline std::string update_topic(const std::string& id, const std::string& kind = "model_update") {
  return "te/device/dut///cmd/" + kind + "/" + id;
}

}  // namespace wayside::test
