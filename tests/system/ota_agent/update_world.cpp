// SPDX-License-Identifier: Apache-2.0
// Packages from the shipped detector, signed and put into a repository.
#include "tests/system/ota_agent/update_world.h"

#include <cstring>
#include <sstream>

#include "base/mqtt/message.h"
#include "fleet/cost/cost_preview.h"
#include "ota/package/container.h"
#include "ota/package/signatures.h"
#include "ota/rollout_policy.h"

namespace wayside::test {

using ota::Digest;

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

namespace {

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::int64_t now_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

UpdateWorld::UpdateWorld(std::filesystem::path folder, std::filesystem::path model)
    : folder_(std::move(folder)),
      model_(std::move(model)),
      storage_(base::DiskStorage::open(repository_folder()).value()) {
  write_file(root_file(), root({&key_}));
}

/// The root whose only key is key_.
std::string UpdateWorld::root(const std::vector<const ota::SecretKey*>& signers) const {
  const auto public_key = key_.public_key().value();
  ota::Root root{.version = root_version_, .issued_unix_s = now_s() - 100, .expires_unix_s = now_s() + 1'000'000};
  root.root = root.packages = root.rollouts = {.keys = {{public_key.id(), public_key}}, .threshold = 1};
  ota::Envelope envelope{.type = std::string(ota::kRootType), .body = root.serialize(), .signatures = {}};
  for (const auto* signer : signers)
    envelope.signatures.push_back(ota::sign_document(*signer, envelope.type, envelope.body).value());
  return envelope.serialize();
}

std::string UpdateWorld::rotate_keys() {
  const ota::SecretKey old = std::exchange(key_, ota::SecretKey::generate().value());
  ++root_version_;
  return root({&old, &key_});
}

UpdateWorld::Golden UpdateWorld::golden(const std::filesystem::path& model) {
  auto card = model_;
  card.replace_extension(".yaml");
  const auto done = run_to_end(WAYSIDE_FLEET_PROGRAM, {"package", "golden", model.string(), "--card", card.string(),
                                                       "--cases", "2", "-o", (folder_ / "golden").string()});
  EXPECT_EQ(done.exit_code, 0) << done.errors;
  return {file_text(folder_ / "golden/golden.in"), file_text(folder_ / "golden/golden.out")};
}

Digest UpdateWorld::upload(const std::string& bytes, ota::Manifest& manifest) {
  const auto view = std::as_bytes(std::span(bytes));
  const Digest digest = ota::Repository(storage_).publish(ota::SpanSource(view)).value();
  manifest.files[digest] = bytes.size();
  uploaded_[digest] = bytes;
  return digest;
}

Digest UpdateWorld::publish(const Version& wanted) {
  std::string model = file_text(model_);
  if (wanted.retrain) wanted.retrain(model);
  write_file(folder_ / "work/model.tflite", model);
  const Golden expected = golden(folder_ / "work/model.tflite");
  if (wanted.bend_model) wanted.bend_model(model);
  auto card_path = model_;
  card_path.replace_extension(".yaml");
  std::string card = file_text(card_path);
  if (wanted.bend_card) card = wanted.bend_card(std::move(card));

  ota::Manifest manifest{.name = "street", .role = "detector", .version = wanted.version};
  manifest.security_counter = wanted.security_counter;
  manifest.issued_unix_s = now_s() - 10;
  manifest.expires_unix_s = now_s() + 100'000;
  manifest.variants = {
      {.id = "cpu", .accelerator = "cpu-int8", .file = upload(model, manifest), .limits = wanted.limits}};
  if (!last_model_.empty() && last_model_ != model) {
    const auto made = ota::Repository(storage_).publish_deltas(std::as_bytes(std::span(std::as_const(last_model_))),
                                                               std::as_bytes(std::span(std::as_const(model))));
    EXPECT_TRUE(made) << made.error().message;
  }
  last_model_ = model;
  manifest.card = upload(card, manifest);
  manifest.postprocess = {.decoder = "anchor_free", .score_permille = 400, .iou_permille = 400, .max_detections = 50};
  manifest.golden = {.count = 2,
                     .inputs = upload(expected.inputs, manifest),
                     .outputs = upload(expected.outputs, manifest),
                     .max_abs = 1,
                     .mean_abs_milli = 50};
  manifest.watch = wanted.watch;
  return sign(manifest);
}

Digest UpdateWorld::publish_firmware(const std::string& version, const std::string& bundle,
                                     const std::vector<ota::Runtime>& provides) {
  ota::Manifest manifest{.name = "system", .role = std::string(ota::kFirmwareRole), .version = version};
  manifest.issued_unix_s = now_s() - 10;
  manifest.expires_unix_s = now_s() + 100'000;
  manifest.variants = {{.id = "test-board",
                        .accelerator = std::string(ota::kFirmwareInstaller),
                        .file = upload(bundle, manifest),
                        .requires_ = {{"compatible", "test-board"}},
                        .provides = provides}};
  return sign(manifest);
}

Digest UpdateWorld::sign(const ota::Manifest& manifest) {
  ota::Envelope envelope{.type = std::string(manifest.type()), .body = manifest.serialize()};
  envelope.signatures = {ota::sign_document(key_, envelope.type, envelope.body).value()};
  const Digest digest = ota::sha256_of(std::as_bytes(std::span(envelope.body))).value();
  envelopes_[digest] = envelope.serialize();
  return digest;
}

void UpdateWorld::write_package(const Digest& manifest, const std::filesystem::path& path) {
  const auto envelope = ota::Envelope::parse(envelopes_.at(manifest)).value();
  const auto files = ota::Manifest::parse(envelope.body).value().files;
  std::filesystem::create_directories(path.parent_path());
  auto folder = base::DiskStorage::open(path.parent_path()).value();
  const auto written =
      ota::write_container(folder, path.filename(), envelope.body, ota::serialize_signatures(envelope.signatures),
                           files, [&](const Digest& digest, const ota::BlobSink& sink) {
                             return sink(std::as_bytes(std::span(uploaded_.at(digest))));
                           });
  EXPECT_TRUE(written) << written.error().message;
}

std::string UpdateWorld::policy(const Digest& manifest) const {
  const auto target = ota::Manifest::parse(ota::Envelope::parse(envelopes_.at(manifest)).value().body).value();
  const ota::RolloutPolicy policy{.id = "by-stick",
                                  .salt = "1",
                                  .role = target.role,
                                  .target_name = target.name,
                                  .target_version = target.version,
                                  .manifest_sha256 = manifest.hex(),
                                  .waves = {{.permille = 1000}},
                                  .expires_unix_s = now_s() + 1000};
  ota::Envelope envelope{.type = std::string(ota::kRolloutPolicyType), .body = ota::to_json(policy)};
  envelope.signatures = {ota::sign_document(key_, envelope.type, envelope.body).value()};
  return envelope.serialize();
}

std::uint64_t UpdateWorld::price_bytes(const Digest& manifest, const std::string& inventory) {
  const auto envelope = ota::Envelope::parse(envelopes_.at(manifest)).value();
  const std::vector<fleet::KnownDevice> devices = {{"dut", ota::parse_device_inventory(inventory).value()}};
  ota::Repository repository(storage_);
  const auto preview = fleet::preview_cost(ota::Manifest::parse(envelope.body).value(), devices, repository, 0);
  return preview ? preview->bytes : 0;
}

std::unique_ptr<AgentProcess> UpdateWorld::serve(std::uint16_t port, const std::string& id) const {
  return std::make_unique<AgentProcess>(
      WAYSIDE_FLEET_PROGRAM,
      std::vector<std::string>{"fleet", "serve", "--host", "127.0.0.1", "--port", std::to_string(port), "--client-id",
                               id, "--repository", repository_folder().string(), "--group",
                               TestBroker::is_mosquitto() ? "blob-servers" : ""});
}

std::string UpdateWorld::config(const std::string& more) const {
  return std::format("ota: {{enable: true, root: \"{}\", require_policy: false{}}}\n", root_file(), more);
}

Operator::Operator(std::uint16_t port) {
  base::mqtt::ClientOptions options;
  options.host = "127.0.0.1";
  options.port = port;
  static int made = 0;
  options.client_id = std::format("operator-{}", ++made);
  client_ = std::move(*base::mqtt::Client::create(std::move(options)));
}

void Operator::send(const std::string& topic, const std::string& payload, bool retain) {
  base::mqtt::Message message;
  message.topic = topic;
  message.payload = payload;
  message.retain = retain;
  const auto deadline = base::Clock::real().now() + kPatience;
  while (base::Clock::real().now() < deadline) {
    const auto ticket = client_->publish(message);
    while (const auto event =
               client_->wait(base::Clock::real().now() + std::chrono::milliseconds(ticket ? 5000 : 100))) {
      if (ticket && event->kind == base::mqtt::Event::Kind::acked && event->ticket == *ticket) return;
      if (event->kind == base::mqtt::Event::Kind::connected) break;
      if (event->kind == base::mqtt::Event::Kind::dropped || event->kind == base::mqtt::Event::Kind::lost) break;
    }
  }
  ADD_FAILURE() << "not sent: " << topic;
}

void Operator::publish_manifest(const UpdateWorld& world, const Digest& manifest) {
  send("te/fleet/manifest/" + manifest.hex(), world.envelope(manifest));
}

void Operator::command(const std::string& id, const Digest& manifest, std::int64_t not_after_unix_s,
                       std::uint64_t max_bytes, const std::string& role) {
  json payload = {
      {"status", "init"},
      {"exec", 1},
      {"role", role},
      {"rollout", id},
      {"not_after", base::rfc3339(std::chrono::system_clock::time_point(std::chrono::seconds(not_after_unix_s)))},
      {"target", {{"manifest_sha256", manifest.hex()}}}};
  if (max_bytes > 0) payload["hints"]["max_bytes"] = max_bytes;
  send(update_topic(id, role == ota::kFirmwareRole ? "firmware_update" : "model_update"), payload.dump());
}

}  // namespace wayside::test
