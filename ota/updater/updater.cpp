// SPDX-License-Identifier: Apache-2.0
// Metadata, commands, recovery, and the one place where the state changes.
#include "ota/updater/updater.h"

#include <algorithm>
#include <format>

#include "base/log.h"
#include "base/plain_line.h"

namespace wayside::ota {
namespace {

constexpr std::string_view kPolicyType = "wayside-rollout/1";
constexpr std::size_t kMaxReasonBytes = 200;

/// A reason as it may stand in the journal: one line, bounded, printable.
std::string tidy(std::string_view text) { return base::plain_line(text, kMaxReasonBytes); }

Event event_of(Step::Kind kind) { return kind == Step::Kind::done ? Event::done : Event::fail; }

bool is_trial(State state) { return state == State::activating || state == State::probation; }

}  // namespace

Updater::Updater(base::Storage& storage, BlobStore& store, Gates& gates, const base::Clock& clock,
                 UpdaterOptions options, Slots slots, CounterFloor floor)
    : storage_(&storage),
      store_(&store),
      gates_(&gates),
      clock_(&clock),
      options_(std::move(options)),
      slots_(std::move(slots)),
      floor_(std::move(floor)) {}

base::Result<Updater> Updater::open(base::Storage& storage, BlobStore& store, Gates& gates, const base::Clock& clock,
                                    UpdaterOptions options) {
  WAYSIDE_TRY(auto slots, Slots::load(storage));
  WAYSIDE_TRY(auto floor, CounterFloor::load(storage));
  Updater updater(storage, store, gates, clock, std::move(options), std::move(slots), std::move(floor));
  WAYSIDE_TRY(updater.entry_, Journal::load(storage, updater.damaged_));
  if (updater.damaged()) base::log_error("ota event=record_damaged journal={}", updater.damaged_);
  WAYSIDE_CHECK(updater.recover());
  WAYSIDE_CHECK(updater.reselect_variants());
  return updater;
}

base::Result<void> Updater::recover() {
  if (entry_.state == State::idle) {
    // Nothing is in progress, so whatever is not committed is not wanted (a damaged journal forgot the trial).
    for (const auto& [role, slot] : std::map(slots_.roles())) {
      if (slot.active != slot.committed) WAYSIDE_CHECK(slots_.restore(role));
    }
    return {};
  }
  if (const auto loaded = load_task(); !loaded) {
    // The manifest of the job is unreadable: whatever it was, it cannot be finished.
    if (entry_.state == State::committed) return {};
    return apply(Event::give_up, loaded.error().message);
  }
  // A restart is what a firmware is for; whether it holds is told by the boot loader.
  if (!manifest_->is_firmware() && is_trial(entry_.state) && ++entry_.restarts > manifest_->watch.max_restarts) {
    return apply(Event::give_up, std::format("the device restarted {} times with the new model", entry_.restarts),
                 true);
  }
  return apply(Event::restart);
}

/// After a change of the system the installed models may need other variants; those were fetched before the restart.
base::Result<void> Updater::reselect_variants() {
  for (const auto& [role, slot] : std::map(slots_.roles())) {
    if (role == kFirmwareRole || !slot.committed) continue;
    const auto manifest = manifest_of(slot.committed->manifest);
    if (!manifest) continue;  // told when it is loaded
    DeviceFacts facts = options_.facts;
    facts.counter_floor = manifest->security_counter;
    const auto variant = choose_variant(*manifest, facts);
    if (!variant || (*variant)->id == slot.committed->variant) continue;
    const auto blobs = manifest->blobs_of(**variant);
    if (!std::ranges::all_of(blobs, [&](const Blob& blob) { return store_->has(blob.digest); })) {
      base::log_warn("ota event=variant_not_here role={} variant={} hint=\"send the model again\"", role,
                     (*variant)->id);
      continue;
    }
    base::log_info("ota event=variant_selected role={} variant={} before={}", role, (*variant)->id,
                   slot.committed->variant);
    WAYSIDE_CHECK(slots_.reselect(role, (*variant)->id));
  }
  return {};
}

/// What the committed models need on the system in a bundle. Refusals: no_variant_for_runtime.
Checked<std::vector<Blob>> Updater::blobs_for_models_on(const Variant& firmware) const {
  std::vector<Blob> blobs;
  for (const auto& [role, slot] : slots_.roles()) {
    if (role == kFirmwareRole || !slot.committed) continue;
    const auto manifest = manifest_of(slot.committed->manifest);
    if (!manifest) continue;  // does not load today either: no reason to keep an old system
    const DeviceFacts facts{
        .board = options_.facts.board, .runtimes = firmware.provides, .counter_floor = manifest->security_counter};
    const auto variant = choose_variant(*manifest, facts);
    if (!variant) {
      return refuse(variant.error().reason,
                    std::format("{} on the new system; update the model first", variant.error().message));
    }
    const auto more = manifest->blobs_of(**variant);
    blobs.insert(blobs.end(), more.begin(), more.end());
  }
  return blobs;
}

base::Result<void> Updater::load_task() {
  WAYSIDE_TRY(auto manifest, manifest_of(entry_.job->target.manifest));
  if (manifest.find_variant(entry_.job->target.variant) == nullptr) {
    return base::fail(base::Code::corrupt, "the journal names a variant that the manifest does not have");
  }
  manifest_ = std::move(manifest);
  return {};
}

base::Result<Manifest> Updater::manifest_of(const Digest& digest) const { return read_manifest(*store_, digest); }

base::Result<Manifest> read_manifest(const BlobStore& store, const Digest& digest) {
  WAYSIDE_CHECK(store.verify(digest));
  WAYSIDE_TRY(const auto bytes, store.read(digest, kMaxManifestBytes));
  auto manifest = Manifest::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!manifest) return base::fail(base::Code::corrupt, describe(manifest.error()));
  return std::move(*manifest);
}

