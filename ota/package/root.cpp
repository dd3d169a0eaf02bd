// SPDX-License-Identifier: Apache-2.0
// Reading and following roots.
#include "ota/package/root.h"

#include <algorithm>
#include <format>
#include <iterator>

#include "ota/package/canonical_json.h"

namespace wayside::ota {
namespace {

using Json = nlohmann::json;
constexpr std::int64_t kMaxTime_s = 253'402'300'799;  // 9999-12-31T23:59:59Z, the last time of RFC 3339

Json to_json(const Role& role) {
  Json keys = Json::array();
  for (const auto& [id, key] : role.keys) keys.push_back(to_hex(key.bytes));
  return {{"keys", std::move(keys)}, {"threshold", role.threshold}};
}

void read_role(ObjectReader& outer, const char* name, Role& role) {
  const Json* json = outer.object(name, 2);
  if (json == nullptr) return;
  ObjectReader reader(*json, name);
  for (const auto& hex : reader.names("keys", kMaxKeys)) {
    PublicKey key;
    if (!from_hex(hex, key.bytes)) reader.note(Refusal::bad_key, "a key is not 32 bytes in lower-case hex");
    role.keys.emplace(key.id(), key);
  }
  role.threshold = static_cast<std::uint32_t>(reader.integer("threshold", 1, kMaxKeys));
  if (role.threshold > role.keys.size()) {
    reader.note(Refusal::root_malformed, "the threshold is higher than the number of different keys");
  }
  if (const auto done = reader.finish(); !done) outer.note(done.error());
}

/// The envelope's root, checked against the thresholds of `judge`; its signatures by keys of either root.
Checked<void> check_threshold(const Envelope& envelope, const Root& judge, const Root& other, Refusal reason) {
  auto known = judge.known_keys();
  known.merge(other.known_keys());
  auto done = verify_document(kRootType, envelope.body, envelope.signatures, known, judge.root);
  if (done) return {};
  const bool too_few =
      done.error().reason == Refusal::threshold_not_met || done.error().reason == Refusal::key_not_for_role;
  return refuse(too_few ? reason : done.error().reason, done.error().message);
}

/// Whether enough holders of the role `root` have signed; signatures by others are not looked at.
bool signed_by_holders(const Envelope& envelope, const Root& judge) {
  std::vector<KeySignature> theirs;
  std::ranges::copy_if(envelope.signatures, std::back_inserter(theirs),
                       [&](const auto& one) { return judge.root.keys.contains(one.key_id); });
  return verify_document(kRootType, envelope.body, theirs, judge.root.keys, judge.root).has_value();
}

Checked<Envelope> open_envelope(std::string_view text) {
  auto envelope = Envelope::parse(text);
  if (!envelope) return std::unexpected(envelope.error());
  if (envelope->type != kRootType) return refuse(Refusal::unknown_type, std::format("not a {}", kRootType));
  return envelope;
}

}  // namespace

std::map<Digest, PublicKey> Root::known_keys() const {
  std::map<Digest, PublicKey> all = root.keys;
  all.insert(packages.keys.begin(), packages.keys.end());
  all.insert(rollouts.keys.begin(), rollouts.keys.end());
  return all;
}

std::string Root::serialize() const {
  return canonical(Json{{"expires_unix_s", expires_unix_s},
                        {"issued_unix_s", issued_unix_s},
                        {"packages", to_json(packages)},
                        {"rollouts", to_json(rollouts)},
                        {"root", to_json(root)},
                        {"type", kRootType},
                        {"version", version}});
}

Checked<Root> Root::parse(std::string_view body) {
  auto json = parse_canonical(body);
  if (!json) return std::unexpected(json.error());
  ObjectReader reader(*json, "root");
  if (reader.text("type") != kRootType) reader.note(Refusal::unknown_type, std::format("is not a {}", kRootType));
  Root root;
  root.version = static_cast<std::uint32_t>(reader.integer("version", 1, UINT32_MAX));
  root.issued_unix_s = reader.integer("issued_unix_s", 0, kMaxTime_s);
  root.expires_unix_s = reader.integer("expires_unix_s", 0, kMaxTime_s);
  read_role(reader, "root", root.root);
  read_role(reader, "packages", root.packages);
  read_role(reader, "rollouts", root.rollouts);
  if (const auto done = reader.finish(); !done) return std::unexpected(done.error());
  return root;
}

Checked<Root> open_first_root(std::string_view text) {
  auto envelope = open_envelope(text);
  if (!envelope) return std::unexpected(envelope.error());
  auto root = Root::parse(envelope->body);
  if (!root) return root;
  const auto own = check_threshold(*envelope, *root, *root, Refusal::root_threshold_new);
  if (!own) return std::unexpected(own.error());
  return root;
}

Checked<Root> follow_root(const Root& current, std::string_view text) {
  const auto envelope = Envelope::parse(text);
  if (!envelope) return std::unexpected(envelope.error());
  return follow_root(current, *envelope);
}

Checked<Root> follow_root(const Root& current, const Envelope& envelope) {
  if (envelope.type != kRootType) return refuse(Refusal::unknown_type, std::format("not a {}", kRootType));
  // Before its contents are looked at, which say who else may have signed it.
  if (!signed_by_holders(envelope, current)) {
    return refuse(Refusal::root_threshold_old,
                  std::format("signed by fewer than {} holders of root {}", current.root.threshold, current.version));
  }
  auto next = Root::parse(envelope.body);
  if (!next) return next;
  if (current.version == UINT32_MAX || next->version != current.version + 1) {
    return refuse(Refusal::root_version, std::format("root version {} does not follow {}; give every root in between",
                                                     next->version, current.version));
  }
  const auto old = check_threshold(envelope, current, *next, Refusal::root_threshold_old);
  if (!old) return std::unexpected(old.error());
  const auto own = check_threshold(envelope, *next, current, Refusal::root_threshold_new);
  if (!own) return std::unexpected(own.error());
  return next;
}

Checked<Root> follow_chain(std::span<const std::string> envelopes) {
  if (envelopes.empty()) {
    return refuse(Refusal::no_root, "there is no root document, so nothing can be trusted; provision the device");
  }
  if (envelopes.size() > kMaxRootChain) {
    return refuse(Refusal::root_malformed, std::format("more than {} roots in a chain", kMaxRootChain));
  }
  auto root = open_first_root(envelopes.front());
  for (const auto& envelope : envelopes.subspan(1)) {
    if (!root) break;
    root = follow_root(*root, envelope);
  }
  return root;
}

}  // namespace wayside::ota
