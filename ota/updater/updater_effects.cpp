// SPDX-License-Identifier: Apache-2.0
// What the updater does in each state; all of it may be cut anywhere and done again.
#include <algorithm>

#include "base/log.h"
#include "ota/store/references.h"
#include "ota/updater/updater.h"

namespace wayside::ota {
namespace {

/// A failure that is about the blobs is an outcome; one of the medium itself goes up and is tried again.
bool is_outcome(const base::Error& error) {
  return error.code == base::Code::corrupt || error.code == base::Code::not_found ||
         error.code == base::Code::exhausted || error.code == base::Code::end_of_stream;
}

}  // namespace

Task Updater::task() const { return {*entry_.job, *manifest_, *manifest_->find_variant(entry_.job->target.variant)}; }

base::Result<Step> Updater::run_effect() {
  switch (entry_.state) {
    case State::idle: return Step::done();
    case State::accepted: return reserve();
    case State::downloading: return fetch();
    case State::verifying: return verify();
    case State::staged: return Step::done();
    case State::compile:
    case State::self_test:
    case State::shadow:
      if (manifest_->is_firmware()) return Step::done();  // it is judged by running it, see Gates::watch
      return try_model();
    case State::activating: return activate();
    case State::probation: return gates_->watch(task());
    case State::committed: return commit();
    case State::rolled_back: return restore();
  }
  return Step::failed("unknown state");
}

Step Updater::try_model() {
  switch (entry_.state) {
    case State::compile: return task().variant.compile ? gates_->compile(task()) : Step::done();
    case State::self_test: return gates_->self_test(task());
    default: return manifest_->watch.shadow_frames > 0 ? gates_->shadow(task()) : Step::done();
  }
}

/// Of a firmware also what the installed models will need there: it cannot be fetched by a device that does not see.
std::vector<Blob> Updater::needed_blobs() const {
  auto blobs = manifest_->blobs_of(task().variant);
  if (manifest_->is_firmware()) {
    const auto models = blobs_for_models_on(task().variant).value_or(std::vector<Blob>());
    blobs.insert(blobs.end(), models.begin(), models.end());
  }
  std::ranges::sort(blobs);
  const auto twice = std::ranges::unique(blobs);
  blobs.erase(twice.begin(), twice.end());
  return blobs;
}

std::vector<Blob> Updater::missing_blobs() const {
  auto blobs = needed_blobs();
  std::erase_if(blobs, [&](const Blob& blob) { return store_->has(blob.digest); });
  return blobs;
}

base::Result<Step> Updater::reserve() {
  WAYSIDE_CHECK(collect(true));
  std::uint64_t new_bytes = 0;
  for (const Blob& blob : missing_blobs()) new_bytes += blob.size_bytes;
  if (const auto room = store_->check_room(new_bytes); !room) {
    if (!is_outcome(room.error())) return std::unexpected(room.error());
    return Step::failed(room.error().message);
  }
  return Step::done();
}

base::Result<Step> Updater::fetch() {
  const auto missing = missing_blobs();
  if (missing.empty()) return Step::done();
  const Step step = gates_->fetch(task(), missing);
  if (step.kind != Step::Kind::done) return step;
  return missing_blobs().empty() ? Step::done() : Step::failed("the transfer ended without all files");
}

base::Result<Step> Updater::verify() {
  for (const Blob& blob : needed_blobs()) {
    const auto good = store_->verify(blob.digest);
    if (good) continue;
    if (!is_outcome(good.error())) return std::unexpected(good.error());
    WAYSIDE_CHECK(store_->discard(blob.digest));  // the next attempt fetches it again
    return Step::failed(good.error().message);
  }
  return Step::done();
}

base::Result<Step> Updater::activate() {
  if (manifest_->is_firmware()) {
    // The models may have changed since the command, by a rollback.
    if (const auto fits = blobs_for_models_on(task().variant); !fits) return Step::failed(fits.error().message);
  }
  WAYSIDE_CHECK(slots_.activate(entry_.job->role, entry_.job->target));
  if (manifest_->is_firmware()) return gates_->install(task());
  return gates_->swap(entry_.job->role, entry_.job->target);
}

base::Result<Step> Updater::commit() {
  WAYSIDE_CHECK(slots_.commit(entry_.job->role, entry_.job->target, entry_.job->security_counter));
  WAYSIDE_CHECK(floor_.raise(entry_.job->role, entry_.job->security_counter));
  WAYSIDE_CHECK(collect(false));
  return Step::done();
}

base::Result<Step> Updater::restore() {
  const auto before = slots_.slot(entry_.job->role);
  WAYSIDE_CHECK(slots_.restore(entry_.job->role));
  const bool firmware = entry_.job->role == kFirmwareRole;  // its slots are the boot loader's, and it has gone back
  const Step swapped = firmware ? Step::done() : gates_->swap(entry_.job->role, before.committed);
  if (swapped.kind == Step::Kind::working) return swapped;
  if (swapped.kind != Step::Kind::done) {
    // The record is right; the pipeline loads it at its next start.
    base::log_error("ota event=swap_back_failed role={} reason=\"{}\"", entry_.job->role, swapped.reason);
  }
  if (entry_.model_failed) WAYSIDE_CHECK(collect(false));
  return Step::done();
}

base::Result<void> Updater::collect(bool keep_job) {
  auto pinned = slots_.pinned();
  std::set<Digest> wanted;
  if (keep_job) {
    pinned.push_back(entry_.job->target.manifest);
    for (const Blob& blob : needed_blobs()) wanted.insert(blob.digest);
  }
  const Closure closure = [&](const Digest& digest) -> base::Result<std::vector<Digest>> {
    WAYSIDE_TRY(const auto manifest, manifest_of(digest));
    // A bundle lives in its slot; as a file only until it is there.
    if (manifest.is_firmware() && !(keep_job && digest == entry_.job->target.manifest)) return std::vector<Digest>();
    const auto files = manifest.referenced();
    return std::vector<Digest>(files.begin(), files.end());
  };
  const auto live = live_blobs(pinned, closure);
  if (!live) {
    // An unreadable manifest: nothing may be removed, and nothing needs to be.
    base::log_warn("ota event=not_collected reason=\"{}\"", live.error().message);
    return {};
  }
  WAYSIDE_TRY(const auto collected, store_->collect(*live, wanted));
  if (collected.blobs + collected.staged > 0) {
    base::log_info("ota event=collected blobs={} staged={} freed_bytes={}", collected.blobs, collected.staged,
                   collected.freed_bytes);
  }
  return {};
}

}  // namespace wayside::ota