const Outcome* Updater::outcome(std::string_view command_id) const {
  const auto found = std::ranges::find(entry_.history, command_id, &Outcome::command_id);
  return found == entry_.history.end() ? nullptr : &*found;
}

std::uint64_t Updater::counter_floor(const std::string& role) const {
  return std::max(slots_.slot(role).counter_floor, floor_.of(role));
}

std::pair<std::int64_t, bool> Updater::now_unix_s() const {
  const auto wall = std::chrono::duration_cast<std::chrono::seconds>(clock_->wall_now().time_since_epoch()).count();
  return {std::max<std::int64_t>(wall, options_.built_unix_s), wall >= options_.built_unix_s};
}

Checked<Digest> Updater::offer(std::string_view text) {
  auto envelope = Envelope::parse(text);
  if (!envelope) return std::unexpected(envelope.error());
  return offer(std::move(*envelope));
}

Checked<Digest> Updater::offer(Envelope envelope) {
  const auto [now_s, plausible] = now_unix_s();
  const auto manifest = verify_manifest(envelope, options_.root, now_s, plausible);
  if (!manifest) return std::unexpected(manifest.error());
  WAYSIDE_TRY_IO(const Digest digest, sha256_of(std::as_bytes(std::span(envelope.body))));
  if (!offers_.contains(digest) && offers_.size() >= kMaxOffers) offers_.erase(offers_.begin());
  offers_.insert_or_assign(digest, std::move(envelope));
  return digest;
}

Checked<void> Updater::offer_policy(std::string_view text) {
  const auto envelope = Envelope::parse(text);
  if (!envelope) return std::unexpected(envelope.error());
  return offer_policy(*envelope);
}

Checked<void> Updater::offer_policy(const Envelope& envelope) {
  if (envelope.type != kPolicyType) return refuse(Refusal::unknown_type, std::format("not a {}", kPolicyType));
  const auto verified = verify_document(kPolicyType, envelope.body, envelope.signatures, options_.root.known_keys(),
                                        options_.root.rollouts);
  if (!verified) return verified;
  auto policy = parse_rollout_policy(envelope.body);
  if (!policy) return refuse(Refusal::command_malformed, policy.error().message);
  if (!policies_.contains(policy->id) && policies_.size() >= kMaxOffers) policies_.erase(policies_.begin());
  std::string id = policy->id;
  policies_.insert_or_assign(std::move(id), std::move(*policy));
  return {};
}

Checked<void> Updater::check_admission(const UpdateCommand& command) const {
  const auto found = policies_.find(command.rollout);
  if (found == policies_.end()) {
    if (!options_.require_policy) return {};
    return refuse(Refusal::not_yet, std::format("there is no signed policy of roll-out \"{}\"", command.rollout));
  }
  const RolloutPolicy& policy = found->second;
  if (policy.manifest_sha256 != command.manifest.hex() || policy.role != command.role) {
    return refuse(Refusal::not_admitted, std::format("roll-out {} is for another model", policy.id));
  }
  const auto admission = admit(policy, options_.device_id, now_unix_s().first);
  if (admission.verdict == Admission::Verdict::open) return {};
  const bool later = admission.verdict == Admission::Verdict::not_yet;
  return refuse(later ? Refusal::not_yet : Refusal::not_admitted, admission.why);
}

/// The least of what command and policy allow; 0: no bound.
std::uint64_t Updater::byte_budget(const UpdateCommand& command) const {
  const auto policy = policies_.find(command.rollout);
  const std::uint64_t allowed = policy == policies_.end() ? 0 : policy->second.max_bytes;
  if (command.max_bytes == 0 || allowed == 0) return std::max(command.max_bytes, allowed);
  return std::min(command.max_bytes, allowed);
}

Checked<void> Updater::command(const UpdateCommand& command) {
  const bool running = entry_.job && entry_.job->command_id == command.id;
  if (running || outcome(command.id) != nullptr) {
    return refuse(Refusal::command_repeated, std::format("command {} was taken before", command.id));
  }
  if (now_unix_s().first > command.not_after_unix_s) {
    return refuse(Refusal::command_expired, std::format("command {} came after its time", command.id));
  }
  if (entry_.state != State::idle) return refuse(Refusal::busy, "another update is in progress");
  const auto offer = offers_.find(command.manifest);
  if (offer == offers_.end()) {
    return refuse(Refusal::manifest_not_known, "no signed metadata names this manifest; publish it first");
  }
  const auto [now_s, plausible] = now_unix_s();
  auto manifest = verify_manifest(offer->second, options_.root, now_s, plausible);  // it may have expired since
  if (!manifest) return std::unexpected(manifest.error());
  if (manifest->role != command.role) {
    return refuse(Refusal::wrong_role, std::format("the manifest is for role {}", manifest->role));
  }
  if (auto admitted = check_admission(command); !admitted) return admitted;
  const bool failed = std::ranges::any_of(entry_.history, [&](const Outcome& outcome) {
    return outcome.manifest == command.manifest && outcome.model_failed;
  });
  if (failed) return refuse(Refusal::failed_before, "this device tried this manifest and rolled it back");
  DeviceFacts facts = options_.facts;
  facts.counter_floor = counter_floor(command.role);
  const auto variant = choose_variant(*manifest, facts);
  if (!variant) return std::unexpected(variant.error());
  if (manifest->is_firmware()) {
    if (const auto fits = blobs_for_models_on(**variant); !fits) return std::unexpected(fits.error());
  }

  const std::string& body = offer->second.body;
  WAYSIDE_CHECK_IO(store_->put(std::as_bytes(std::span(body))));
  JournalEntry before = entry_;
  entry_.job = Job{.command_id = command.id,
                   .role = command.role,
                   .target = {.manifest = command.manifest, .variant = (*variant)->id},
                   .security_counter = manifest->security_counter,
                   .max_bytes = byte_budget(command)};
  entry_.stores = entry_.restarts = 0;
  manifest_ = std::move(*manifest);
  if (auto accepted = apply(Event::accept); !accepted) {
    entry_ = std::move(before);
    return refuse(std::move(accepted.error()));
  }
  return {};
}

base::Result<void> Updater::cancel(std::string_view command_id) {
  if (!entry_.job || entry_.job->command_id != command_id) return {};
  return apply(Event::cancel, "canceled");
}

base::Result<void> Updater::apply(Event event, const std::string& reason, bool model_failed) {
  const auto next = transition(entry_.state, event);
  if (!next) return {};
  const bool forward = next->next != State::rolled_back && next->next != State::idle && next->next != State::committed;
  if (forward && entry_.stores >= kMaxStores) {
    if (const auto away = transition(entry_.state, Event::give_up)) {
      return enter(*away, std::format("given up after {} steps", entry_.stores), false);
    }
  }
  return enter(*next, reason, model_failed);
}

base::Result<void> Updater::enter(Transition transition, const std::string& reason, bool model_failed) {
  JournalEntry next = entry_;
  next.state = transition.next;
  ++next.stores;
  if (transition.next == State::rolled_back && entry_.state != State::rolled_back) {
    next.reason = tidy(reason);
    next.model_failed = model_failed;
  }
  if (transition.next == State::idle && next.job) {
    next.history.push_back({.command_id = next.job->command_id,
                            .manifest = next.job->target.manifest,
                            .committed = entry_.state == State::committed,
                            .model_failed = next.model_failed,
                            .reason = next.reason});
    if (next.history.size() > kMaxHistory) next.history.erase(next.history.begin());
    next.job.reset();
    next.stores = next.restarts = 0;
    next.model_failed = false;
    next.reason.clear();
  }
  WAYSIDE_CHECK(Journal::store(*storage_, next));
  if (entry_.job && !next.job) {
    gates_->forget(*entry_.job);
    manifest_.reset();
  }
  base::log_info("ota state={} from={} reason=\"{}\"", to_string(next.state), to_string(entry_.state), tidy(reason));
  entry_ = std::move(next);
  deadline_ = clock_->now() + allowed(entry_.state);
  return {};
}

std::chrono::seconds Updater::allowed(State state) const {
  const Deadlines& deadlines = options_.deadlines;
  switch (state) {
    case State::downloading: return deadlines.downloading;
    case State::compile: return deadlines.compile;
    case State::self_test: return deadlines.self_test;
    case State::shadow: return deadlines.shadow;
    case State::probation:
      return deadlines.probation_grace + std::chrono::seconds(manifest_ ? manifest_->watch.probation_s : 0);
    default: return deadlines.local;
  }
}

base::Result<bool> Updater::poll() {
  if (entry_.state == State::idle) return false;
  WAYSIDE_TRY(const Step step, run_effect());
  if (step.kind == Step::Kind::working) {
    if (clock_->now() < deadline_) return false;
    WAYSIDE_CHECK(apply(Event::fail, std::format("{}: not ended in time", to_string(entry_.state))));
    return true;
  }
  WAYSIDE_CHECK(apply(event_of(step.kind), step.reason, step.kind == Step::Kind::model_failed));
  return true;
}

}  // namespace wayside::ota
